/* In the audio thread: the microphone in packets, and what comes back, without gaps if it can be. */

const LEAD_S = 0.04; /* waits before it plays, for packets that come late */
const MOST_S = 0.3; /* waits at most; older sound is dropped */

registerProcessor(
  "capture",
  class extends AudioWorkletProcessor {
    constructor({ processorOptions }) {
      super();
      this.packet = new Float32Array(processorOptions.packet);
      this.filled = 0;
    }

    process([[samples]]) {
      for (const sample of samples ?? []) {
        this.packet[this.filled++] = sample;
        if (this.filled === this.packet.length) {
          this.port.postMessage(this.packet.slice());
          this.filled = 0;
        }
      }
      return true;
    }
  },
);

registerProcessor(
  "playback",
  class extends AudioWorkletProcessor {
    constructor() {
      super();
      this.waiting = [];
      this.length = 0;
      this.at = 0; /* in the first block that waits */
      this.starved = true;
      this.port.onmessage = ({ data }) => {
        this.waiting.push(data);
        this.length += data.length;
        while (this.length > MOST_S * sampleRate) this.dropped();
      };
    }

    process(_, [[output]]) {
      if (this.starved && this.length < LEAD_S * sampleRate) return true;
      this.starved = false;
      for (let i = 0; i < output.length; i++) {
        if (!this.waiting.length) {
          this.starved = true;
          break;
        }
        output[i] = this.waiting[0][this.at++];
        this.length -= 1;
        if (this.at === this.waiting[0].length) {
          this.waiting.shift();
          this.at = 0;
        }
      }
      return true;
    }

    dropped() {
      this.length -= this.waiting.shift().length - this.at;
      this.at = 0;
    }
  },
);
