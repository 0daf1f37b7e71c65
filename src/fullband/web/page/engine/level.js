/* How loud the active part of a recording is: as `fullband.audio.level`. */

const REFERENCE_DB = -26;
const SILENCE_DB = -100;
const BLOCK_S = 0.1;
const GATE_DB = 10;
const MOST_GAIN_DB = 60;

import { mean, roundEven } from "./numbers.js";

/** In dB relative to full scale, over channels. */
export function activeLevelDb(channels, sampleRate) {
  const block = Math.max(1, roundEven(BLOCK_S * sampleRate));
  const length = channels[0].length;
  const powers = [];
  for (let start = 0; start < length; start += block) {
    const stop = Math.min(length, start + block);
    if (stop - start < block && powers.length && stop - start < Math.floor(block / 2)) break;
    let total = 0;
    for (const channel of channels) {
      for (let i = start; i < stop; i++) total += channel[i] * channel[i];
    }
    powers.push(total / channels.length / (stop - start));
  }
  if (!powers.length) return SILENCE_DB;
  const gate = mean(powers) * 10 ** (-GATE_DB / 10);
  const active = mean(powers.filter((power) => power >= gate));
  return Math.max(SILENCE_DB, 10 * Math.log10(active + 1e-20));
}

/** The factor that brings a recording of that level to the one at which models see it. */
export const modelGain = (levelDb) => 10 ** (Math.min(REFERENCE_DB - levelDb, MOST_GAIN_DB) / 20);
