/* Where the real content of a recording ends, and how that changes: as
   `fullband.audio.bandwidth`, which says why. */

import { fft } from "./fft.js";
import { ENDS_BELOW_MIRROR, findMirror } from "./mirror.js";
import { clamp, decibels, half, mean, median, powerOf, roundEven } from "./numbers.js";

const LOWEST_HZ = 400;
const DEEP_DB = 24;
const DEEP_WITHIN = 1.3;
const AIRY_HZ = 15_000;
const AIRY_DB = 6;
const BEGINS_DB = 10;
const SMOOTHING_HZ = 60;
const BELOW_HZ = 250;
const CLIFF_DB = 14;
const GAPS = [0.06, 0.12, 0.25];
const GAP_DB = 30;
const VOICE_HZ = 1500;
const VOICE_DB = 20;
const EDGE_DB = 4;
const STEEP_DB = 5;
const NEAR = 0.1;
const NEAR_HZ = 200;
const LEAST_BETWEEN_HZ = 150;
const WINDOW_S = 0.25;
const PAUSE_DB = 35;
const ALIKE = 1.15;
const CHANGE_S = 1;
const UNUSED = 0.25;
const STATES_PER_OCTAVE = 12;
const GROUP = 3;

/** `{ bandwidthHz, mirrorHz, segments }`, the last being `{ start, bandwidthHz }` in samples. */
export function measureBandwidth(channels, sampleRate) {
  const spectra = longTerm(channels, sampleRate);
  const mirrorHz = findMirror(spectra.windows, sampleRate);
  const bandwidthHz = findEnd(spectra.overall, sampleRate, mirrorHz);
  const segments = findSegments(spectra, sampleRate, bandwidthHz, mirrorHz);
  return { bandwidthHz, mirrorHz, segments };
}

/** Spectra in dB: of all, and of every quarter of a second in 16-bit floats. */
function longTerm(channels, sampleRate) {
  const frame = 1 << Math.max(6, roundEven(Math.log2(sampleRate / 20)));
  const hop = frame / 2;
  const plan = fft(frame);
  const window = Float64Array.from({ length: frame }, (_, i) =>
    Math.fround(0.5 - 0.5 * Math.cos((2 * Math.PI * i) / frame)),
  );
  const perWindow = Math.max(1, roundEven((WINDOW_S * sampleRate) / hop));
  const length = channels[0].length;
  const samples = new Float64Array(frame);
  const real = new Float64Array(plan.bins);
  const imaginary = new Float64Array(plan.bins);
  const scale = 1 / (channels.length * (frame / 4) ** 2);
  const total = new Float64Array(plan.bins);
  const open = new Float64Array(plan.bins);
  const windows = [];
  let frames = 0;
  let openFrames = 0;
  const close = () => {
    windows.push(open.map((power) => half(decibels(power / openFrames))));
    open.fill(0);
    openFrames = 0;
  };
  const add = (start) => {
    for (const channel of channels) {
      for (let i = 0; i < frame; i++) {
        samples[i] = start + i < length ? channel[start + i] * window[i] : 0;
      }
      plan.forward(samples, real, imaginary);
      for (let k = 0; k < plan.bins; k++) {
        const power = (real[k] ** 2 + imaginary[k] ** 2) * scale;
        total[k] += power;
        open[k] += power;
      }
    }
    frames += 1;
  };
  for (let start = 0; start + frame <= length; start += hop) {
    add(start);
    openFrames += 1;
    if (openFrames === perWindow) close();
  }
  if (openFrames) close();
  if (!frames) add(0); /* shorter than a frame */
  return { overall: total.map((power) => decibels(power / frames)), windows, frame, hop, perWindow };
}

