/* The crossover between the band that is kept and the band that is added: as
   `fullband.audio.filters`. */

import { fft } from "./fft.js";
import { bessel0, clamp, sinc } from "./numbers.js";

const DESIGN_DB = 81;

export const crossoverWidthHz = (cutoffHz) => clamp(0.08 * cutoffHz, 100, 400);

/** A linear-phase high-pass that is 80 dB down at `stopHz` and open `widthHz` above it. */
export function highpassKernel(sampleRate, stopHz, widthHz) {
  const beta = 0.1102 * (DESIGN_DB - 8.7);
  const width = (2 * Math.PI * widthHz) / sampleRate;
  const half = Math.ceil((DESIGN_DB - 8) / (2.285 * width) / 2) + 1;
  const middle = (2 * (stopHz + widthHz / 2)) / sampleRate;
  const result = new Float64Array(2 * half + 1);
  let total = 0;
  for (let i = 0; i < result.length; i++) {
    const t = i - half;
    const window = bessel0(beta * Math.sqrt(Math.max(0, 1 - (t / half) ** 2))) / bessel0(beta);
    result[i] = middle * sinc(middle * t) * window;
    total += result[i];
  }
  for (let i = 0; i < result.length; i++) result[i] /= -total;
  result[half] += 1;
  return result;
}

/** What `highpassKernel` holds back. */
export function lowpassKernel(sampleRate, passHz, widthHz) {
  const result = highpassKernel(sampleRate, passHz, widthHz).map((value) => -value);
  result[(result.length - 1) / 2] += 1;
  return result;
}

/** Filtered without delay, by overlap-save. */
export function filtered(samples, kernel) {
  return switched(samples, [kernel], [0], 1);
}

/** Filters that follow one another in time; what goes in is faded from one into the next.

    `kernels[i]` takes over at sample `starts[i]`; null lets nothing through. */
export function switched(samples, kernels, starts, fade) {
  const longest = Math.max(1, ...kernels.map((kernel) => kernel?.length ?? 0));
  const middle = (longest - 1) / 2;
  let length = 1 << 14;
  while (length < 8 * longest) length *= 2;
  const plan = fft(length);
  const responses = kernels.map((kernel) => kernel && response(kernel, longest, plan));
  const result = new Float32Array(samples.length);
  const step = length - 2 * middle;
  const window = new Float64Array(length);
  const faded = new Float64Array(length);
  const real = new Float64Array(plan.bins);
  const imaginary = new Float64Array(plan.bins);
  const totalReal = new Float64Array(plan.bins);
  const totalImaginary = new Float64Array(plan.bins);
  const reach = Math.floor(fade / 2) + 1;
  for (let at = 0; at < samples.length; at += step) {
    const first = at - middle;
    for (let i = 0; i < length; i++) {
      const index = first + i;
      window[i] = index >= 0 && index < samples.length ? samples[index] : 0;
    }
    totalReal.fill(0);
    totalImaginary.fill(0);
    const heard = kernels.map(
      (_, i) =>
        (i === 0 || starts[i] - reach < first + length) &&
        (i + 1 === starts.length || starts[i + 1] + reach > first),
    );
    const alone = heard.filter(Boolean).length === 1;
    for (let index = 0; index < kernels.length; index++) {
      if (!heard[index] || !responses[index]) continue;
      for (let i = 0; i < length; i++) {
        faded[i] = alone ? window[i] : window[i] * weight(first + i, index, starts, fade);
      }
      plan.forward(faded, real, imaginary);
      const [filterReal, filterImaginary] = responses[index];
      for (let k = 0; k < plan.bins; k++) {
        totalReal[k] += real[k] * filterReal[k] - imaginary[k] * filterImaginary[k];
        totalImaginary[k] += real[k] * filterImaginary[k] + imaginary[k] * filterReal[k];
      }
    }
    plan.inverse(totalReal, totalImaginary, faded);
    result.set(faded.subarray(2 * middle, 2 * middle + Math.min(step, samples.length - at)), at);
  }
  return result;
}

function response(kernel, longest, plan) {
  const padded = new Float64Array(plan.length);
  padded.set(kernel, (longest - kernel.length) / 2);
  const real = new Float64Array(plan.bins);
  const imaginary = new Float64Array(plan.bins);
  plan.forward(padded, real, imaginary);
  return [real, imaginary];
}

/** How much of a sample belongs to one filter: all of them together have 1. */
function weight(at, index, starts, fade) {
  const rise = (since) => 0.5 - 0.5 * Math.cos(Math.PI * clamp(since / fade + 0.5, 0, 1));
  const begun = index > 0 ? rise(at - starts[index]) : 1;
  return index + 1 < starts.length ? begun * (1 - rise(at - starts[index + 1])) : begun;
}
