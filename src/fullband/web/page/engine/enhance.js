/* Narrow audio in, wide audio out: the signal path of `fullband.enhancement`, over a whole
   recording. A recording is a list of channels, each a Float32Array. */

import { bandwidthsAt, measureBandwidth } from "./bandwidth.js";
import { contentKind } from "./content.js";
import { crossoverWidthHz, filtered, highpassKernel, lowpassKernel, switched } from "./filters.js";
import { LOOKED_AT_HZ, RIDDLED, holeShare } from "./holes.js";
import { activeLevelDb, modelGain } from "./level.js";
import { BELOW_MIRROR } from "./mirror.js";
import { roundEven } from "./numbers.js";
import { resample } from "./resample.js";

const PASSED = 0.95;
const HOLES_BELOW = 0.95;
const FILLED_FROM_HZ = 800;
const GATE_HZ = 50;
const FADE_S = 0.05;
const QUIETER_DB = 30;

/** What is known of a recording once it has been heard. */
export function analyse(channels, sampleRate) {
  let peak = 0;
  for (const channel of channels) for (const value of channel) peak = Math.max(peak, Math.abs(value));
  const bandwidth = measureBandwidth(channels, sampleRate);
  const looked = Math.min(LOOKED_AT_HZ[1], HOLES_BELOW * bandwidth.bandwidthHz);
  return {
    sampleRate,
    peak,
    ...bandwidth,
    levelDb: activeLevelDb(channels, sampleRate),
    channelLevelsDb: channels.map((channel) => activeLevelDb([channel], sampleRate)),
    kind: contentKind(channels, sampleRate),
    holes: holeShare(channels, sampleRate, LOOKED_AT_HZ[0], looked),
  };
}

/** The recording with the band that it lacks: `{ wide, kept, sampleRate, added }`.

    `wide` and `kept`, the recording itself, have the model's rate, or the recording's where that is
    higher. `network` is what runs the model (see network.js), `detail` how much of the new band is
    added, `progress` is told the part that is done. */
export async function enhance(channels, analysis, network, detail = 1, progress = () => {}) {
  const { sampleRate } = analysis;
  const { card } = network;
  const modelRate = card.sample_rate;
  const targetRate = Math.max(sampleRate, modelRate);
  const bands = missingBands(card, analysis, modelRate, targetRate);
  const added = bands.some((band) => band.stopHz !== null) && analysis.peak > 0 && detail > 0;
  if (!added) {
    const kept = channels.map((channel) => resample(channel, sampleRate, targetRate));
    return { wide: kept, kept, sampleRate: targetRate, added };
  }
  const quietestDb = analysis.levelDb - QUIETER_DB;
  const kernels = bands.map(({ bandwidthHz, stopHz }) =>
    stopHz === null ? null : highpassKernel(modelRate, stopHz, crossoverWidthHz(bandwidthHz)),
  );
  const starts = bands.map((band) => band.start);
  const told = (positions) => bandwidthsAt(bands, positions);
  const gains = analysis.channelLevelsDb.map((db) => modelGain(Math.max(db, quietestDb)));
  const sources = channels.map((channel) => withoutMirror(channel, analysis));
  const allKept = sources.map((source) => resample(source, sampleRate, targetRate));
  const bases =
    modelRate === targetRate
      ? allKept
      : sources.map((source) => resample(source, sampleRate, modelRate));
  const seen = bases.map((base, number) => base.map((value) => value * gains[number]));
  const allBeyond = await network.run(seen, told, progress);
  const wide = [];
  for (const [number, beyond] of allBeyond.entries()) {
    const [base, gain, kept] = [bases[number], gains[number], allKept[number]];
    for (let i = 0; i < beyond.length; i++) beyond[i] = (beyond[i] / gain - base[i]) * detail;
    const filteredBand = switched(beyond, kernels, starts, roundEven(FADE_S * modelRate));
    const newBand = resample(filteredBand, modelRate, targetRate);
    const sum = new Float32Array(kept.length);
    for (let i = 0; i < sum.length; i++) sum[i] = kept[i] + (newBand[i] ?? 0);
    wide.push(sum);
  }
  return { wide, kept: allKept, sampleRate: targetRate, added };
}

function withoutMirror(channel, { mirrorHz, sampleRate }) {
  if (mirrorHz === null) return channel;
  const passHz = BELOW_MIRROR * mirrorHz;
  return filtered(channel, lowpassKernel(sampleRate, passHz, 2 * (mirrorHz - passHz)));
}

/** What is to be added from one sample on, at the model's rate: `{ start, bandwidthHz, stopHz }`,
    the last being null where nothing is. */
function missingBands(card, analysis, modelRate, targetRate) {
  const [lowestHz, highestHz] = card.bandwidth_range_hz;
  const fills = card.fills_holes && analysis.holes >= RIDDLED;
  return analysis.segments.map((segment) => {
    let bandwidthHz = segment.bandwidthHz;
    if (analysis.sampleRate !== modelRate) {
      bandwidthHz = Math.min(bandwidthHz, (PASSED * analysis.sampleRate) / 2);
    }
    bandwidthHz = Math.min(Math.max(bandwidthHz, lowestHz), modelRate / 2);
    const adds = bandwidthHz < Math.min(highestHz, targetRate / 2);
    let stopHz = bandwidthHz - GATE_HZ - crossoverWidthHz(bandwidthHz);
    if (fills) stopHz = Math.min(stopHz, FILLED_FROM_HZ);
    const start = roundEven((segment.start * modelRate) / analysis.sampleRate);
    return { start, bandwidthHz, stopHz: adds ? stopHz : null };
  });
}