function findSegments({ windows, frame, hop, perWindow }, sampleRate, bandwidthHz, mirrorHz) {
  const overall = [{ start: 0, bandwidthHz }];
  if (windows.length < 2) return overall;
  const nyquist = sampleRate / 2;
  const bins = Math.floor(frame / 2 / GROUP) * GROUP;
  const binHz = (GROUP * nyquist) / (frame / 2);
  const ends = [];
  const levels = [];
  for (const window of windows) {
    const grouped = new Float64Array(bins / GROUP);
    let power = 0;
    for (let i = 0; i < grouped.length; i++) {
      let sum = 0;
      for (let j = 0; j < GROUP; j++) sum += powerOf(window[1 + GROUP * i + j]);
      grouped[i] = decibels(sum / GROUP);
      power += sum / GROUP;
    }
    const cliff = findCliff(grouped, binHz);
    const end = cliff.gap > 0 ? (cliff.edge + 1) * binHz : nyquist;
    ends.push(mirrorHz === null ? end : Math.min(end, mirrorHz));
    levels.push(decibels(power));
  }
  const usual = decibels(mean(levels.map(powerOf)));
  const heard = levels.map((level) => level > usual - PAUSE_DB);
  const course = cheapestCourse(ends, heard, nyquist, (perWindow * hop) / sampleRate);
  const firsts = [0];
  for (let i = 1; i < course.length; i++) if (course[i] !== course[i - 1]) firsts.push(i);
  if (firsts.length === 1) return overall;
  const segments = [];
  firsts.forEach((first, number) => {
    const last = firsts[number + 1] ?? windows.length;
    const pooled = new Float64Array(windows[0].length);
    for (const window of windows.slice(first, last)) {
      for (let k = 0; k < pooled.length; k++) pooled[k] += powerOf(window[k]);
    }
    const endHz = findEnd(pooled.map(decibels), sampleRate, mirrorHz);
    const start = first ? first * perWindow * hop + hop / 2 : 0;
    const before = segments.length ? segments[segments.length - 1].bandwidthHz : 0;
    if (!(Math.max(endHz, before) < ALIKE * Math.min(endHz, before))) {
      segments.push({ start: Math.trunc(start), bandwidthHz: endHz });
    }
  });
  return segments.length > 1 ? segments : overall;
}

/** Where the level just below exceeds everything above by the most: `{ edge, foot, belowDb, gap }`,
    gap being 0 where there is no cliff. */
function findCliff(level, binHz) {
  const bins = level.length;
  const belowBins = Math.max(2, roundEven(BELOW_HZ / binHz));
  const first = Math.max(belowBins, Math.ceil(LOWEST_HZ / binHz));
  let cliff = { edge: 0, foot: 0, belowDb: 0, gap: 0 };
  if (first >= bins - 2) return cliff;
  const above = highestAbove(level);
  const total = new Float64Array(bins + 1);
  for (let i = 0; i < bins; i++) total[i + 1] = total[i] + level[i];
  for (const gap of [...GAPS].reverse()) {
    const neededDb = CLIFF_DB + GAP_DB * Math.log2((1 + gap) / (1 + GAPS[0]));
    const least = Math.max(1, roundEven(LEAST_BETWEEN_HZ / binHz));
    let best = null;
    for (let edge = first; edge < bins - 2; edge++) {
      const past = Math.min(edge + Math.max(least, roundEven(gap * edge)), bins - 2);
      const below = (total[edge + 1] - total[edge - belowBins]) / (belowBins + 1);
      const down = Math.max(0, Math.log2(VOICE_HZ / (edge * binHz)));
      let excess = below - above[past] - (neededDb + VOICE_DB * down);
      if (gap === GAPS[GAPS.length - 1] && edge * (1 + gap) > bins) excess = -Infinity;
      if (!best || excess > best.excess) best = { excess, edge, foot: past, belowDb: below, gap };
    }
    if (best.excess > 0) cliff = best;
  }
  return cliff;
}

function highestAbove(level) {
  const above = Float64Array.from(level);
  for (let i = above.length - 2; i >= 0; i--) above[i] = Math.max(above[i], above[i + 1]);
  return above;
}

function findEnd(spectrum, sampleRate, mirrorHz) {
  if (mirrorHz === null) return findEdge(spectrum, sampleRate);
  const bins = roundEven((mirrorHz / (sampleRate / 2)) * (spectrum.length - 1)) + 1;
  return Math.min(findEdge(spectrum.slice(0, bins), 2 * mirrorHz), ENDS_BELOW_MIRROR * mirrorHz);
}

