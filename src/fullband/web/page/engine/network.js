/* Runs a released model with ONNX Runtime. As `fullband.engine`: a recording goes through in blocks,
   each with as much around it as the network can see, or frame by frame with a memory. */

const BLOCK_SAMPLES = 1 << 16;
const CONTEXTS = 8;
const STEPS = 128;

/** A model; `card` is what models.json says of it, `ort` the runtime, `graph` the model's file, and
    `executionProviders` what it runs on. */
export async function openNetwork(ort, card, graph, executionProviders = ["wasm"]) {
  /* Errors only: that shapes are worked out beside the card is no news. */
  const options = { executionProviders, logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(graph, options);
  return card.memory === null ? new Blocks(ort, session, card) : new Steps(ort, session, card);
}

class Blocks {
  constructor(ort, session, card) {
    Object.assign(this, { ort, session, card });
  }

  /** Channels at the model's rate and level. `told` says where content ends at positions. */
  async run(channels, told, progress) {
    const { stride, bandwidth_range_hz: range } = this.card;
    const context = Math.ceil(this.card.context / stride) * stride;
    const most = Math.max(BLOCK_SAMPLES / channels.length, CONTEXTS * this.card.context);
    const block = Math.max(stride, Math.floor(most / stride) * stride);
    const length = channels[0].length;
    const results = channels.map(() => new Float32Array(length));
    for (let at = 0; at < length; at += block) {
      const first = Math.max(0, at - context);
      const stop = Math.min(length, at + block);
      const end = Math.min(length, stop + context);
      const windows = channels.map((samples) => samples.slice(first, end));
      const positions = Array.from(
        { length: 1 + Math.floor((end - first) / stride) },
        (_, i) => first + i * stride,
      );
      const bandwidths = told(positions);
      const wide = bandwidths.every((hz) => hz >= range[1])
        ? windows
        : await this.runWindows(windows, bandwidths);
      for (const [number, result] of results.entries()) {
        result.set(wide[number].subarray(at - first, stop - first), at);
      }
      progress(stop / length);
    }
    return results;
  }

  /* Two by two, as channels come in pairs, and models may listen to both. */
  async runWindows(windows, bandwidths) {
    const { ort } = this;
    const results = [];
    for (let number = 0; number < windows.length; number += 2) {
      const pair = windows.slice(number, number + 2);
      const size = pair[0].length;
      const audio = new Float32Array(pair.length * size);
      const ends = new Float32Array(pair.length * bandwidths.length);
      for (const [channel, window] of pair.entries()) {
        audio.set(window, channel * size);
        ends.set(bandwidths, channel * bandwidths.length);
      }
      const { wide } = await this.session.run({
        audio: new ort.Tensor("float32", audio, [pair.length, size]),
        bandwidth_hz: new ort.Tensor("float32", ends, [pair.length, bandwidths.length]),
      });
      for (let channel = 0; channel < pair.length; channel++) {
        results.push(wide.data.subarray(channel * size, (channel + 1) * size));
      }
    }
    return results;
  }
}

class Steps {
  constructor(ort, session, card) {
    Object.assign(this, { ort, session, card });
  }

  async run(channels, told, progress) {
    const results = [];
    for (const [number, samples] of channels.entries()) {
      const part = (done) => progress((number + done) / channels.length);
      results.push(await this.runChannel(samples, told, part));
    }
    return results;
  }

  async runChannel(samples, told, progress) {
    const { ort } = this;
    const { stride, memory: size } = this.card;
    const length = (Math.ceil(samples.length / stride) + 1) * stride; /* a stride comes late */
    const result = new Float32Array(samples.length);
    const mix = new ort.Tensor("float32", Float32Array.of(1, 0), [1, 2]);
    let memory = new Float32Array(size);
    for (let at = 0; at < length; at += STEPS * stride) {
      const count = Math.min(STEPS, (length - at) / stride);
      const audio = new Float32Array(count * stride);
      audio.set(samples.subarray(at, at + audio.length));
      const bandwidths = told(Array.from({ length: count }, (_, i) => at + i * stride));
      const found = await this.session.run({
        audio: new ort.Tensor("float32", audio, [1, count, stride]),
        bandwidth_hz: new ort.Tensor("float32", bandwidths, [1, count]),
        mix,
        memory: new ort.Tensor("float32", memory, [1, size]),
      });
      memory = found.memory_after.data;
      const from = at - stride;
      const wide = from < 0 ? found.wide.data.subarray(stride) : found.wide.data;
      const into = Math.max(0, from);
      result.set(wide.subarray(0, Math.max(0, result.length - into)), into);
      progress(Math.min(1, (at + audio.length) / length));
    }
    return result;
  }
}
