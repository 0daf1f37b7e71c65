/* The page of a listening test. Trials and sounds are known by their places alone; what they are,
   only the server knows. Answers are stored there one trial at a time; what has been rated of a
   trial that is not done is kept in this browser, so that nothing is lost by a reload. */

import { Player } from "./player.js";

const LEAST_S = 2; /* a sound counts as heard after so long, or after its whole length */
const STEP = 0.1; /* s, of the ends of a loop */
const SHORTEST_S = 0.5; /* of a loop */
const TASK = {
  mushra: "How good is each sound compared with the reference?",
  abx: "Which one is X?",
};

const byId = (id) => document.getElementById(id);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const player = new Player(() => show());

let session = null;
let due = null; /* the trial that is due, as the server says it */
let scores = []; /* of sounds, null where not rated; of mushra */
let begun = 0; /* ms */
let earlier = 0; /* s, that went into this trial before a reload */
let busy = false;

/* --- the server ------------------------------------------------------------------------------- */

const ask = async (path, body) => {
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  const request = { headers };
  if (body !== undefined) {
    request.method = "POST";
    request.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error("The server cannot be reached. Is there a connection?");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  throw new Error(typeof said.detail === "string" ? `Sorry: ${said.detail}.` : "Sorry: that failed.");
};

const told = async (path, body) => (await ask(path, body)).json();
const mine = () => `v1/listeners/${encodeURIComponent(due.listener)}`;
const trialPath = () => `${mine()}/trials/${due.trial}`;

/* --- what this browser keeps ------------------------------------------------------------------ */

const kept = (name) => `fullband-listen ${session.id} ${name}`;

const keep = (name, value) => {
  try {
    if (value === null) localStorage.removeItem(kept(name));
    else localStorage.setItem(kept(name), JSON.stringify(value));
  } catch {
    /* a browser that keeps nothing: a reload begins the trial again */
  }
};

const keptOf = (name) => {
  try {
    return JSON.parse(localStorage.getItem(kept(name)));
  } catch {
    return null;
  }
};

const chosenOf = (name) => document.querySelector(`input[name=${name}]:checked`)?.value ?? null;
const elapsed = () => earlier + (performance.now() - begun) / 1000;

const keepDraft = () => {
  if (!due?.trial || !player.buffers.length) return;
  keep("draft", {
    listener: due.listener,
    trial: due.trial,
    scores,
    chosen: chosenOf("chosen"),
    confidence: chosenOf("confidence"),
    heard: player.heard,
    trial_s: elapsed(),
  });
};

/* --- screens ---------------------------------------------------------------------------------- */

const fail = (error) => {
  byId("error").textContent = error?.message ?? "";
  byId("error").hidden = !error;
};

const open = (id) => {
  for (const each of document.querySelectorAll("main > section")) each.hidden = each.id !== id;
  scrollTo(0, 0);
  byId(id).querySelector("h1").focus();
};

const welcome = () => {
  due = null;
  player.clear();
  byId("who").hidden = true;
  byId("progress").hidden = true;
  open("welcome");
};

const goOn = async () => {
  byId("who").hidden = false;
  byId("code-shown").textContent = due.listener;
  byId("progress").hidden = false;
  byId("bar").value = due.done / due.trials;
  byId("done").textContent = `${due.done} of ${due.trials} done`;
  if (due.trial === null) {
    player.clear();
    keep("draft", null);
    open("thanks");
    return;
  }
  byId("trial-title").textContent = `Screen ${due.done + 1} of ${due.trials}`;
  byId("task").textContent = "Loading the sounds …";
  byId("trial").classList.add("loading");
  open("trial");
  try {
    const sounds = await Promise.all(
      Array.from({ length: due.stimuli }, async (_, place) =>
        (await ask(`${trialPath()}/stimuli/${place}`)).arrayBuffer(),
      ),
    );
    await player.load(sounds, session.sample_rate);
  } catch (error) {
    throw new Error(`${error.message} Reload the page to go on.`);
  }
  furnish();
};

/* Lay out the trial that is due, with what was answered before a reload. */
const furnish = () => {
  const kept = keptOf("draft");
  const draft = kept?.listener === due.listener && kept.trial === due.trial ? kept : null;
  scores = draft?.scores ?? Array(due.stimuli - 1).fill(null);
  if (draft) player.heard = draft.heard;
  earlier = draft?.trial_s ?? 0;
  begun = performance.now();
  byId("trial").classList.remove("loading");
  byId("task").textContent = TASK[session.kind];
  byId("missing").textContent = "";
  for (const input of document.querySelectorAll("#abx input")) {
    input.checked = draft?.[input.name] === input.value;
  }
  for (const id of ["position", "loop-from", "loop-to"]) byId(id).max = player.duration;
  byId("loop-from").value = 0;
  byId("loop-to").value = player.duration;
  if (session.kind === "mushra") byId("stimuli").replaceChildren(...scores.map((_, i) => row(i)));
  show();
  showLoop();
};

/* The row of a sound that is rated; its place among the buffers is one more, after the reference. */
const row = (index) => {
  const item = document.createElement("li");
  const button = document.createElement("button");
  const key = document.createElement("kbd");
  const slider = document.createElement("input");
  const figure = document.createElement("output");
  key.textContent = index + 1;
  button.type = "button";
  button.className = "sound";
  button.append(key, " Sound");
  if (index < 10) button.setAttribute("aria-keyshortcuts", String((index + 1) % 10));
  button.addEventListener("click", () => hear(index + 1));
  Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, value: scores[index] ?? 50 });
  slider.id = `score-${index + 1}`;
  slider.setAttribute("aria-label", `Rating of sound ${index + 1}`);
  figure.htmlFor = slider.id;
  const rated = () => {
    const score = scores[index];
    item.classList.toggle("rated", score !== null);
    figure.value = score ?? "–";
    slider.setAttribute("aria-valuetext", score === null ? "not rated" : `${score}, ${word(score)}`);
  };
  slider.addEventListener("input", () => {
    scores[index] = Number(slider.value);
    byId("missing").textContent = "";
    rated();
    keepDraft();
  });
  const track = document.createElement("div");
  track.className = "track";
  track.append(slider);
  item.append(button, track, figure);
  rated();
  return item;
};

