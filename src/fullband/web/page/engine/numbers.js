/* Small arithmetic, as NumPy does it: these decide thresholds, and have to decide them alike. */

/** To the nearest whole number, halves to the even one. */
export function roundEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** To the nearest 16-bit float. */
export function half(value) {
  if (value === 0 || !Number.isFinite(value)) return value;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value))));
  const step = 2 ** (exponent - 10);
  return roundEven(value / step) * step;
}

export const decibels = (power) => 10 * Math.log10(power + 1e-20);

export const powerOf = (db) => 10 ** (db / 10);

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

export function mean(values) {
  let total = 0;
  for (const value of values) total += value;
  return total / values.length;
}

export function median(values) {
  const ordered = Float64Array.from(values).sort();
  return (ordered[(ordered.length - 1) >> 1] + ordered[ordered.length >> 1]) / 2;
}

/** The value below which so large a part lies, between neighbours straight. */
export function quantile(values, part) {
  const ordered = Float64Array.from(values).sort();
  const at = part * (ordered.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (at - below) * (ordered[above] - ordered[below]);
}

export const greatestCommon = (a, b) => (b ? greatestCommon(b, a % b) : a);

/** The modified Bessel function of order 0 (Abramowitz and Stegun 9.6.12). */
export function bessel0(x) {
  let term = 1;
  let total = 1;
  for (let k = 1; term > 1e-17 * total; k++) {
    term *= (x / (2 * k)) ** 2;
    total += term;
  }
  return total;
}

export const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Channels averaged. */
export function monoOf(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mono.length; i++) mono[i] += channel[i];
  for (let i = 0; i < mono.length; i++) mono[i] /= channels.length;
  return mono;
}

/** How many samples there are after a change of rate, as `fullband.audio.samples.output_length`. */
export const outputLength = (length, sourceRate, targetRate) =>
  roundEven((length * targetRate) / sourceRate);
