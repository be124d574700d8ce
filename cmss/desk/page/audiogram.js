"use strict";
// Draws an audiogram that the user can change: a chart with a point for each ear and frequency. The user
// moves a point with the pointer or with the keyboard. For screen readers, each point is a slider.
//
//   const chart = new AudiogramChart(element, { frequencies_hz, levels_db, changed });
//
// element: parent element of the chart.
// frequencies_hz: frequencies in ascending order.
// levels_db: lowest and highest level in dB HL.
// changed(ear, index, level): function that is called after the user has moved a point.
const EARS = ["left", "right"];
const STEP_DB = 5;

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

class AudiogramChart {
  constructor(root, { frequencies_hz, levels_db, changed }) {
    Object.assign(this, { frequencies_hz, changed });
    [this.low, this.high] = levels_db;
    // The Tab key visits the points of the left ear first. For each ear, the frequencies ascend.
    this.root = svg("svg", { role: "group", "aria-label": "Audiogram of both ears",
      "aria-describedby": "chart-hint" });
    this.grid = svg("g", { "aria-hidden": "true" });
    this.lines = Object.fromEntries(EARS.map((ear) => [ear, svg("path", { class: `line ${ear}` })]));
    this.root.append(this.grid, ...Object.values(this.lines));
    this.points = Object.fromEntries(EARS.map((ear) =>
      [ear, frequencies_hz.map((_, index) => this.makePoint(ear, index))]));
    root.append(this.root);
    this.layOut(640);
    // The size of the points does not depend on the width of the chart, so that a finger can move them.
    new ResizeObserver(([{ contentRect }]) => this.layOut(contentRect.width)).observe(root);
  }

  // Adapt the chart to a width in pixels.
  layOut(wanted) {
    const width = Math.max(240, Math.floor(wanted));
    const height = Math.round(Math.max(340, Math.min(470, 0.75 * width)));
    if (this.box?.width === width) return;
    this.box = { left: 44, right: 8, top: 44, bottom: 14, width, height };
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width, height })) {
      this.root.setAttribute(name, value);
    }
    this.drawGrid();
    if (this.levels) this.draw(this.levels);
  }

  x(hertz) {
    const { left, right, width } = this.box;
    const [first, last] = [this.frequencies_hz[0], this.frequencies_hz.at(-1)];
    const part = Math.log2(hertz / first) / Math.log2(last / first);
    return left + 18 + part * (width - left - right - 36);
  }

  y(level) {
    const { top, bottom, height } = this.box;
    return top + ((level - this.low) / (this.high - this.low)) * (height - top - bottom);
  }

  drawGrid() {
    const { left, right, top, bottom, width, height } = this.box;
    this.grid.replaceChildren(
      svg("text", { x: 6, y: 16 }, "dB HL"),
      svg("text", { x: left + 18, y: 16, "text-anchor": "middle" }, "Hz"));
    for (const hertz of this.frequencies_hz) {
      const x = this.x(hertz);
      const text = hertz < 1000 ? `${hertz}` : `${hertz / 1000}k`;
      this.grid.append(
        svg("line", { class: "grid", x1: x, x2: x, y1: top, y2: height - bottom }),
        svg("text", { x, y: top - 8, "text-anchor": "middle" }, text));
    }
    for (let level = Math.ceil(this.low / 20) * 20; level <= this.high; level += 20) {
      const y = this.y(level);
      this.grid.append(
        svg("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }),
        svg("text", { x: left - 10, y: y + 5, "text-anchor": "end" }, `${level}`));
    }
  }

  makePoint(ear, index) {
    const hertz = this.frequencies_hz[index];
    // In audiology, a cross marks the left ear, and a circle marks the right ear.
    const mark = ear === "left" ? svg("path", { class: "mark", d: "M-6-6L6 6M-6 6L6-6" })
      : svg("circle", { class: "mark", r: 7 });
    const point = svg("g", { class: `point ${ear}`, tabindex: 0, role: "slider",
      "aria-label": `${ear === "left" ? "Left" : "Right"} ear, ${hertz} Hz`,
      "aria-orientation": "vertical", "aria-valuemin": this.low, "aria-valuemax": this.high },
    svg("circle", { class: "area", r: 16 }), mark);
    point.addEventListener("keydown", (event) => this.key(event, ear, index));
    point.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      point.focus();
      point.setPointerCapture(event.pointerId);
      point.addEventListener("pointermove", move);
    });
    const move = (event) => this.change(ear, index, STEP_DB * Math.round(this.levelAt(event) / STEP_DB));
    for (const end of ["pointerup", "pointercancel"]) {
      point.addEventListener(end, () => point.removeEventListener("pointermove", move));
    }
    this.root.append(point);
    return point;
  }

  levelAt(event) {
    const { top, height } = this.root.getBoundingClientRect();
    const y = ((event.clientY - top) / height) * this.box.height;
    const inside = this.box.height - this.box.top - this.box.bottom;
    return this.low + ((y - this.box.top) / inside) * (this.high - this.low);
  }

  // Levels increase downwards on the chart. Therefore the arrow down increases the level.
  key(event, ear, index) {
    const level = this.levels[ear][index];
    const steps = { ArrowDown: STEP_DB, ArrowRight: STEP_DB, ArrowUp: -STEP_DB, ArrowLeft: -STEP_DB,
      PageDown: 4 * STEP_DB, PageUp: -4 * STEP_DB, Home: this.low - level, End: this.high - level };
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.change(ear, index, level + steps[event.key]);
  }

  change(ear, index, level) {
    const inside = Math.max(this.low, Math.min(this.high, level));
    if (inside !== this.levels[ear][index]) this.changed(ear, index, inside);
  }

  // Draw the levels { left: [...], right: [...] } in dB HL.
  draw(levels) {
    this.levels = levels;
    for (const ear of EARS) {
      const at = levels[ear].map((level, index) => [this.x(this.frequencies_hz[index]), this.y(level)]);
      this.lines[ear].setAttribute("d", `M${at.map(([x, y]) => `${x} ${y}`).join("L")}`);
      at.forEach(([x, y], index) => {
        const point = this.points[ear][index];
        point.setAttribute("transform", `translate(${x} ${y})`);
        point.setAttribute("aria-valuenow", levels[ear][index]);
        point.setAttribute("aria-valuetext", `${levels[ear][index]} dB HL`);
      });
    }
  }
}