const word = (score) => ["bad", "poor", "fair", "good", "excellent"][Math.min(4, score / 20 | 0)];

const buttons = () =>
  session.kind === "mushra"
    ? [byId("reference"), ...document.querySelectorAll("#stimuli button")]
    : [0, 1, 2].map((place) => document.querySelector(`#abx [data-place="${place}"]`));

const hasHeard = (place) => player.heard[place] >= Math.min(LEAST_S, player.duration);

const show = () => {
  const [at, whole] = [player.now(), player.duration];
  byId("play").setAttribute("aria-label", player.playing ? "Pause" : "Play");
  document.body.classList.toggle("playing", player.playing);
  byId("position").value = at;
  byId("position").setAttribute("aria-valuetext", `${at.toFixed(1)} of ${whole.toFixed(1)} s`);
  byId("time").textContent = `${at.toFixed(1)} / ${whole.toFixed(1)} s`;
  if (!due?.trial || !player.buffers.length) return;
  buttons().forEach((button, place) => {
    button?.setAttribute("aria-pressed", String(place === player.current));
    button?.classList.toggle("heard", hasHeard(place));
  });
};

const showLoop = () => {
  byId("loop-from").setAttribute("aria-valuetext", `${player.from.toFixed(1)} s`);
  byId("loop-to").setAttribute("aria-valuetext", `${player.to.toFixed(1)} s`);
};

/* --- what a listener does --------------------------------------------------------------------- */

const hear = (place) => {
  player.choose(place);
  player.play();
  byId("status").textContent = buttons()[place].textContent;
};

const toggle = () => {
  if (player.playing) player.pause();
  else player.play();
  keepDraft();
};

