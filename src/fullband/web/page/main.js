/* The page: takes recordings, has the engine's worker enhance them one after the other, and shows
   each with its pictures, a player and a way to save it. */

import { enhanceAway } from "./away.js";
import { FileError, readAudio, writeAudio } from "./files.js";
import { offerLive } from "./live.js";
import { Player } from "./player.js";
import { Recorder } from "./recorder.js";

const byId = (id) => document.getElementById(id);
const worker = new Worker(new URL("engine/worker.js", import.meta.url), { type: "module" });
const recordings = new Map(); /* by number */
let current = null; /* the recording that keys go to */

worker.onmessage = ({ data }) => recordings.get(data.id)?.hear(data);
worker.onerror = (event) => {
  event.preventDefault();
  say("The engine could not be started. A newer browser may help.");
};

const say = (text) => (byId("said").textContent = text);
const kilohertz = (hz) => `${(hz / 1000).toFixed(hz < 9950 ? 1 : 0)} kHz`;
const clock = (seconds) => {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
};

class Recording {
  constructor(file) {
    this.file = file;
    this.id = recordings.size + 1;
    recordings.set(this.id, this);
    this.element = byId("recording").content.firstElementChild.cloneNode(true);
    this.find("h2").textContent = file.name;
    this.find("h2").id = `recording-${this.id}`;
    this.element.setAttribute("aria-labelledby", `recording-${this.id}`);
    this.element.addEventListener("pointerdown", () => (current = this));
    this.element.addEventListener("focusin", () => (current = this));
    this.find(".cancel").onclick = () => this.cancel();
    this.find(".remove").onclick = () => this.remove();
    this.ended = new Promise((resolve) => (this.end = resolve));
    byId("recordings").prepend(this.element);
    current = this;
    this.show("waiting", null);
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  async begin() {
    if (this.over) return;
    this.began = performance.now();
    this.show("reading", null);
    const where = byId("where").value;
    const settings = { model: byId("model").value, detail: byId("detail").value / 100 };
    try {
      const { channels, sampleRate } = await readAudio(this.file);
      if (this.over) return;
      this.find(".about").textContent =
        `${clock(channels[0].length / sampleRate)}, ${kilohertz(sampleRate)} sample rate` +
        (channels.length > 1 ? `, ${channels.length} channels` : "");
      const made = where === "server" ? await this.send(settings) : null;
      if (this.over) return;
      this.show("listening", null);
      const buffers = [...channels, ...(made?.channels ?? [])].map((channel) => channel.buffer);
      const gpu = where === "gpu";
      worker.postMessage({ id: this.id, channels, sampleRate, ...settings, gpu, made }, buffers);
    } catch (error) {
      if (this.over) return;
      this.fail(error instanceof FileError ? error.message : `failed (${error?.message ?? error})`);
    }
  }

  send(settings) {
    this.show("sending to the server", null);
    this.leaving = new AbortController();
    const progress = (part) => this.show("on the server", part);
    return enhanceAway(this.file, { ...settings, progress, signal: this.leaving.signal });
  }

  cancel() {
    worker.postMessage({ cancel: this.id });
    this.fail("cancelled");
    this.leaving?.abort();
  }

  remove() {
    if (!this.over) this.cancel();
    this.player?.rest();
    this.result = null;
    this.element.remove();
    if (current === this) current = null;
    showSaveAll();
    byId("recordings").focus();
  }

  hear({ analysis, before, progress, result, error }) {
    if (this.over) return;
    if (analysis) this.heard(analysis, before);
    else if (progress !== undefined) this.show("adding treble", progress);
    else if (result) this.done(result);
    else if (error) this.fail(error);
  }

  heard(analysis, before) {
    this.analysis = analysis;
    const end = analysis.bandwidthHz;
    const [figure] = this.element.querySelectorAll("figure");
    const label = `Spectrogram of the original: content up to ${kilohertz(end)}`;
    draw(figure, before, label);
    const line = this.find(".end");
    if (end < before.topHz) {
      line.style.top = `${100 * (1 - end / before.topHz)}%`;
      line.querySelector("span").textContent = `content ends at ${kilohertz(end)}`;
      line.hidden = false;
    }
    this.show("adding treble", null);
  }

  done(result) {
    this.over = true;
    /* As blobs they need not lie in memory, where many long recordings would not fit. */
    const stored = (channels) => channels.map((channel) => new Blob([channel]));
    const duration = result.wide[0].length / result.sampleRate;
    const { sampleRate, after, difference } = result;
    this.result = { sampleRate, wide: stored(result.wide), kept: stored(result.kept) };
    const [, figure] = this.element.querySelectorAll("figure");
    figure.hidden = false;
    draw(figure, after, "Spectrogram of the wide version");
    const button = this.find(".difference");
    button.onclick = () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", pressed);
      figure.querySelector(".title").textContent = pressed ? "Added" : "Wide";
      const label = pressed ? "Spectrogram of what was added" : "Spectrogram of the wide version";
      draw(figure, pressed ? difference : after, label);
    };
    const load = async () => ({
      a: await channelsOf(this.result.kept),
      b: await channelsOf(this.result.wide),
    });
    this.player = new Player(load, sampleRate, duration, () => this.played());
    this.find(".play").onclick = () => this.toggle();
    for (const button of this.element.querySelectorAll("[data-version]")) {
      button.onclick = () => this.choose(button.dataset.version);
    }
    const position = this.find(".position");
    position.max = this.player.duration;
    position.oninput = () => this.player.seek(Number(position.value));
    for (const picture of this.element.querySelectorAll(".picture")) {
      picture.onclick = (event) => {
        const { left, width } = picture.getBoundingClientRect();
        this.player.seek(((event.clientX - left) / width) * this.player.duration);
      };
    }
    this.find(".save").onclick = () => this.save();
    this.choose("b");
    this.find(".working").hidden = true;
    this.find(".result").hidden = false;
    const seconds = (performance.now() - this.began) / 1000;
    const times = this.player.duration / result.seconds;
    this.find(".took").textContent = result.added
      ? `${result.model}, ${seconds.toFixed(1)} s after it was dropped, ${times.toFixed(1)} times real time` +
        (result.gpu ? " on the graphics card" : result.threads ? "" : " on the server")
      : "nothing was missing: it is as wide as the model makes";
    this.element.dataset.state = "done";
    this.element.dataset.figures = JSON.stringify({
      seconds,
      enhancing: result.seconds,
      duration: this.player.duration,
      threads: result.threads,
      model: result.model,
    });
    this.played();
    showSaveAll();
    this.end();
    say(`${this.file.name} is done.`);
  }

