/* The microphone, as a file. */

export class Recorder {
  get running() {
    return this.media?.state === "recording";
  }

  /** Throws what can be shown where the microphone is not there or not allowed. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("This browser records only from pages on https or on this machine.");
    }
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch((error) => {
      throw new Error(`The microphone cannot be used (${error.message}).`);
    });
    const pieces = [];
    this.media = new MediaRecorder(stream);
    this.media.ondataavailable = ({ data }) => pieces.push(data);
    this.file = new Promise((resolve) => {
      this.media.onstop = () => {
        stream.getTracks().forEach((track) => track.stop());
        resolve(new File(pieces, "recording.webm", { type: this.media.mimeType }));
      };
    });
    this.media.start();
  }

  stop() {
    this.media.stop();
    return this.file;
  }
}