function findEdge(spectrum, sampleRate) {
  const nyquist = sampleRate / 2;
  const binHz = nyquist / (spectrum.length - 1);
  const level = smoothed(spectrum, Math.max(1, roundEven(SMOOTHING_HZ / binHz)));
  const cliff = findCliff(level, binHz);
  const gentle = findGentleEnd(level, binHz);
  if (!cliff.gap) return gentle ? (gentle + 1) * binHz : nyquist;
  const lowest = Math.trunc(LOWEST_HZ / binHz);
  let edge = cliff.foot;
  while (edge > lowest && level[edge] < cliff.belowDb - EDGE_DB) edge -= 1;
  while (edge > lowest && level[edge] < meanBelow(level, edge, binHz, cliff.gap) - STEEP_DB) edge -= 1;
  if (gentle && gentle < edge && level[edge] < level[gentle] - EDGE_DB) edge = gentle;
  return Math.min(nyquist, (edge + 1) * binHz);
}

function findGentleEnd(level, binHz) {
  const first = Math.ceil(VOICE_HZ / binHz);
  const stop = Math.trunc((level.length - 2) / DEEP_WITHIN);
  if (first >= stop) return 0;
  const above = highestAbove(level);
  let deepest = -Infinity;
  let foot = 0;
  for (let edge = first; edge < stop; edge++) {
    const below = median(level.subarray(Math.trunc(0.85 * edge), edge + 1));
    const at = roundEven(DEEP_WITHIN * edge);
    const depth = below - above[at] - (edge * binHz > AIRY_HZ ? AIRY_DB : 0);
    if (depth > deepest) [deepest, foot] = [depth, at];
  }
  if (deepest < DEEP_DB) return 0;
  for (let edge = foot; edge > Math.floor(foot / 2); edge--) {
    const usual = median(level.subarray(Math.trunc(0.7 * edge), Math.trunc(0.85 * edge) + 1));
    if (level[edge] >= usual - BEGINS_DB) return edge;
  }
  return 0;
}

function meanBelow(level, edge, binHz, gap) {
  const widthHz = Math.max(NEAR_HZ, Math.max(NEAR, gap) * edge * binHz);
  const bins = Math.max(2, roundEven(widthHz / binHz));
  return mean(level.subarray(Math.max(0, edge - bins), edge + 1));
}

/** The course of the end through windows that contradicts them least and changes least. */
function cheapestCourse(ends, heard, nyquist, windowS) {
  const steps = Math.ceil(STATES_PER_OCTAVE * Math.log2(nyquist / LOWEST_HZ)) + 1;
  const states = Float64Array.from({ length: steps }, (_, i) => nyquist * 2 ** (-i / STATES_PER_OCTAVE));
  const costOf = (window, step) => {
    if (!heard[window]) return 0;
    if (ends[window] > ALIKE * states[step]) return windowS;
    return ends[window] * ALIKE < states[step] ? windowS * UNUSED : 0;
  };
  const lowestOf = (costs) => costs.reduce((best, cost, i) => (cost < costs[best] ? i : best), 0);
  let best = states.map((_, step) => costOf(0, step));
  const cameFrom = [new Int32Array(steps)];
  for (let window = 1; window < ends.length; window++) {
    const cheapest = lowestOf(best);
    const changed = best[cheapest] + CHANGE_S;
    cameFrom.push(Int32Array.from(best, (cost, step) => (cost <= changed ? step : cheapest)));
    best = best.map((cost, step) => Math.min(cost, changed) + costOf(window, step));
  }
  const course = new Int32Array(ends.length);
  course[course.length - 1] = lowestOf(best);
  for (let window = ends.length - 1; window > 0; window--) {
    course[window - 1] = cameFrom[window][course[window]];
  }
  return course;
}

/** Mean power over so many bins, in dB; the ends go on beyond the ends. */
function smoothed(spectrum, width) {
  if (width <= 1) return Float64Array.from(spectrum);
  const last = spectrum.length - 1;
  const before = Math.floor(width / 2);
  return Float64Array.from(spectrum, (_, at) => {
    let total = 0;
    for (let i = 0; i < width; i++) total += powerOf(spectrum[clamp(at - before + i, 0, last)]);
    return decibels(total / width);
  });
}

/** Where content ends at each of these samples. */
export function bandwidthsAt(segments, positions) {
  return Float32Array.from(positions, (position) => {
    let found = segments[0];
    for (const segment of segments) if (segment.start <= position) found = segment;
    return found.bandwidthHz;
  });
}
