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

  /** One channel at the model's rate and level. `told` says where content ends at positions. */
  async run(samples, told, progress) {
    const { stride, bandwidth_range_hz: range } = this.card;
    const context = Math.ceil(this.card.context / stride) * stride;
    const most = Math.max(BLOCK_SAMPLES, CONTEXTS * this.card.context);
    const block = Math.max(stride, Math.floor(most / stride) * stride);
    const result = new Float32Array(samples.length);
    for (let at = 0; at < samples.length; at += block) {
      const first = Math.max(0, at - context);
      const stop = Math.min(samples.length, at + block);
      const window = samples.slice(first, Math.min(samples.length, stop + context));
      const positions = Array.from(
        { length: 1 + Math.floor(window.length / stride) },
        (_, i) => first + i * stride,
      );
      const bandwidths = told(positions);
      const wide = bandwidths.every((hz) => hz >= range[1])
        ? window
        : await this.runWindow(window, bandwidths);
      result.set(wide.subarray(at - first, stop - first), at);
      progress(stop / samples.length);
    }
    return result;
  }

  async runWindow(window, bandwidths) {
    const { ort } = this;
    const { wide } = await this.session.run({
      audio: new ort.Tensor("float32", window, [1, window.length]),
      bandwidth_hz: new ort.Tensor("float32", bandwidths, [1, bandwidths.length]),
    });
    return wide.data;
  }
}

class Steps {
  constructor(ort, session, card) {
    Object.assign(this, { ort, session, card });
  }

  async run(samples, told, progress) {
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
