/* Whether a recording is speech or music: as `fullband.audio.content`. */

import { clamp, monoOf, roundEven } from "./numbers.js";

const FRAME_S = 0.032;
const LOW_HZ = 200;
const HIGH_HZ = 3600;
const STEP_DB = 0.5;
const LOWEST_DB = -140;
const LOUD = 0.9;
const QUIET_DB = 15;
const DEEPEST_DB = 40;
const SHORTEST_S = 1;
const CONSTANT = 5.5;
const QUIET = -9;
const SPREAD = -0.44;

export function contentKind(channels, sampleRate) {
  const counts = levelCounts(monoOf(channels), sampleRate);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total * FRAME_S < SHORTEST_S || total === counts[0]) return "speech";
  const levels = Float64Array.from(counts, (_, i) => LOWEST_DB + STEP_DB * i);
  let reached = 0;
  for (let sum = counts[0]; sum < LOUD * total; ) sum += counts[++reached];
  const below = levels.map((level) => Math.max(level - levels[reached], -DEEPEST_DB));
  let meanDb = 0;
  let quiet = 0;
  counts.forEach((count, i) => {
    meanDb += (count / total) * below[i];
    if (below[i] < -QUIET_DB) quiet += count / total;
  });
  let variance = 0;
  counts.forEach((count, i) => (variance += (count / total) * (below[i] - meanDb) ** 2));
  return CONSTANT + QUIET * quiet + SPREAD * Math.sqrt(variance) > 0 ? "music" : "speech";
}

/** How many frames have which level between 200 and 3600 Hz. */
function levelCounts(mono, sampleRate) {
  const frame = Math.max(2, roundEven(FRAME_S * sampleRate));
  const window = Float64Array.from({ length: frame }, (_, i) =>
    0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (frame - 1)),
  );
  const first = Math.ceil((LOW_HZ * frame) / sampleRate);
  const last = Math.min(Math.floor(frame / 2) + 1, Math.ceil((HIGH_HZ * frame) / sampleRate));
  const cos = Float64Array.from({ length: frame }, (_, i) => Math.cos((2 * Math.PI * i) / frame));
  const sin = Float64Array.from({ length: frame }, (_, i) => Math.sin((2 * Math.PI * i) / frame));
  const scale = 1 / (frame * window.reduce((sum, value) => sum + value * value, 0));
  const counts = new Float64Array(roundEven(-LOWEST_DB / STEP_DB) + 1);
  const windowed = new Float64Array(frame);
  for (let start = 0; start + frame <= mono.length; start += frame) {
    for (let i = 0; i < frame; i++) windowed[i] = mono[start + i] * window[i];
    let power = 0;
    for (let k = first; k < last; k++) {
      /* A frame is rarely a power of two, and few of its bins are wanted: one by one. */
      let real = 0;
      let imaginary = 0;
      for (let i = 0, turn = 0; i < frame; i++) {
        real += windowed[i] * cos[turn];
        imaginary += windowed[i] * sin[turn];
        turn += k;
        if (turn >= frame) turn -= frame;
      }
      power += real * real + imaginary * imaginary;
    }
    const place = 10 * Math.log10(scale * power + 1e-14) / STEP_DB + counts.length - 1;
    counts[roundEven(clamp(place, 0, counts.length - 1))] += 1;
  }
  return counts;
}
