/* Talk and hear yourself wide: the microphone goes to the server's socket and comes back. */

import { addressOf } from "./away.js";

const SOURCE_RATE = 8000;
const TARGET_RATE = 48_000;
const PACKET_S = 0.02;
const STATED_S = 0.5; /* between two looks at the round trip */

/** Offer it, where the page's server has calls. */
export function offerLive(offered, say) {
  const section = document.getElementById("live");
  section.hidden = !offered;
  if (!offered) return;
  const button = document.getElementById("live-start");
  const bypass = document.getElementById("live-bypass");
  const shown = document.getElementById("live-shown");
  let call = null;
  const ended = (why = "") => {
    call = null;
    button.textContent = "Start";
    shown.textContent = "";
    if (why) say(why);
  };
  button.onclick = async () => {
    if (call) return call.end();
    button.disabled = true;
    try {
      call = await openCall(ended, (ms) => (shown.textContent = `${Math.round(ms)} ms there and back`));
      call.bypass(bypass.checked);
      button.textContent = "Stop";
    } catch (error) {
      ended(error.message);
    } finally {
      button.disabled = false;
    }
  };
  bypass.onchange = () => call?.bypass(bypass.checked);
}

async function openCall(ended, roundTrip) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("This browser gives the microphone only to pages on https or on this machine.");
  }
  const stream = await navigator.mediaDevices
    .getUserMedia({ audio: { echoCancellation: false } })
    .catch((error) => {
      throw new Error(`The microphone cannot be used (${error.message}).`);
    });
  /* A context at the telephone's rate has the browser lower it; another one plays. */
  const hearing = new AudioContext({ sampleRate: SOURCE_RATE, latencyHint: "interactive" });
  const speaking = new AudioContext({ sampleRate: TARGET_RATE, latencyHint: "interactive" });
  const worklet = new URL("live-worklet.js", import.meta.url);
  await Promise.all([hearing, speaking].map((each) => each.audioWorklet.addModule(worklet)));
  const microphone = new MediaStreamAudioSourceNode(hearing, { mediaStream: stream });
  const capture = new AudioWorkletNode(hearing, "capture", {
    processorOptions: { packet: PACKET_S * SOURCE_RATE },
  });
  const playback = new AudioWorkletNode(speaking, "playback", { outputChannelCount: [1] });
  microphone.connect(capture);
  playback.connect(speaking.destination);

  const parameters = { source_rate: SOURCE_RATE, target_rate: TARGET_RATE, in: "f32le", out: "f32le" };
  const address = addressOf("v1/live", parameters);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  socket.binaryType = "arraybuffer";

  const sent = []; /* [samples so far, when] */
  let taken = 0;
  let given = 0;
  let shown = 0;
  let told = ""; /* by the server, before it closes */
  capture.port.onmessage = ({ data }) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(data);
    taken += data.length / SOURCE_RATE;
    sent.push([taken, performance.now()]);
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      told = JSON.parse(data).error ?? told;
      return;
    }
    const samples = new Float32Array(data);
    given += samples.length / TARGET_RATE;
    playback.port.postMessage(samples, [data]);
    let when = null;
    while (sent.length && sent[0][0] <= given + 1e-9) when = sent.shift()[1];
    const now = performance.now();
    if (when !== null && now - shown > 1000 * STATED_S) {
      shown = now;
      roundTrip(now - when);
    }
  };
  const close = () => {
    stream.getTracks().forEach((track) => track.stop());
    hearing.close();
    speaking.close();
  };
  const opened = new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onclose = () => reject(new Error(told || "The server does not take the call."));
  });
  try {
    await opened;
  } catch (error) {
    close();
    throw error;
  }
  socket.onclose = () => {
    close();
    ended(told);
  };
  return {
    bypass: (on) => socket.send(JSON.stringify({ bypass: on })),
    end: () => socket.close(1000),
  };
}
