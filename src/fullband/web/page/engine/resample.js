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
const MOST_PHASES = 1024;

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
  const result = new Float32Array(outputLength(samples.length, sourceRate, targetRate));
  const phases = new Map();
  const tapsOf = (phase) => {
    let taps = phases.get(phase);
    if (!taps) {
      taps = new Float32Array(2 * reach);
      for (let k = 0; k < taps.length; k++) {
        taps[k] = lower * looked(table, lower * (k - reach + 1 - phase / up));
      }
      if (up <= MOST_PHASES) phases.set(phase, taps);
    }
    return taps;
  };
  for (let i = 0; i < result.length; i++) {
    const whole = Math.floor((i * down) / up);
    const taps = tapsOf(i * down - whole * up);
    const first = whole - reach + 1;
    const from = Math.max(0, -first);
    const to = Math.min(taps.length, samples.length - first);
    let total = 0;
    for (let k = from; k < to; k++) total += taps[k] * samples[first + k];
    result[i] = total;
  }
  return result;
}
