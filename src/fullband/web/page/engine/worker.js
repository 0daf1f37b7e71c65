/* The engine in a thread of its own: analyses and enhances what it is sent, one after the other.

   In:  { id, channels, sampleRate, model, detail }   and { cancel: id }, { prepare: true }
   Out: { id, analysis, before }, { id, progress }, and { id, result } or { id, error }. */

import { analyse, enhance } from "./enhance.js";
import { openNetwork } from "./network.js";
import { monoOf } from "./numbers.js";
import { painted, spectrogram } from "./spectrogram.js";

const TOP_HZ = 24_000;
const WIDTH = 900;
const HEIGHT = 240;
const MOST_THREADS = 4;

const here = new URL("..", import.meta.url);
const cancelled = new Set();
const networks = new Map();
let runtime = null;
let cards = null;
let last = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.cancel !== undefined) cancelled.add(data.cancel);
  else if (data.prepare) last = last.then(() => networkOf("speech")).catch(() => {});
  else last = last.then(() => answer(data));
};

async function answer({ id, channels, sampleRate, model, detail }) {
  try {
    if (cancelled.delete(id)) throw new Error("cancelled");
    const begun = performance.now();
    const analysis = analyse(channels, sampleRate);
    const mono = monoOf(channels);
    const levels = spectrogram(mono, sampleRate, TOP_HZ, WIDTH, HEIGHT);
    const loudest = levels.reduce((a, b) => Math.max(a, b), -100);
    self.postMessage({ id, analysis, before: picture(levels, loudest) });
    const network = await networkOf(model === "auto" ? analysis.kind : model);
    const ready = performance.now();
    const found = await enhance(channels, analysis, network, detail, (progress) => {
      if (cancelled.delete(id)) throw new Error("cancelled");
      self.postMessage({ id, progress });
    });
    const seconds = (performance.now() - ready) / 1000;
    const { wide, kept, sampleRate: rate, added } = found;
    const paint = (samples) => picture(spectrogram(samples, rate, TOP_HZ, WIDTH, HEIGHT), loudest);
    const monoWide = monoOf(wide);
    const monoKept = monoOf(kept);
    const result = {
      wide,
      kept,
      sampleRate: rate,
      added,
      model: network.card.name,
      seconds,
      totalSeconds: (performance.now() - begun) / 1000,
      threads: runtime.env.wasm.numThreads,
      after: paint(monoWide),
      difference: paint(monoWide.map((value, i) => value - monoKept[i])),
    };
    const buffers = new Set([...wide, ...kept].map((channel) => channel.buffer));
    self.postMessage({ id, result }, [...buffers]);
  } catch (error) {
    cancelled.delete(id);
    self.postMessage({ id, error: String(error?.message ?? error) });
  }
}

function picture(levels, loudest) {
  return { pixels: painted(levels, loudest), width: WIDTH, height: HEIGHT, topHz: TOP_HZ };
}

function networkOf(name) {
  if (!networks.has(name)) {
    const opening = open(name);
    opening.catch(() => networks.delete(name)); /* may be tried again */
    networks.set(name, opening);
  }
  return networks.get(name);
}

async function open(name) {
  if (runtime === null) {
    const ort = await import(new URL("vendor/ort.wasm.min.mjs", here));
    ort.env.wasm.wasmPaths = new URL("vendor/", here).href;
    const cores = navigator.hardwareConcurrency || 1;
    ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, cores) : 1;
    runtime = ort;
  }
  cards ??= await (await fetched("models.json")).json();
  const card = cards.models.find((each) => each.name === name);
  if (!card) throw new Error(`there is no model '${name}'`);
  const graph = await (await fetched(`models/${name}.onnx`)).arrayBuffer();
  return openNetwork(runtime, card, new Uint8Array(graph));
}

async function fetched(path) {
  const response = await fetch(new URL(path, here));
  if (!response.ok) throw new Error(`${path} cannot be fetched (${response.status})`);
  return response;
}