/* What keeps the listener from going on, in words. */
const missing = () => {
  const names = buttons().map((button) =>
    session.kind === "mushra"
      ? button.querySelector("kbd").textContent.replace("R", "the reference")
      : button.querySelector("kbd").textContent,
  );
  const unheard = names.filter((_, place) => !hasHeard(place));
  const said = [];
  if (unheard.length) said.push(`Still to be heard: ${unheard.join(", ")}.`);
  if (session.kind === "mushra") {
    const unrated = names.slice(1).filter((_, index) => scores[index] === null);
    if (unrated.length) said.push(`Still to be rated: ${unrated.join(", ")}.`);
  } else {
    if (chosenOf("chosen") === null) said.push("Still to be said: which one X is.");
    if (chosenOf("confidence") === null) said.push("Still to be said: how sure you are.");
  }
  return said.join(" ");
};

const next = async () => {
  if (busy || !player.buffers.length) return;
  if (player.playing) player.count();
  byId("missing").textContent = missing();
  if (missing()) return;
  busy = true;
  player.pause();
  const trial_s = elapsed();
  const answer =
    session.kind === "mushra"
      ? { scores, heard_s: player.heard.slice(1), trial_s }
      : { chosen: Number(chosenOf("chosen")), confidence: Number(chosenOf("confidence")), trial_s };
  try {
    due = await told(trialPath(), answer);
    fail(null);
    keep("draft", null);
    player.clear();
    await goOn();
  } catch (error) {
    fail(error);
  }
  busy = false;
};

const begin = async () => {
  try {
    due = await told("v1/listeners", { code: byId("code").value, agrees: byId("agrees").checked });
    keep("listener", due.listener);
    fail(null);
    await goOn();
  } catch (error) {
    fail(error);
  }
};

byId("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  begin();
});
byId("leave").addEventListener("click", () => {
  keep("listener", null);
  welcome();
});
byId("play").addEventListener("click", toggle);
byId("next").addEventListener("click", next);
byId("reference").addEventListener("click", () => hear(0));
for (const button of document.querySelectorAll("#abx .sound")) {
  button.addEventListener("click", () => hear(Number(button.dataset.place)));
}
byId("abx").addEventListener("change", () => {
  byId("missing").textContent = "";
  keepDraft();
});
byId("position").addEventListener("input", (event) => player.seek(Number(event.target.value)));

const [loopFrom, loopTo] = [byId("loop-from"), byId("loop-to")];
for (const end of [loopFrom, loopTo]) {
  end.addEventListener("input", () => {
    const least = Math.min(SHORTEST_S, player.duration);
    const [from, to] = [Number(loopFrom.value), Number(loopTo.value)];
    if (end === loopFrom) loopFrom.value = Math.min(from, to - least);
    else loopTo.value = Math.max(to, from + least);
    /* The last step is the end, whatever the length. */
    const last = Number(loopTo.value) > player.duration - STEP;
    player.loop(Number(loopFrom.value), last ? player.duration : Number(loopTo.value));
    showLoop();
  });
}

/* A button pressed with the mouse gives the keyboard back, so that space plays and pauses. */
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest("button")?.blur();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("trial").hidden) return;
  if (!player.buffers.length || event.target.closest("header")) return;
  const onButton = event.target.closest("button");
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  let act = null;
  if (key === " " && !onButton && !event.target.matches("[type=radio]")) act = toggle;
  if (key === "Enter" && !onButton) act = next;
  if (session.kind === "mushra") {
    if (key === "r") act = () => hear(0);
    const place = /^[0-9]$/.test(key) ? Number(key) || 10 : 0;
    if (place > 0 && place <= scores.length) {
      act = () => {
        hear(place);
        byId(`score-${place}`).focus();
      };
    }
  } else if ("abx".includes(key)) {
    act = () => hear("abx".indexOf(key));
  }
  if (!act) return;
  event.preventDefault();
  if (!event.repeat) act();
});

addEventListener("pagehide", keepDraft);

/* --- the beginning ---------------------------------------------------------------------------- */

try {
  session = await told("v1/session");
  document.body.classList.add(session.kind);
  byId(session.kind).hidden = false;
  byId("welcome-text").replaceChildren(
    ...session.welcome.map((text) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = text;
      return paragraph;
    }),
  );
  const listener = keptOf("listener");
  if (listener) {
    due = await told(`v1/listeners/${encodeURIComponent(listener)}`);
    await goOn();
  } else {
    welcome();
  }
} catch (error) {
  fail(error);
}
