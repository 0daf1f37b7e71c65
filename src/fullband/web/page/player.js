/* Two versions of a recording at the same instant. Both run at once, each behind a gain of its own;
   choosing one crossfades, so that nothing stops. */

const FADE_S = 0.01;

let context = null;

export class Player {
  /** `load` promises the channels of each version, all at `sampleRate` and of one length, `duration`
      seconds. `changed` is called when it starts, stops or ends by itself. */
  constructor(load, sampleRate, duration, changed) {
    Object.assign(this, { load, sampleRate, duration, changed });
    this.version = "";
    this.offset = 0;
    this.voices = null;
    this.wishes = 0; /* counts wishes to play or stop: one that still loads may be out of date */
  }

  get playing() {
    return this.voices !== null;
  }

  /** Where it is, in seconds. */
  get position() {
    if (!this.playing) return this.offset;
    return Math.min(this.duration, this.offset + Math.max(0, context.currentTime - this.begun));
  }

  async play() {
    if (this.playing) return;
    const wish = ++this.wishes;
    context ??= new AudioContext();
    await context.resume();
    this.buffers ??= Object.fromEntries(
      Object.entries(await this.load()).map(([name, channels]) => [name, this.bufferOf(channels)]),
    );
    if (wish !== this.wishes) return;
    if (this.offset >= this.duration) this.offset = 0;
    this.begun = context.currentTime + 0.02;
    this.voices = Object.fromEntries(
      Object.entries(this.buffers).map(([name, buffer]) => {
        const source = new AudioBufferSourceNode(context, { buffer });
        const gain = new GainNode(context, { gain: name === this.version ? 1 : 0 });
        source.connect(gain).connect(context.destination);
        source.start(this.begun, this.offset);
        return [name, { source, gain }];
      }),
    );
    const voices = this.voices;
    Object.values(voices)[0].source.onended = () => {
      if (this.voices === voices) this.stop(this.duration);
    };
    this.changed();
  }

  pause() {
    this.wishes += 1;
    if (this.playing) this.stop(this.position);
  }

  /** Pause, and keep nothing in memory that can be loaded again. */
  rest() {
    this.pause();
    this.buffers = null;
  }

  seek(seconds) {
    const playing = this.playing;
    this.stop(Math.min(this.duration, Math.max(0, seconds)));
    if (playing) this.play();
  }

  choose(version) {
    this.version = version;
    for (const [name, { gain }] of Object.entries(this.voices ?? {})) {
      const now = context.currentTime;
      gain.gain.cancelScheduledValues(now);
      gain.gain.setValueAtTime(gain.gain.value, now);
      gain.gain.linearRampToValueAtTime(name === version ? 1 : 0, now + FADE_S);
    }
  }

  stop(at) {
    const voices = this.voices;
    this.voices = null;
    this.offset = at;
    for (const { source, gain } of Object.values(voices ?? {})) {
      source.onended = null;
      gain.gain.setTargetAtTime(0, context.currentTime, FADE_S / 3);
      source.stop(context.currentTime + FADE_S * 2);
    }
    this.changed();
  }

  bufferOf(channels) {
    const buffer = new AudioBuffer({
      length: channels[0].length,
      numberOfChannels: channels.length,
      sampleRate: this.sampleRate,
    });
    channels.forEach((channel, i) => buffer.copyToChannel(channel, i));
    return buffer;
  }
}
