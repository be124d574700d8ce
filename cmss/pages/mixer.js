"use strict";
// The mixing page: a channel for each player, presets, hearing aid, bypass and exports.
const page = JSON.parse(document.getElementById("page").textContent);
const { factor, Loudness, render } = engine;
const byId = (id) => document.getElementById(id);

function loadSounds() {
  if (page.sounds) return Promise.all(page.sounds.map(loadFile));
  return Promise.all([...document.querySelectorAll("script.sound")].map(async (script) => {
    const bytes = await decodeBase64(script.textContent);
    script.remove(); // frees the memory
    return bytes;
  }));
}

// A sound file of the server that serves the page.
async function loadFile(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

// What the user has chosen.
const chosen = {
  gains_db: page.players.map((player) => player.gain_db ?? 0),
  muted: page.players.map((player) => player.gain_db === null),
  solo: page.players.map(() => false),
  aid: true,
  bypass: false,
  volume_db: page.volume_db,
};

// The gain of each player in dB, with mute and solo.
function effectiveGains() {
  const anySolo = chosen.solo.includes(true);
  return chosen.gains_db.map((gain, n) =>
    chosen.muted[n] || (anySolo && !chosen.solo[n]) ? -Infinity : gain);
}

// The weight of the mixture and of each stem in the remix, as in cmss/remix.py: mixture plus the sum
// of (factor - 1) x stem, times the level factor, which keeps the power. The sounds of the page were
// multiplied by page.scale so that their resolution is high.
function weightsOf(gains_db, limit) {
  const powers = gains_db.map((gain) => 10 ** (gain / 10)).reduce((sum, power) => sum + power, 0);
  if (!powers) return [0, ...gains_db.map(() => 0)]; // every player is muted
  const level = Math.sqrt(gains_db.length / powers) * limit / page.scale;
  return [level, ...gains_db.map((gain) => level * (factor(gain) - 1))];
}

// The loudness of the remix before and after the hearing aid. The first values are from Python.
let measured = page.measured;

async function measure(gains_db, alive) {
  const { tracks } = player;
  const loudness = async (limit, ears) => {
    const meter = new Loudness(page.loudness.sections, page.rate);
    const weights = weightsOf(gains_db, limit);
    const done = await render({ tracks, weights, ears }, (channels, n) => meter.add(channels, n), alive);
    return done && { lufs: meter.lufs(), peak: meter.peak };
  };
  const remix = await loudness(1, null);
  if (!remix) return null;
  // The hearing aid is designed for a mixture of page.loudness.designed LUFS; a remix that is much
  // louder is attenuated.
  const { designed, headroom_db } = page.loudness;
  const limit = factor(Math.min(0, designed + headroom_db - remix.lufs));
  const unaided = { lufs: remix.lufs + 20 * Math.log10(limit), peak: remix.peak * limit };
  const aided = await loudness(limit, page.ears);
  return aided && { limit, unaided, aided, original: page.measured.original };
}

// The factor with which each signal is played, so that all have the same loudness and no peak
// exceeds page.loudness.peak_db.
function levelsOf({ unaided, aided, original }) {
  const audible = [unaided, aided, original].filter(({ lufs }) => Number.isFinite(lufs));
  const { comfortable, peak_db } = page.loudness;
  const lufs = Math.min(comfortable,
    ...audible.map((each) => each.lufs + peak_db - 20 * Math.log10(each.peak)));
  const level = (each) => (Number.isFinite(each.lufs) ? factor(lufs - each.lufs) : 1);
  return { unaided: level(unaided), aided: level(aided), original: level(original) / page.scale };
}

function heardSignal() {
  if (chosen.bypass) return "original";
  return chosen.aid ? "aided" : "unaided";
}

function settings() {
  const levels = levelsOf(measured);
  const heard = heardSignal();
  return {
    weights: weightsOf(effectiveGains(), measured.limit),
    levels: Object.fromEntries(Object.entries(levels).map(([name, level]) =>
      [name, name === heard ? level : 0])),
    volume: factor(chosen.volume_db),
  };
}

const player = new Player(byId("player"), {
  rate: page.rate, name: page.title, load: loadSounds, settings: settings(), ears: page.ears,
});

// After a change of gains, measure the loudness again. The sound changes at once, and its level is
// corrected when the measurement is complete.
let measurement = 0;
let measuring = Promise.resolve();

function measureAgain() {
  const number = ++measurement;
  const alive = () => number === measurement;
  measuring = (async () => {
    await player.ready();
    await new Promise((resolve) => setTimeout(resolve, 150));
    const gains_db = effectiveGains();
    if (!alive() || !audible(gains_db)) return;
    const result = await measure(gains_db, alive);
    if (!result || !alive()) return;
    measured = result;
    player.set(settings());
  })();
}

const audible = (gains_db) => gains_db.some((gain) => gain > -Infinity);
const shown = (gain) => `${gain > 0 ? "+" : ""}${gain.toFixed(1)} dB`;

function apply(gainsChanged = true) {
  const gains = effectiveGains();
  channels.forEach(({ root, slider, value, mute, solo }, n) => {
    slider.value = chosen.gains_db[n];
    value.textContent = shown(chosen.gains_db[n]);
    slider.setAttribute("aria-valuetext", shown(chosen.gains_db[n]));
    mute.setAttribute("aria-pressed", chosen.muted[n]);
    solo.setAttribute("aria-pressed", chosen.solo[n]);
    root.classList.toggle("silent", gains[n] === -Infinity);
  });
  byId("aid").setAttribute("aria-pressed", chosen.aid);
  byId("bypass").setAttribute("aria-pressed", chosen.bypass);
  byId("volume-db").textContent = `${chosen.volume_db} dB`;
  byId("volume").setAttribute("aria-valuetext", `${chosen.volume_db} dB`);
  player.set(settings());
  if (gainsChanged) measureAgain();
}

const channels = page.players.map(({ name, gain_db }, n) => {
  const [low, high] = [Math.min(-24, Math.floor(gain_db ?? 0)), Math.max(12, Math.ceil(gain_db ?? 0))];
  const slider = element("input", { type: "range", min: low, max: high, step: 0.5,
    "aria-label": `${name}, gain in dB`,
    oninput: () => {
      chosen.gains_db[n] = slider.valueAsNumber;
      apply();
    } });
  const value = element("output");
  const toggle = (list, label, title) => element("button", { type: "button", "aria-pressed": "false",
    "aria-label": `${title} ${name}`,
    onclick: () => {
      list[n] = !list[n];
      apply();
    } }, label);
  const mute = toggle(chosen.muted, "Mute", "Mute");
  const solo = toggle(chosen.solo, "Solo", "Solo");
  const root = element("div", { class: "channel", role: "group", "aria-label": name },
    element("span", { class: "name" }, name), slider, value,
    element("div", { class: "buttons" }, mute, solo));
  byId("mixer").append(root);
  return { root, slider, value, mute, solo };
});

function preset(gains_db) {
  chosen.gains_db = gains_db.map((gain) => gain ?? 0);
  gains_db.forEach((gain, n) => {
    chosen.muted[n] = gain === null;
    chosen.solo[n] = false;
  });
  apply();
}

const flat = page.players.map(() => 0);
const presets = [["Reset", page.players.map((each) => each.gain_db)], ["Original balance", flat],
  ...page.players.map(({ name }, n) => [`${name} +6 dB`, flat.map((_, m) => (m === n ? 6 : 0))])];
for (const [name, gains_db] of presets) {
  byId("presets").append(element("button", { type: "button", onclick: () => preset(gains_db) }, name));
}

byId("aid").addEventListener("click", () => {
  chosen.aid = !chosen.aid;
  chosen.bypass = false;
  apply(false);
});
byId("bypass").addEventListener("click", () => {
  chosen.bypass = !chosen.bypass;
  apply(false);
});
byId("volume").addEventListener("input", () => {
  chosen.volume_db = byId("volume").valueAsNumber;
  apply(false);
});

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  byId("exported").textContent = `${name} is in the folder of your downloads.`;
}

