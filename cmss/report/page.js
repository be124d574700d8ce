"use strict";

// Sorting: a click on a column header sorts the rows, and a second click reverses the order.
function valueOf(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value ?? cell.textContent.trim();
  return value === "" || isNaN(value) ? value : Number(value);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, column) {
  const heads = [...table.tHead.rows[0].cells];
  const falling = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", falling ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const [x, y] = [valueOf(a, column), valueOf(b, column)];
    // Rows without a value are last in both orders.
    if (x === "" || y === "") return (x === "") - (y === "");
    return falling ? compare(y, x) : compare(x, y);
  });
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) =>
    head.querySelector("button").addEventListener("click", () => sortBy(table, column)));
}

// Filtering: only rows that contain every word and belong to the chosen type of ensemble are shown.
for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const filter = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/);
    const ensemble = form.elements.ensemble.value;
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(words.every((word) => text.includes(word)) &&
        (ensemble === "" || row.dataset.ensemble === ensemble));
      shown += !row.hidden;
    }
    form.querySelector("output").value = `${shown} of ${rows.length} pairs`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}

// Listening: all versions of a pair are tracks of a player, of which one is heard.
const sounds = {}; // filled by the scripts of the pairs

function loadBundle(name, path) {
  return new Promise((resolve, reject) => {
    const script = element("script", { src: path, onload: () => resolve(sounds[name]),
      onerror: () => reject(new Error(`${path} is missing`)) });
    document.head.append(script);
  });
}

for (const root of document.querySelectorAll(".player")) {
  const { name, bundle } = root.dataset;
  const radios = [...root.querySelectorAll(".versions input")];
  const versions = radios.map((radio) => radio.value);
  const weightsFor = (version) => versions.map((each) => (each === version ? 1 : 0));
  const transport = element("div");
  root.prepend(transport);
  const player = new Player(transport, {
    rate: 48000, // of Opus
    name,
    load: async () => {
      const encoded = await loadBundle(name, bundle);
      delete sounds[name];
      return Promise.all(versions.map((version) => decodeBase64(encoded[version])));
    },
    settings: { weights: weightsFor("enhanced"), levels: { unaided: 1 } },
  });
  root.player = player;
  player.status.textContent = "The waveform appears when you press Play.";
  const hear = (version) => player.set({ weights: weightsFor(version) });
  root.querySelector(".versions").addEventListener("change", (event) => hear(event.target.value));
  blindTest(root, hear, () => radios.find((radio) => radio.checked).value);
}

// Blind test: A and B are the enhanced signal and the mixture in random order, which changes after
// each guess.
function blindTest(root, hear, chosen) {
  const pair = ["enhanced", "mixture"];
  const [start, test] = [".start-blind", ".test"].map((each) => root.querySelector(each));
  const listening = [...test.querySelectorAll("[data-hear]")];
  let [guesses, right] = [0, 0];
  const listenTo = (index) => {
    listening.forEach((button, n) => button.setAttribute("aria-pressed", n === index));
    hear(pair[index]);
  };
  const shuffle = () => {
    if (crypto.getRandomValues(new Uint8Array(1))[0] % 2) pair.reverse();
    listenTo(0);
  };
  start.addEventListener("click", () => {
    test.hidden = !test.hidden;
    start.setAttribute("aria-expanded", !test.hidden);
    // The names are hidden during the test.
    root.querySelector(".versions").hidden = !test.hidden;
    if (test.hidden) hear(chosen());
    else shuffle();
  });
  listening.forEach((button, n) => button.addEventListener("click", () => listenTo(n)));
  test.querySelectorAll("[data-guess]").forEach((button, n) => button.addEventListener("click", () => {
    const correct = pair[n] === "enhanced";
    guesses += 1;
    right += correct;
    test.querySelector(".score").textContent = `${correct ? "Right" : "Wrong"}. ${right} of ` +
      `${guesses} ${guesses === 1 ? "guess" : "guesses"} right; chance is ${guesses / 2}. ` +
      "A and B have been drawn again.";
    shuffle();
  }));
}

// A click on a picture enlarges it.
const dialog = document.querySelector("dialog");
const large = element("img");
for (const button of document.querySelectorAll(".zoom")) {
  button.addEventListener("click", () => {
    const small = button.querySelector("img");
    [large.src, large.alt] = [small.src, small.alt];
    dialog.append(large);
    dialog.showModal();
  });
}
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

// A table that is wider than the screen says that it scrolls.
for (const region of document.querySelectorAll(".scroll")) {
  const hint = element("p", { class: "scroll-hint" }, "\u2194 Scroll sideways to see all columns.");
  region.before(hint);
  const show = () => (hint.hidden = region.scrollWidth <= region.clientWidth);
  new ResizeObserver(show).observe(region);
  show();
}