  fail(message) {
    this.over = true;
    this.find(".working").hidden = true;
    this.find(".pictures").hidden = !this.analysis;
    const error = this.find(".error");
    error.textContent = `${this.file.name}: ${message}`;
    error.hidden = false;
    this.element.dataset.state = "failed";
    this.end();
  }

  show(stage, progress) {
    const bar = this.find("progress");
    if (progress === null) bar.removeAttribute("value");
    else bar.value = progress;
    bar.setAttribute("aria-label", stage);
    this.find(".stage").textContent = stage;
    this.element.dataset.state = "working";
  }

  toggle() {
    if (!this.player) return;
    if (this.player.playing) this.player.pause();
    else {
      for (const other of recordings.values()) if (other !== this) other.player?.rest();
      this.player.play();
    }
  }

  choose(version) {
    this.player?.choose(version);
    for (const button of this.element.querySelectorAll("[data-version]")) {
      const chosen = button.dataset.version === version;
      button.setAttribute("aria-checked", chosen);
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  played() {
    const { playing, position, duration } = this.player;
    const button = this.find(".play");
    button.textContent = playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", playing);
    this.find(".position").value = position;
    this.find(".position").setAttribute("aria-valuetext", `${clock(position)} of ${clock(duration)}`);
    this.find(".time").textContent = `${clock(position)} / ${clock(duration)}`;
    for (const head of this.element.querySelectorAll(".playhead")) {
      head.style.left = `${(100 * position) / duration}%`;
    }
    if (playing) requestAnimationFrame(() => this.player.playing && this.played());
  }

  async save() {
    const button = this.find(".save");
    const { wide, sampleRate } = this.result;
    button.disabled = true;
    try {
      const channels = await channelsOf(wide);
      const { blob, ending } = await writeAudio(channels, sampleRate, this.find(".format").value);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${this.file.name.replace(/\.[^.]*$/, "")}-wide.${ending}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      say(`${link.download} is saved.`);
    } catch (error) {
      say(`It could not be saved so (${error?.message ?? error}); try WAV.`);
    } finally {
      button.disabled = false;
    }
  }
}

function draw(figure, { pixels, width, height }, label) {
  const canvas = figure.querySelector("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.setAttribute("aria-label", label);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

const channelsOf = (blobs) =>
  Promise.all(blobs.map(async (blob) => new Float32Array(await blob.arrayBuffer())));

const finished = () => [...recordings.values()].filter((recording) => recording.result);
const showSaveAll = () => (document.querySelector(".all").hidden = finished().length < 2);

let queue = Promise.resolve();

/* One after the other: what waits is not read yet. */
function take(files) {
  for (const recording of [...files].map((file) => new Recording(file))) {
    queue = queue.then(async () => {
      await recording.begin();
      await recording.ended;
    });
  }
}

byId("save-all").onclick = async () => {
  for (const recording of finished()) await recording.save();
};

/* --- ways in -------------------------------------------------------------------------------- */

byId("files").onchange = ({ target }) => {
  take(target.files);
  target.value = "";
};

const drop = byId("drop");
let over = 0;
addEventListener("dragenter", () => drop.classList.toggle("over", ++over > 0));
addEventListener("dragleave", () => drop.classList.toggle("over", --over > 0));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0;
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});
addEventListener("paste", (event) => take(event.clipboardData.files));

byId("example").onclick = async () => {
  const response = await fetch(new URL("example.wav", import.meta.url));
  take([new File([await response.blob()], "a telephone call.wav", { type: "audio/wav" })]);
};

const recorder = new Recorder();
byId("record").onclick = async () => {
  const button = byId("record");
  try {
    if (!recorder.running) {
      await recorder.start();
      say("Recording. Press the button again to end it.");
    } else {
      const file = await recorder.stop();
      say("");
      take([file]);
    }
  } catch (error) {
    say(error.message);
  }
  button.setAttribute("aria-pressed", recorder.running);
  button.textContent = recorder.running ? "Stop" : "Record";
};

byId("detail").oninput = ({ target }) => (byId("detail-shown").textContent = `${target.value} %`);
byId("settings").onsubmit = (event) => event.preventDefault();

addEventListener("keydown", (event) => {
  const { target, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || !current?.player) return;
  const typing = target.matches("input, select, textarea");
  if (key === " " && !typing && !target.matches("button, summary, a")) current.toggle();
  else if (/^[ab]$/i.test(key) && !target.matches("select")) current.choose(key.toLowerCase());
  else if (/^Arrow(Left|Right)$/.test(key) && target.matches("[role=radio]")) {
    current.choose(current.player.version === "a" ? "b" : "a");
    current.find("[aria-checked=true]").focus();
  } else if (/^Arrow(Left|Right)$/.test(key) && !typing) {
    current.player.seek(current.player.position + (key === "ArrowLeft" ? -2 : 2));
  } else return;
  event.preventDefault();
});

/* Where the work can be done: what is not there is not offered. */
const ON_SERVER = "on this page's server, sent there";
const ON_CARD = "on the graphics card";
const offerPlaces = () => {
  const choice = byId("where").options.length > 1;
  for (const element of document.querySelectorAll(".choice")) element.hidden = !choice;
};
navigator.gpu?.requestAdapter().then((adapter) => {
  if (adapter) byId("where").add(new Option(ON_CARD, "gpu"), 1);
  offerPlaces();
});

/* --- beginning ------------------------------------------------------------------------------ */

fetch(new URL("models.json", import.meta.url))
  .then((response) => response.json())
  .then(({ models, server }) => {
    for (const { name, summary } of models) {
      byId("model").add(new Option(`${name}: ${summary}`, name));
    }
    if (server) byId("where").add(new Option(ON_SERVER, "server"));
    offerPlaces();
    offerLive(server, say);
    document.documentElement.dataset.ready = "true";
  })
  .catch(() => say("The list of models could not be fetched: is the server still there?"));
if (!navigator.connection?.saveData) worker.postMessage({ prepare: true });
