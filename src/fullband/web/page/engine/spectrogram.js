/* Pictures of sound: time to the right, frequency upwards, loudness as brightness. */

import { fft } from "./fft.js";
import { clamp } from "./numbers.js";

const WINDOW_S = 0.03;
const RANGE_DB = 90;
/* From silence to the loudest: dark blue, violet, red, orange, pale yellow. */
const COLOURS = [
  [8, 8, 24],
  [59, 28, 110],
  [150, 44, 104],
  [226, 88, 60],
  [250, 172, 62],
  [252, 244, 190],
];

/** Levels in dB, `width * height` of them, row by row from `topHz` down to 0; what lies above half
    the sample rate is nothing (-Infinity). */
export function spectrogram(samples, sampleRate, topHz, width, height) {
  let frame = 64;
  while (frame < WINDOW_S * sampleRate) frame *= 2;
  const plan = fft(frame);
  const window = Float64Array.from({ length: frame }, (_, i) =>
    0.5 - 0.5 * Math.cos((2 * Math.PI * i) / frame),
  );
  const framed = new Float64Array(frame);
  const real = new Float64Array(plan.bins);
  const imaginary = new Float64Array(plan.bins);
  const power = new Float64Array(plan.bins);
  const levels = new Float32Array(width * height).fill(-Infinity);
  const hop = samples.length / width;
  const looks = clamp(Math.round((2 * hop) / frame), 1, 4); /* of a column that is wider than a frame */
  const binHz = sampleRate / frame;
  for (let column = 0; column < width; column++) {
    power.fill(0);
    for (let look = 0; look < looks; look++) {
      const first = Math.round((column + (look + 0.5) / looks) * hop - frame / 2);
      for (let i = 0; i < frame; i++) framed[i] = (samples[first + i] ?? 0) * window[i];
      plan.forward(framed, real, imaginary);
      for (let k = 0; k < plan.bins; k++) power[k] += real[k] ** 2 + imaginary[k] ** 2;
    }
    for (let row = 0; row < height; row++) {
      const fromHz = ((height - row - 1) / height) * topHz;
      const toHz = ((height - row) / height) * topHz;
      if (fromHz >= sampleRate / 2) continue;
      const from = Math.floor(fromHz / binHz);
      const to = clamp(Math.ceil(toHz / binHz), from + 1, plan.bins);
      let loudest = 0;
      for (let k = from; k < to; k++) loudest = Math.max(loudest, power[k]);
      levels[row * width + column] = 10 * Math.log10(loudest / looks / (frame / 4) ** 2 + 1e-20);
    }
  }
  return levels;
}

/** The same as pixels, RGBA; `loudestDb` is the brightest. */
export function painted(levels, loudestDb) {
  const pixels = new Uint8ClampedArray(4 * levels.length);
  levels.forEach((level, i) => {
    const part = clamp((level - loudestDb) / RANGE_DB + 1, 0, 1) * (COLOURS.length - 1);
    const below = Math.min(COLOURS.length - 2, Math.floor(part));
    for (let c = 0; c < 3; c++) {
      const low = COLOURS[below][c];
      pixels[4 * i + c] = low + (part - below) * (COLOURS[below + 1][c] - low);
    }
    pixels[4 * i + 3] = 255;
  });
  return pixels;
}
