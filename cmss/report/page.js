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

// Listening: all versions of a pair share a player, and the next version continues at the position
// that the player has reached.
for (const player of document.querySelectorAll(".player")) {
  const audio = player.querySelector("audio");
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
  });
  let position = 0;
  let playing = false;
  player.addEventListener("change", (event) => {
    // While a version is being loaded, its position is 0, so keep the position before it.
    if (audio.readyState > 0) {
      position = audio.currentTime;
      playing = !audio.paused;
    }
    audio.src = event.target.value;
    audio.addEventListener("loadedmetadata", () => {
      audio.currentTime = position;
      if (playing) audio.play();
    }, { once: true });
    audio.load();
  });
}
