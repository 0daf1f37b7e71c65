/* How much of a spectrum a codec left empty: as `fullband.audio.holes`. */

import { fft } from "./fft.js";
import { clamp, monoOf, roundEven } from "./numbers.js";

export const LOOKED_AT_HZ = [2000, 12_000];
export const RIDDLED = 0.1;

const FRAME = 1024;
const HOP = 512;
const HALF_BINS = 4;
const HALF_FRAMES = 2;
const DEEP_DB = 25;
const LEAST_DB = -90;
const TOP_HZ = 12_500;

/** The share of bins that lie far below their neighbourhood. */
export function holeShare(channels, sampleRate, fromHz, toHz) {
  const mono = monoOf(channels);
  const binHz = sampleRate / FRAME;
  const bins = Math.min(FRAME / 2 + 1, Math.ceil(TOP_HZ / binHz));
  const first = clamp(roundEven(fromHz / binHz), 0, bins);
  const last = clamp(roundEven(toHz / binHz), 0, bins);
  const least = 10 ** (LEAST_DB / 10) * ((FRAME * 3) / 8);
  const below = 10 ** (-DEEP_DB / 10);
  const neighbours = (2 * HALF_BINS + 1) * (2 * HALF_FRAMES + 1);
  const plan = fft(FRAME);
  const window = Float64Array.from({ length: FRAME }, (_, i) =>
    0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME),
  );
  const samples = new Float64Array(FRAME);
  const real = new Float64Array(plan.bins);
  const imaginary = new Float64Array(plan.bins);
  const kept = []; /* power of the last five frames */
  let deep = 0;
  let heard = 0;
  for (let start = 0; start + FRAME <= mono.length; start += HOP) {
    for (let i = 0; i < FRAME; i++) samples[i] = mono[start + i] * window[i];
    plan.forward(samples, real, imaginary);
    kept.push(Float64Array.from({ length: bins }, (_, k) => real[k] ** 2 + imaginary[k] ** 2));
    if (kept.length > 2 * HALF_FRAMES + 1) kept.shift();
    if (kept.length < 2 * HALF_FRAMES + 1) continue;
    const over = new Float64Array(bins);
    for (const power of kept) for (let k = 0; k < bins; k++) over[k] += power[k];
    for (let k = first; k < last; k++) {
      const centre = clamp(k, HALF_BINS, bins - 1 - HALF_BINS);
      let total = 0;
      for (let j = centre - HALF_BINS; j <= centre + HALF_BINS; j++) total += over[j];
      const mean = total / neighbours;
      if (mean <= least) continue;
      heard += 1;
      if (kept[HALF_FRAMES][k] < mean * below) deep += 1;
    }
  }
  return heard ? deep / heard : 0;
}
