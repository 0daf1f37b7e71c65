/* Mirror images that a cheap change of rate left: as `fullband.audio.mirror`. */

import { mean, median, quantile, roundEven } from "./numbers.js";

const USUAL_RATES = [
  4000, 5512.5, 6000, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
];
export const BELOW_MIRROR = 0.97;
export const ENDS_BELOW_MIRROR = 0.92;

const ALIKE = 0.75;
const DOUBT = 0.5;
const LEAST_WINDOWS = 4;
const STRETCH = 24;
const ALWAYS = 0.6;
const QUIET_DB = 35;
const SELF = 4;
const NEAR = 0.08;
const FAR = 0.6;
const FAINTLY = 0.5;
const GONE_DB = 30;
const NOISE_PART = 0.1;
const NOISE_DB = 6;
const COVERED_DB = 20;
const LEAST_BINS = 6;
const LEAST_SPREAD_DB = 0.7;

/** The frequency about which spectra, in dB, are their own mirror images; null if there is none. */
export function findMirror(windows, sampleRate) {
  if (!windows.length) return null;
  const binHz = sampleRate / 2 / (windows[0].length - 1);
  const loudness = windows.map((window) => window.reduce((a, b) => Math.max(a, b), -Infinity));
  const loudest = Math.max(...loudness);
  const levels = windows.filter((_, i) => loudness[i] > loudest - QUIET_DB);
  if (levels.length < LEAST_WINDOWS) return null;
  const needed = ALIKE + DOUBT / levels.length;
  const stretches = parts(levels, Math.max(1, Math.floor(levels.length / STRETCH)));
  for (const rate of USUAL_RATES) {
    const turn = rate / binHz;
    if (
      rate < 0.95 * sampleRate &&
      likeness(levels, turn) > needed &&
      Math.min(...stretches.map((stretch) => likeness(stretch, turn))) > ALWAYS
    ) {
      return rate / 2;
    }
  }
  return null;
}

/** So many parts, the first ones longer by one where need be. */
function parts(items, count) {
  const result = [];
  const least = Math.floor(items.length / count);
  const longer = items.length % count;
  for (let i = 0, at = 0; i < count; i++) {
    const length = least + (i < longer ? 1 : 0);
    result.push(items.slice(at, at + length));
    at += length;
  }
  return result;
}

function likeness(levels, turn) {
  const bins = levels[0].length;
  const border = Math.trunc(((1 + NEAR) * turn) / 2) + LEAST_BINS;
  const near = range(Math.ceil(turn / 2) + SELF, border);
  let far = range(border, Math.trunc(((1 + FAR) * turn) / 2));
  if (near[near.length - 1] >= bins) return 0;
  const alike = correlation(levels, near, turn);
  far = far.filter((bin) => bin < bins);
  if (alike < FAINTLY || far.length < LEAST_BINS) return alike;
  const farDb = far.map((bin) => mean(levels.map((window) => window[bin])));
  const noiseDb = quantile(farDb, NOISE_PART);
  if (meanDb(levels, near) - noiseDb > COVERED_DB) {
    far = far.filter((_, i) => farDb[i] > noiseDb + NOISE_DB);
  }
  if (far.length < LEAST_BINS) return alike;
  const origin = near.map((bin) => mirrored(bin, turn));
  const downDb = meanDb(levels, origin) - meanDb(levels, far);
  return downDb > GONE_DB || correlation(levels, far, turn) > FAINTLY ? alike : 0;
}

const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

const mirrored = (bin, turn) => roundEven(turn - bin);

/** Of bins and their mirror images, in how they change from window to window. */
function correlation(levels, above, turn) {
  const below = above.map((bin) => mirrored(bin, turn));
  const images = evened(changes(levels, above));
  const origins = evened(changes(levels, below));
  const spreadDb = Math.sqrt(deviation(images) * deviation(origins));
  if (!(spreadDb > LEAST_SPREAD_DB)) return 0;
  let total = 0;
  let count = 0;
  images.forEach((row, i) => row.forEach((value, k) => ((total += value * origins[i][k]), count++)));
  return total / count / spreadDb ** 2;
}

function changes(levels, bins) {
  const result = [];
  for (let i = 1; i < levels.length; i++) {
    const row = Float64Array.from(bins, (bin) => levels[i][bin] - levels[i - 1][bin]);
    const centre = mean(row);
    result.push(row.map((value) => value - centre));
  }
  return result;
}

function evened(rows) {
  const powers = rows.map((row) => mean(row.map((value) => value * value)));
  const usual = median(powers);
  return rows.map((row, i) => {
    const scale = Math.sqrt(Math.min(1, (3 * usual) / (powers[i] + 1e-9)));
    return row.map((value) => value * scale);
  });
}

function deviation(rows) {
  let total = 0;
  let squares = 0;
  let count = 0;
  for (const row of rows) for (const value of row) {
    total += value;
    squares += value * value;
    count += 1;
  }
  return Math.sqrt(Math.max(0, squares / count - (total / count) ** 2));
}

function meanDb(levels, bins) {
  let total = 0;
  for (const window of levels) for (const bin of bins) total += 10 ** (window[bin] / 10);
  return 10 * Math.log10(total / (levels.length * bins.length) + 1e-30);
}
