/* The engine in a thread of its own: analyses and enhances what it is sent, one after the other.

   In:  { id, channels, sampleRate, model, detail, gpu }, with `made` what a server has made of it,
        { cancel: id }, and { prepare: true }
   Out: { id, analysis, before }, { id, progress }, and { id, result } or { id, error }. */

import { analyse, enhance } from "./enhance.js";
import { openNetwork } from "./network.js";
import { monoOf } from "./numbers.js";
import { resample } from "./resample.js";
import { painted, spectrogram } from "./spectrogram.js";

const TOP_HZ = 24_000;
const WIDTH = 900;
const HEIGHT = 240;
const MOST_THREADS = 4;

const here = new URL("..", import.meta.url);
const cancelled = new Set();
const networks = new Map();
const runtimes = new Map(); /* by whether they run on the graphics card */
let cards = null;
let last = Promise.resolve();

self.onmessage = ({ data }) => {
  if (data.cancel !== undefined) cancelled.add(data.cancel);
  else if (data.prepare) last = last.then(() => networkOf("speech")).catch(() => {});
  else last = last.then(() => answer(data));
};

async function answer({ id, channels, sampleRate, made, ...settings }) {
  const check = () => {
    if (cancelled.delete(id)) throw new Error("cancelled");
  };
  try {
    check();
    const analysis = analyse(channels, sampleRate);
    const levels = spectrogram(monoOf(channels), sampleRate, TOP_HZ, WIDTH, HEIGHT);
    const loudest = levels.reduce((a, b) => Math.max(a, b), -100);
    self.postMessage({ id, analysis, before: picture(levels, loudest) });
    const found = made
      ? beside(channels, sampleRate, made)
      : await run(channels, analysis, settings, (progress) => {
          check();
          self.postMessage({ id, progress });
        });
    const { wide, kept, sampleRate: rate } = found;
    const paint = (samples) => picture(spectrogram(samples, rate, TOP_HZ, WIDTH, HEIGHT), loudest);
    const monoWide = monoOf(wide);
    const monoKept = monoOf(kept);
    const result = {
      ...found,
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

async function run(channels, analysis, { model, detail, gpu }, progress) {
  const network = await networkOf(model === "auto" ? analysis.kind : model, gpu);
  const begun = performance.now();
  const found = await enhance(channels, analysis, network, detail, progress);
  const seconds = (performance.now() - begun) / 1000;
  const { threads, gpu: onGpu } = network.on;
  return { ...found, model: network.card.name, seconds, threads, gpu: onGpu };
}

/** What a server has made, and the recording at its rate. */
function beside(channels, sampleRate, { channels: wide, sampleRate: rate, ...about }) {
  const kept = channels.map((channel) => {
    const fitting = new Float32Array(wide[0].length);
    const resampled = resample(channel, sampleRate, rate);
    fitting.set(resampled.subarray(0, fitting.length));
    return fitting;
  });
  return { ...about, wide, kept, sampleRate: rate, threads: 0 };
}

function picture(levels, loudest) {
  return { pixels: painted(levels, loudest), width: WIDTH, height: HEIGHT, topHz: TOP_HZ };
}

function networkOf(name, gpu = false) {
  const key = `${name} ${gpu}`;
  if (!networks.has(key)) {
    const opening = open(name, gpu);
    opening.catch(() => networks.delete(key)); /* may be tried again */
    networks.set(key, opening);
  }
  return networks.get(key);
}

async function open(name, gpu) {
  cards ??= await (await fetched("models.json")).json();
  const card = cards.models.find((each) => each.name === name);
  if (!card) throw new Error(`there is no model '${name}'`);
  const ort = await runtimeOn(gpu);
  const graph = await (await fetched(`models/${name}.onnx`)).arrayBuffer();
  const network = await openNetwork(ort, card, new Uint8Array(graph), gpu ? ["webgpu"] : ["wasm"]);
  return Object.assign(network, { on: { gpu, threads: ort.env.wasm.numThreads } });
}

function runtimeOn(gpu) {
  if (!runtimes.has(gpu)) {
    const name = gpu ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
    runtimes.set(
      gpu,
      import(new URL(`vendor/${name}`, here)).then((ort) => {
        ort.env.wasm.wasmPaths = new URL("vendor/", here).href;
        const cores = navigator.hardwareConcurrency || 1;
        ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MOST_THREADS, cores) : 1;
        return ort;
      }),
    );
  }
  return runtimes.get(gpu);
}

async function fetched(path) {
  const response = await fetch(new URL(path, here));
  if (!response.ok) throw new Error(`${path} cannot be fetched (${response.status})`);
  return response;
}