// The header of a WAV file with two channels of 32-bit floating-point samples.
function wavHeader(samples) {
  const view = new DataView(new ArrayBuffer(58));
  const text = (at, letters) => [...letters].forEach((each, i) => view.setUint8(at + i, each.charCodeAt(0)));
  const bytes = 8 * samples;
  text(0, "RIFF");
  view.setUint32(4, 50 + bytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 18, true);
  view.setUint16(20, 3, true); // floating point
  view.setUint16(22, 2, true);
  view.setUint32(24, page.rate, true);
  view.setUint32(28, 8 * page.rate, true);
  view.setUint16(32, 8, true);
  view.setUint16(34, 32, true);
  text(38, "fact");
  view.setUint32(42, 4, true);
  view.setUint32(46, samples, true);
  text(50, "data");
  view.setUint32(54, bytes, true);
  return view.buffer;
}

async function exportSound() {
  await player.ready();
  const gains_db = effectiveGains();
  if (!audible(gains_db) && !chosen.bypass) {
    byId("exported").textContent = "Every player is muted: there is nothing to export.";
    return;
  }
  byId("exported").textContent = "Computing the sound ...";
  // The settings at the time of the click, measured completely.
  const heard = heardSignal();
  const result = heard === "original" && !audible(gains_db) ? measured : await measure(gains_db);
  const level = levelsOf(result)[heard];
  const weights = heard === "original"
    ? [level, ...flat]
    : weightsOf(gains_db, result.limit).map((weight) => weight);
  const samples = new Float32Array(2 * player.samples);
  const scale = heard === "original" ? 1 : level;
  let at = 0;
  await render({ tracks: player.tracks, weights, ears: heard === "aided" ? page.ears : null },
    ([left, right], n) => {
      for (let i = 0; i < n; i++) {
        samples[at++] = scale * left[i];
        samples[at++] = scale * right[i];
      }
    });
  save(new Blob([wavHeader(player.samples), samples], { type: "audio/wav" }), `${page.name}_${heard}.wav`);
}

byId("export-sound").addEventListener("click", async () => {
  byId("export-sound").disabled = true;
  try {
    await exportSound();
  } finally {
    byId("export-sound").disabled = false;
    byId("export-sound").focus();
  }
});

byId("export-gains").addEventListener("click", () => {
  const gains_db = effectiveGains().map((gain) => (gain === -Infinity ? "-inf" : gain));
  const content = { instruments: page.players.map((each) => each.instrument), gains_db };
  save(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }), `${page.name}_gains.json`);
});

apply(false);
player.ready().catch((error) => {
  player.status.textContent = `The sound cannot be loaded: ${error.message}`;
});
