/* Change of sample rate.

   The filter is that of `fullband.audio.resample`: a sinc under a Kaiser window, whose figures were
   found from an impulse through soxr's VHQ. They give soxr's taps to 4e-9 for most ratios of small
   numbers, and to 1e-4 where soxr interpolates its filters. */

import { bessel0, greatestCommon, outputLength, sinc } from "./numbers.js";

const PASSED = 0.95566416; /* of the lower Nyquist frequency: where the sinc alone ends */
const FEW = 4; /* ratios of numbers up to this are done in one stage, others in two: */
const ONE_STAGE = { reach: 132.8333, beta: 18.4335 }; /* samples at the lower rate, to each side */
const TWO_STAGES = { reach: 137.5, beta: 19.1112 };
const PER_SAMPLE = 1024; /* of the table; between its entries straight, which errs by 3e-7 */
const MOST_PHASES = 1024; /* whose taps are kept */
const CHUNK = 1 << 16;

const tables = new Map();

function tableOf(window) {
  if (!tables.has(window)) {
    const { reach, beta } = window;
    const taps = Float64Array.from({ length: Math.ceil(reach * PER_SAMPLE) + 2 }, (_, i) => {
      const t = i / PER_SAMPLE;
      const inside = Math.max(0, 1 - (t / reach) ** 2);
      const height = inside && bessel0(beta * Math.sqrt(inside)) / bessel0(beta);
      return PASSED * sinc(PASSED * t) * height;
    });
    tables.set(window, taps);
  }
  return tables.get(window);
}

function looked(table, t) {
  const at = Math.abs(t) * PER_SAMPLE;
  const below = Math.floor(at);
  if (below + 1 >= table.length) return 0;
  return table[below] + (at - below) * (table[below + 1] - table[below]);
}

/** One channel at another rate: as long in seconds, and where it was. */
export function resample(samples, sourceRate, targetRate) {
  if (sourceRate === targetRate) return samples;
  const common = greatestCommon(sourceRate, targetRate);
  const up = targetRate / common;
  const down = sourceRate / common;
  const lower = Math.min(1, targetRate / sourceRate); /* of the source's rate */
  const window = Math.max(up, down) > FEW ? TWO_STAGES : ONE_STAGE;
  const table = tableOf(window);
  const reach = Math.ceil(window.reach / lower);
  const known = new Map();
  const tapsOf = (phase) => {
    let taps = known.get(phase);
    if (!taps) {
      taps = Float64Array.from(
        { length: 2 * reach },
        (_, k) => lower * looked(table, lower * (k - reach + 1 - phase / up)),
      );
      if (up <= MOST_PHASES) known.set(phase, taps);
    }
    return taps;
  };
  const result = new Float32Array(outputLength(samples.length, sourceRate, targetRate));
  const turns = Math.ceil(CHUNK / up); /* of all phases; each moves on by `down` samples */
  const around = new Float64Array(turns * down + 2 * reach);
  for (let turn = 0; turn * up < result.length; turn += turns) {
    const from = turn * down - reach + 1;
    around.fill(0);
    const there = samples.subarray(Math.max(0, from), Math.max(0, from + around.length));
    around.set(there, Math.max(0, -from));
    const chunk = result.subarray(turn * up, (turn + turns) * up);
    for (let i = 0; i < Math.min(up, chunk.length); i++) {
      const whole = Math.floor((i * down) / up);
      convolve(tapsOf(i * down - whole * up), around, whole, down, chunk, i, up);
    }
  }
  return result;
}

/** Every `step`-th of a chunk from `at` on: taps over samples from `first` on, moved by `stride`.

    Eight at a time, which share each tap and keep a processor's adders busy. */
function convolve(taps, samples, first, stride, chunk, at, step) {
  let i = at;
  let x = first;
  for (; i + 7 * step < chunk.length; i += 8 * step, x += 8 * stride) {
    let [a, b, c, d, e, f, g, h] = [0, 0, 0, 0, 0, 0, 0, 0];
    for (let k = 0, j = x; k < taps.length; k++, j++) {
      const tap = taps[k];
      a += tap * samples[j];
      b += tap * samples[j + stride];
      c += tap * samples[j + 2 * stride];
      d += tap * samples[j + 3 * stride];
      e += tap * samples[j + 4 * stride];
      f += tap * samples[j + 5 * stride];
      g += tap * samples[j + 6 * stride];
      h += tap * samples[j + 7 * stride];
    }
    [a, b, c, d, e, f, g, h].forEach((value, n) => (chunk[i + n * step] = value));
  }
  for (; i < chunk.length; i += step, x += stride) {
    let total = 0;
    for (let k = 0; k < taps.length; k++) total += taps[k] * samples[x + k];
    chunk[i] = total;
  }
}
