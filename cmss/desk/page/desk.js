"use strict";
// The script of the desk's page: sends an order and a recording, and shows the progress and the results.
// Texts from the user and from the server are inserted as text, never as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const POLL_MS = 400;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// The recording.
let recording = null;

function choose(file) {
  recording = file ?? null;
  byId("chosen").textContent = file ? `${file.name}, ${(file.size / 1e6).toFixed(1)} MB` : "No recording chosen.";
}

byId("file").addEventListener("change", () => choose(byId("file").files[0]));
const drop = byId("drop");
// By default, the browser opens a file that is dropped outside the field, and leaves the page.
for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
drop.addEventListener("dragover", () => drop.classList.add("over"));
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  drop.classList.remove("over");
  if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
});

// The players.
const instruments = data.instruments.map((name) => {
  const id = `plays-${name}`;
  const box = element("input", { type: "checkbox", id });
  const number = element("select", { "aria-label": `Number of players: ${name}`, disabled: "" },
    ...Array.from({ length: data.most }, (_, n) => element("option", {}, `${n + 1}`)));
  box.addEventListener("change", () => {
    number.disabled = !box.checked;
    countPlayers();
  });
  number.addEventListener("change", countPlayers);
  byId("players").append(element("div", { class: "instrument" },
    element("label", { for: id }, box, ` ${name}`), number));
  return { name, box, number };
});

function players() {
  const ticked = instruments.filter(({ box }) => box.checked);
  return Object.fromEntries(ticked.map(({ name, number }) => [name, Number(number.value)]));
}

function numberOfPlayers() {
  return Object.values(players()).reduce((sum, number) => sum + number, 0);
}

function countPlayers() {
  const count = numberOfPlayers();
  byId("count").textContent = count === 1 ? "1 player" : `${count} players`;
}

// The audiogram.
const levels = Object.fromEntries(EARS.map((ear) => [ear, [...data.standard_db.none]]));
const cells = { left: [], right: [] };

function setLevel(ear, index, level) {
  for (const each of byId("both").checked ? EARS : [ear]) levels[each][index] = level;
  byId("standard").value = Object.keys(data.standard_db).find((name) => EARS.every((each) =>
    levels[each].every((value, n) => value === data.standard_db[name][n]))) ?? "own";
  showLevels();
}

const chart = new AudiogramChart(byId("chart"), {
  frequencies_hz: data.frequencies_hz, levels_db: data.levels_db, changed: setLevel,
});

data.frequencies_hz.forEach((hertz, index) => {
  const row = element("tr", {}, element("th", { scope: "row" }, `${hertz} Hz`));
  for (const ear of EARS) {
    const cell = element("input", { type: "number", min: data.levels_db[0], max: data.levels_db[1],
      step: 0.5, required: "", "aria-label": `${ear === "left" ? "Left" : "Right"} ear, ${hertz} Hz, dB HL` });
    cell.addEventListener("input", () => {
      if (cell.validity.valid) setLevel(ear, index, cell.valueAsNumber);
    });
    cells[ear].push(cell);
    row.append(element("td", {}, cell));
  }
  byId("levels").tBodies[0].append(row);
});

function showLevels() {
  chart.draw(levels);
  for (const ear of EARS) {
    levels[ear].forEach((level, index) => {
      const cell = cells[ear][index];
      if (cell !== document.activeElement) cell.value = level;
    });
  }
}

byId("standard").addEventListener("change", () => {
  const standard = data.standard_db[byId("standard").value];
  if (!standard) return;
  for (const ear of EARS) levels[ear] = [...standard];
  showLevels();
});
byId("both").addEventListener("change", () => {
  if (!byId("both").checked) return;
  levels.left.forEach((level, index) => setLevel("left", index, level));
});

// The order.
function showProblems(problems) {
  byId("problems").replaceChildren(...problems.map((text) => element("p", {}, text)));
}

function problemsOfPage() {
  const problems = [];
  const { fewest, most, most_bytes } = data;
  if (!recording) problems.push("Choose a recording.");
  else if (recording.size > most_bytes) {
    problems.push(`${recording.name}: expected at most ${most_bytes / 1e6} MB.`);
  }
  const count = numberOfPlayers();
  if (count < fewest || count > most) {
    problems.push(`Players: expected ${fewest} to ${most}, got ${count}.`);
  }
  const wrong = EARS.flatMap((ear) => cells[ear]).find((cell) => !cell.validity.valid);
  if (wrong) problems.push(`${wrong.ariaLabel}: ${wrong.validationMessage}`);
  return problems;
}

