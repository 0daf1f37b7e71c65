/* The player. All versions of a sample run at once, each behind a gain of its own; choosing one
   crossfades between gains, so the instant is kept and nothing stops. */
"use strict";

(() => {
  const FADE_S = 0.01;
  const KEPT = 3; /* samples whose decoded sound is kept */

  const byId = (id) => document.getElementById(id);
  const samples = [...document.querySelectorAll(".sample")].map((element) => ({
    element,
    key: element.id,
    name: element.querySelector("h4").textContent,
    duration: Number(element.dataset.duration),
    figures: [...element.querySelectorAll("figure")],
  }));
  if (!samples.length) return;

  const play = byId("play");
  const position = byId("position");
  const gain = byId("gain");

  let context = null;
  let master = null;
  let sample = samples[0];
  let version = 0;
  let earlier = Math.min(1, sample.figures.length - 1); /* the version before, for A/B */
  let playing = false;
  let looping = false;
  let region = null; /* [start, stop] in seconds while only a part is played */
  let voices = null; /* what sounds: sources and gains, one per version */
  let begun = 0; /* the context's time at which the voices were at `offset` */
  let offset = 0;
  let request = 0; /* counts wishes to play; an older one that is still loading is dropped */

  /* --- sound ------------------------------------------------------------------------------- */

  const waiting = new Map();
  const loaded = new Map();

  window.fullbandAudio = (key, encoded) => {
    const bytes = encoded.map((text) => {
      const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
      return Uint8Array.from(binary, (character) => character.charCodeAt(0)).buffer;
    });
    waiting.get(key)?.(bytes);
    waiting.delete(key);
  };

  const fetched = (key) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(key, resolve);
      script.src = `samples/${key}.js`;
      script.onload = () => script.remove();
      script.onerror = () => reject(new Error(`samples/${key}.js cannot be read`));
      document.head.append(script);
    });

  const buffersOf = (key) => {
    const known = loaded.get(key);
    loaded.delete(key);
    const buffers =
      known ??
      fetched(key).then((all) => Promise.all(all.map((one) => context.decodeAudioData(one))));
    loaded.set(key, buffers); /* the most recent comes last */
    if (loaded.size > KEPT) loaded.delete(loaded.keys().next().value);
    buffers.catch(() => loaded.delete(key));
    return buffers;
  };

  const bounds = () => region ?? [0, sample.duration];

  const now = () => {
    if (!voices) return offset;
    const [start, stop] = bounds();
    const at = offset + Math.max(0, context.currentTime - begun);
    if (at < stop) return at;
    return looping ? start + ((at - start) % (stop - start)) : stop;
  };

  const silence = () => {
    if (!voices) return;
    const at = context.currentTime;
    for (const { source, level } of voices) {
      source.onended = null;
      level.gain.cancelScheduledValues(at);
      level.gain.setTargetAtTime(0, at, FADE_S / 4);
      source.stop(at + 2 * FADE_S);
    }
    voices = null;
  };

  const sound = (buffers) => {
    const [start, stop] = bounds();
    begun = context.currentTime + FADE_S;
    voices = buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(context, { buffer });
      const level = new GainNode(context, { gain: 0 });
      source.connect(level).connect(master);
      source.loop = looping;
      source.loopStart = start;
      source.loopEnd = stop;
      source.start(begun, offset);
      if (!looping) source.stop(begun + stop - offset);
      level.gain.setValueAtTime(0, begun);
      level.gain.linearRampToValueAtTime(index === version ? 1 : 0, begun + FADE_S);
      return { source, level };
    });
    voices[0].source.onended = () => {
      voices = null;
      playing = false;
      offset = stop;
      show();
    };
  };

  const start = async () => {
    const mine = ++request;
    silence();
    playing = true;
    show();
    if (!context) {
      context = new AudioContext();
      master = new GainNode(context, { gain: 10 ** (gain.value / 20) });
      master.connect(context.destination);
    }
    context.resume();
    try {
      const buffers = await buffersOf(sample.key);
      if (mine !== request) return;
      sound(buffers);
      requestAnimationFrame(follow);
    } catch (error) {
      if (mine !== request) return;
      playing = false;
      say(error.message);
    }
    show();
  };

  const pause = () => {
    offset = now();
    request += 1;
    silence();
    playing = false;
    show();
  };

  const toggle = () => {
    if (playing) {
      pause();
      return;
    }
    const [first, stop] = bounds();
    if (offset >= stop - 0.02) {
      offset = region ? first : 0;
      region = null;
    }
    start();
  };

  const seek = (seconds) => {
    offset = Math.min(Math.max(0, seconds), Math.max(0, sample.duration - 0.01));
    region = null;
    if (playing) start();
    else silence();
    show();
  };

  /* --- choices ----------------------------------------------------------------------------- */

  const choose = (index) => {
    if (index < 0 || index >= sample.figures.length || index === version) return;
    earlier = version;
    version = index;
    if (voices) {
      const at = context.currentTime;
      voices.forEach(({ level }, each) => {
        level.gain.cancelScheduledValues(at);
        level.gain.setValueAtTime(level.gain.value, at);
        level.gain.linearRampToValueAtTime(each === version ? 1 : 0, at + FADE_S);
      });
    }
    say(sample.figures[version].dataset.name);
    show();
  };

  const select = (other, scroll = false) => {
    if (other === sample) return;
    const kept = (index) => {
      const name = sample.figures[index].dataset.name;
      return other.figures.findIndex((figure) => figure.dataset.name === name);
    };
    const [next, before] = [kept(version), kept(earlier)];
    const going = playing;
    pause();
    sample.element.style.removeProperty("--at");
    version = Math.max(0, next);
    earlier = before < 0 || before === version ? (version + 1) % other.figures.length : before;
    sample = other;
    offset = 0;
    region = null;
    furnish();
    if (scroll) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      sample.element.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "start" });
    }
    say(sample.name);
    if (going) start();
  };

  const step = (by) => {
    const other = samples[samples.indexOf(sample) + by];
    if (other) select(other, true);
  };

  const setLoop = (value) => {
    offset = now();
    looping = value;
    byId("loop").setAttribute("aria-pressed", String(looping));
    if (playing) start();
  };

  /* --- what is seen ------------------------------------------------------------------------ */

  const say = (text) => {
    byId("status").textContent = text;
  };

  const follow = () => {
    const at = now();
    sample.element.style.setProperty("--at", String(at / sample.duration));
    position.value = at;
    position.setAttribute("aria-valuetext", `${at.toFixed(1)} s of ${sample.duration.toFixed(1)} s`);
    byId("time").textContent = `${at.toFixed(1)} / ${sample.duration.toFixed(1)} s`;
    if (voices) requestAnimationFrame(follow);
  };

  const show = () => {
    document.body.classList.toggle("playing", playing);
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    for (const each of samples) {
      const current = each === sample;
      each.element.classList.toggle("current", current);
      const verb = each.element.querySelector(".verb");
      verb.textContent = current && playing ? "Pause" : "Play";
      each.figures.forEach((figure, index) => {
        const pressed = String(current && index === version);
        figure.querySelector(".choose").setAttribute("aria-pressed", pressed);
      });
    }
    const row = byId("versions");
    [...row.children].forEach((button, index) => {
      button.setAttribute("aria-pressed", String(index === version));
      if (index !== version) return; /* on a phone the row may be wider than the screen */
      const before = button.offsetLeft - row.offsetLeft;
      if (before < row.scrollLeft) row.scrollLeft = before;
      const after = before + button.offsetWidth - row.clientWidth;
      if (after > row.scrollLeft) row.scrollLeft = after + 4;
    });
    if (!voices) follow();
  };

  const furnish = () => {
    byId("name").textContent = sample.name;
    position.max = sample.duration;
    byId("versions").replaceChildren(
      ...sample.figures.map((figure, index) => {
        const button = document.createElement("button");
        const key = document.createElement("kbd");
        key.textContent = index + 1;
        button.type = "button";
        button.append(key, figure.dataset.name);
        button.addEventListener("click", () => choose(index));
        return button;
      }),
    );
    byId("previous").disabled = sample === samples[0];
    byId("next").disabled = sample === samples[samples.length - 1];
    show();
  };

  /* --- hands ------------------------------------------------------------------------------- */

  for (const each of samples) {
    each.element.querySelector(".play-here").addEventListener("click", () => {
      if (each === sample) {
        toggle();
      } else {
        pause();
        select(each);
        start();
      }
    });
    each.figures.forEach((figure, index) => {
      figure.querySelector(".choose").addEventListener("click", () => {
        select(each);
        choose(index);
      });
      const picture = figure.querySelector(".picture");
      picture.addEventListener("click", (event) => {
        const box = picture.getBoundingClientRect();
        pause();
        select(each);
        choose(index);
        seek(((event.clientX - box.left) / box.width) * sample.duration);
        start();
      });
    });
    for (const button of each.element.querySelectorAll("button.moment")) {
      button.addEventListener("click", () => {
        pause();
        select(each);
        choose(Number(button.dataset.version));
        region = [Number(button.dataset.start), Number(button.dataset.stop)];
        offset = region[0];
        start();
      });
    }
  }

  play.addEventListener("click", toggle);
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("swap").addEventListener("click", () => choose(earlier));
  byId("loop").addEventListener("click", () => setLoop(!looping));
  position.addEventListener("input", () => seek(Number(position.value)));
  gain.addEventListener("input", () => {
    const value = Number(gain.value);
    byId("gain-shown").textContent = `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value)} dB`;
    master?.gain.setTargetAtTime(10 ** (value / 20), context.currentTime, FADE_S);
  });

  /* A button pressed with the mouse gives the keyboard back, so that space plays and pauses. */
  document.addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest("button")?.blur();
  });

  const keys = {
    ArrowLeft: () => seek(now() - 1),
    ArrowRight: () => seek(now() + 1),
    ArrowUp: () => step(-1),
    ArrowDown: () => step(1),
    k: () => step(-1),
    j: () => step(1),
    a: () => choose(earlier),
    b: () => choose(earlier),
    l: () => setLoop(!looping),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === gain) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    let act = keys[key];
    if (/^[1-9]$/.test(key)) act = () => choose(Number(key) - 1);
    if (key === " " && !event.target.closest("button, summary, a")) act = toggle;
    if (event.target.closest(".scroll") && key.startsWith("Arrow")) return;
    if (!act) return;
    event.preventDefault();
    if (key === " " && event.repeat) return;
    act();
  });

  furnish();
})();
