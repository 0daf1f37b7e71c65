/* Sounds that run side by side, of which one is heard; a part of them is repeated without a click. */

const FADE_S = 0.01; /* between sounds: they are aligned, so the fade adds up to one of them */
const EDGE_S = 0.005; /* at the ends of a loop, as a raised cosine */

/* A part of a buffer whose ends are faded, so that it can follow itself. */
const excerpt = (buffer, from, to) => {
  const rate = buffer.sampleRate;
  const first = Math.round(from * rate);
  const length = Math.max(1, Math.min(Math.round(to * rate), buffer.length) - first);
  const edge = Math.min(Math.round(EDGE_S * rate), length >> 1);
  const part = new AudioBuffer({
    length,
    numberOfChannels: buffer.numberOfChannels,
    sampleRate: rate,
  });
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const samples = buffer.getChannelData(channel).slice(first, first + length);
    for (let i = 0; i < edge; i++) {
      const gain = 0.5 - 0.5 * Math.cos((Math.PI * (i + 0.5)) / edge);
      samples[i] *= gain;
      samples[length - 1 - i] *= gain;
    }
    part.copyToChannel(samples, channel);
  }
  return part;
};

export class Player {
  /* changed: called whenever what is shown of it has changed. */
  constructor(changed) {
    this.changed = changed;
    this.context = null;
    this.voices = null; /* what sounds: sources and gains, one for each buffer */
    this.clear();
  }

  clear() {
    this.pause();
    this.buffers = [];
    this.parts = [];
    this.heard = []; /* seconds, of each sound */
    this.current = 0;
    this.from = 0;
    this.to = 0;
    this.at = 0; /* seconds from the beginning, while nothing sounds */
  }

  /* At the sounds' own rate, so that nothing is resampled before it is mixed. What plays is only
     opened once the listener asks for it, as browsers want it. */
  async load(files, sampleRate) {
    const decoder = new OfflineAudioContext(1, 1, sampleRate);
    const buffers = await Promise.all(files.map((file) => decoder.decodeAudioData(file)));
    this.clear();
    this.sampleRate = sampleRate;
    this.buffers = buffers;
    this.heard = buffers.map(() => 0);
    this.to = buffers[0].duration;
    this.cut();
  }

  get playing() {
    return this.voices !== null;
  }

  get duration() {
    return this.buffers.length ? this.buffers[0].duration : 0;
  }

  now() {
    if (!this.voices) return this.at;
    const since = Math.max(0, this.context.currentTime - this.begun);
    return this.from + ((this.at - this.from + since) % (this.to - this.from));
  }

  play() {
    if (this.voices || !this.buffers.length) return;
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: this.sampleRate });
      this.output = new GainNode(this.context);
      this.output.connect(this.context.destination);
    }
    this.context.resume();
    this.begun = this.context.currentTime + FADE_S;
    this.counted = this.begun;
    this.voices = this.parts.map((buffer, index) => {
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
      const level = new GainNode(this.context, { gain: 0 });
      source.connect(level).connect(this.output);
      source.start(this.begun, this.at - this.from);
      level.gain.setValueAtTime(0, this.begun);
      level.gain.linearRampToValueAtTime(index === this.current ? 1 : 0, this.begun + FADE_S);
      return { source, level };
    });
    const follow = () => {
      if (!this.voices) return;
      this.count();
      this.changed();
      requestAnimationFrame(follow);
    };
    follow();
  }

  pause() {
    if (!this.voices) return;
    this.count();
    this.at = this.now();
    const time = this.context.currentTime;
    for (const { source, level } of this.voices) {
      level.gain.cancelScheduledValues(time);
      level.gain.setTargetAtTime(0, time, FADE_S / 4);
      source.stop(time + 2 * FADE_S);
    }
    this.voices = null;
    this.changed();
  }

  /* Hear another sound, at the same instant. */
  choose(index) {
    if (index === this.current) return;
    if (this.voices) this.count();
    this.current = index;
    if (this.voices) {
      const time = this.context.currentTime;
      this.voices.forEach(({ level }, each) => {
        level.gain.cancelScheduledValues(time);
        level.gain.setValueAtTime(level.gain.value, time);
        level.gain.linearRampToValueAtTime(each === index ? 1 : 0, time + FADE_S);
      });
    }
    this.changed();
  }

  seek(seconds) {
    this.again(() => {
      this.at = Math.min(Math.max(this.from, seconds), this.to - 0.01);
    });
  }

  loop(from, to) {
    this.again(() => {
      this.from = from;
      this.to = to;
      this.at = Math.min(Math.max(from, this.at), to - 0.01);
      this.cut();
    });
  }

  again(change) {
    const playing = this.playing;
    this.pause();
    change();
    if (playing) this.play();
    this.changed();
  }

  cut() {
    this.parts = this.buffers.map((buffer) => excerpt(buffer, this.from, this.to));
  }

  /* Add the time since the last count to what is on. */
  count() {
    const time = this.context.currentTime;
    this.heard[this.current] += Math.max(0, time - this.counted);
    this.counted = Math.max(this.counted, time);
  }
}