async function answerOf(request) {
  try {
    const answer = await request;
    return [answer.ok, await answer.json()];
  } catch {
    return [false, { problems: ["The desk does not answer. Check that cmss desk is running."] }];
  }
}

byId("order").noValidate = true;
byId("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problems = problemsOfPage();
  showProblems(problems);
  if (problems.length) return;
  const order = {
    title: recording.name,
    players: players(),
    left: levels.left,
    right: levels.right,
    quality: document.querySelector("[name=quality]:checked").value,
  };
  byId("start").disabled = true;
  byId("done").replaceChildren();
  const sending = answerOf(fetch(`/job?order=${encodeURIComponent(JSON.stringify(order))}`, {
    method: "POST", body: recording, headers: { "Content-Type": "application/octet-stream" } }));
  showJob({ title: recording.name, step: "Sending the recording", fraction: 0, seconds: 0, seconds_left: null });
  byId("progress-head").focus();
  const [started, answer] = await sending;
  if (started) return watch();
  end();
  showProblems(answer.problems);
  byId("start").focus();
});

// The progress.
function duration(seconds) {
  return seconds < 90 ? `${Math.max(1, Math.round(seconds))} s` : `${Math.round(seconds / 60)} min`;
}

function showJob({ title, step, fraction, seconds, seconds_left }) {
  byId("progress-panel").hidden = false;
  byId("start").disabled = true;
  byId("title").textContent = title;
  // Before the first part of the separation is done, the completed fraction is unknown.
  if (fraction) byId("bar").value = fraction;
  else byId("bar").removeAttribute("value");
  const done = fraction ? `: ${Math.round(100 * fraction)} %` : " ...";
  const left = seconds_left === null ? "" : `, about ${duration(seconds_left)} left`;
  byId("step").textContent = `${step}${done} (${duration(seconds)} so far${left})`;
  // A screen reader announces each step and each completed quarter of the job.
  const said = fraction ? `${step}: ${25 * Math.floor(4 * fraction)} %` : step;
  if (byId("said").textContent !== said) byId("said").textContent = said;
}

function end() {
  byId("progress-panel").hidden = true;
  byId("start").disabled = false;
}

async function watch() {
  for (;;) {
    const [ok, job] = await answerOf(fetch("/job"));
    if (!ok) {
      end();
      return showProblems(job.problems);
    }
    if (job.state !== "running") return finish(job);
    showJob(job);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function finish(job) {
  end();
  if (job.state === "failed") showProblems(job.problems);
  if (job.state === "cancelled") showProblems(["The separation was cancelled."]);
  if (job.state !== "done") return byId("start").focus();
  await showResults();
  byId("done").replaceChildren(element("p", {}, `${job.title}: the separation is complete.`),
    ...job.warnings.map((text) => element("p", {}, text)));
  const first = byId("results").querySelector("a");
  first.focus();
}

byId("cancel").addEventListener("click", async () => {
  byId("cancel").disabled = true;
  await answerOf(fetch("/job", { method: "DELETE" }));
  byId("cancel").disabled = false;
});

// The results.
function resultItem({ name, title, players: names, hearing, made, seconds, files }) {
  const base = `/results/${encodeURIComponent(name)}`;
  const at = new Date(1000 * made).toLocaleString();
  const audiogram = hearing === "me" ? "own audiogram" : hearing === "none" ? "no hearing loss" : hearing;
  return element("li", {},
    element("h3", {}, title),
    element("p", { class: "hint" }, `${names.join(", ")}; ${audiogram}; ${duration(seconds)}; ${at}`),
    element("p", {}, element("a", { class: "button open", href: `${base}/index.html`, target: "_blank",
      "aria-label": `Mix ${title}, opens in a new tab` }, "Mix the players")),
    element("p", { class: "files" }, "Stems and mixture: ", ...files.map((file) => element("a", {
      href: `${base}/stems/${encodeURIComponent(file.name)}`, download: file.name },
    `${file.name} (${(file.bytes / 1e6).toFixed(1)} MB)`))));
}

async function showResults() {
  const [ok, results] = await answerOf(fetch("/results"));
  if (!ok) return showProblems(results.problems);
  byId("results").replaceChildren(...results.map(resultItem));
  byId("no-results").hidden = results.length > 0;
}

// If a job is running when the page is opened or reloaded, the page shows the progress of this job.
async function begin() {
  showLevels();
  countPlayers();
  await showResults();
  const [ok, job] = await answerOf(fetch("/job"));
  if (ok && job.state === "running") watch();
}

begin();
