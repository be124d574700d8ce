"use strict";
// A player of several tracks in a browser: waveform with cursor, position, loop, and cross-fades.
// Pages build on it: the mixing page of cmss.listen, and the report of a run.
//
//   const player = new Player(element, { rate, name, load, settings, ears });
//
// element: receives the controls; rate: sampling rate in Hz; name: names the player for assistive
// technology; load(): a promise of the bytes of the sound file of each track; settings and ears: see
// Engine in engine.js. The sounds are loaded and decoded once, when they are needed.
const engine = audioEngine();

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const rest = (tenths % 600) / 10;
  return `${Math.floor(tenths / 600)}:${rest < 10 ? "0" : ""}${rest.toFixed(1)}`;
}

async function decodeBase64(text) {
  const answer = await fetch(`data:application/octet-stream;base64,${text.trim()}`);
  return answer.arrayBuffer();
}

// Samples in memory that the audio thread can share, if the server of the page allows this; otherwise,
// the audio thread receives a copy. With a length, zeros are appended.
function sharable(data, length = data.length) {
  if (!window.crossOriginIsolated && length === data.length) return data;
  const memory = window.crossOriginIsolated ? SharedArrayBuffer : ArrayBuffer;
  const copy = new Float32Array(new memory(4 * length));
  copy.set(data);
  return copy;
}

class Player {
  static all = [];

  constructor(root, { rate, name, load, settings, ears = null }) {
    Object.assign(this, { root, rate, name, load, ears, settings: { volume: 1, ...settings } });
    this.position = 0;
    this.playing = false;
    this.command = 0;
    this.selection = null; // [start, end] in samples
    this.samples = 0;
    this.build();
    Player.all.push(this);
  }

  build() {
    this.playButton = element("button", { type: "button", class: "play",
      onclick: () => (this.playing ? this.pause() : this.play()) }, "Play");
    this.time = element("output", { class: "time" }, "0:00.0");
    this.canvas = element("canvas", { class: "wave", "aria-hidden": "true" });
    this.seekBar = element("input", { type: "range", min: 0, max: 1, step: 0.1, value: 0,
      disabled: "", "aria-label": `Position in seconds, ${this.name}`,
      oninput: () => this.seek(this.seekBar.valueAsNumber * this.rate) });
    this.loopBox = element("input", { type: "checkbox", onchange: () => this.applyLoop() });
    const bound = (label, index) => {
      const input = element("input", { type: "number", min: 0, step: 0.1, disabled: "",
        onchange: () => this.typeBound(index, input.valueAsNumber) });
      const here = element("button", { type: "button", disabled: "",
        title: "Set to the present position",
        "aria-label": `Set: loop ${label} the present position`,
        onclick: () => this.typeBound(index, this.position / this.rate) }, "Set");
      return { input, here, shown: element("span", { class: "bound" },
        element("label", {}, `${label} (s) `, input), " ", here) };
    };
    this.bounds = [bound("from", 0), bound("to", 1)];
    this.status = element("p", { role: "status", class: "status" });
    this.root.append(
      this.canvas, this.seekBar,
      element("div", { class: "transport", role: "group", "aria-label": `Playback, ${this.name}` },
        this.playButton, this.time,
        element("div", { class: "loop" }, element("label", {}, this.loopBox, " Loop"),
          ...this.bounds.map((each) => each.shown))),
      this.status);
    this.listenToCanvas();
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // Click to seek; drag to select a loop.
  listenToCanvas() {
    let from = null;
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const part = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
      return Math.round(part * this.samples);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.samples) return;
      from = at(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = at(event);
      // Movements of less than 0.2 s are clicks.
      if (Math.abs(to - from) > 0.2 * this.rate) this.select(Math.min(from, to), Math.max(from, to));
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = at(event);
      if (Math.abs(to - from) <= 0.2 * this.rate) this.seek(to);
      else this.seek(Math.min(from, to));
      from = null;
    });
    this.canvas.addEventListener("pointercancel", () => (from = null));
  }

  // Decode all sounds. Calls after the first return the same promise.
  ready() {
    this.decoding ??= this.decode();
    return this.decoding;
  }

  async decode() {
    this.status.textContent = "Loading the sound ...";
    const decoder = new OfflineAudioContext(2, 1, this.rate);
    const decoded = [];
    for (const bytes of await this.load()) {
      const buffer = await decoder.decodeAudioData(bytes);
      decoded.push([0, 1].map((channel) =>
        sharable(buffer.getChannelData(Math.min(channel, buffer.numberOfChannels - 1)))));
    }
    this.samples = Math.max(...decoded.map(([left]) => left.length));
    this.tracks = decoded.map((track) => track.map((data) =>
      (data.length === this.samples ? data : sharable(data, this.samples))));
    const seconds = this.samples / this.rate;
    this.seekBar.max = seconds.toFixed(1);
    for (const control of [this.seekBar, ...this.bounds.flatMap((each) => [each.input, each.here])]) {
      control.disabled = false;
    }
    this.bounds.forEach((each) => (each.input.max = seconds.toFixed(1)));
    this.showBounds();
    this.measureColumns();
    this.status.textContent = "";
    this.draw();
  }

  // Start the AudioContext, which a browser allows only after an action of the user.
  async start() {
    await this.ready();
    if (this.context) return this.context.resume();
    this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
    const source = `"use strict";(${audioEngine})();`;
    // A page from disk has no origin, so that the worklet may not load a blob: address either.
    await this.context.audioWorklet.addModule(
      `data:text/javascript;charset=utf-8,${encodeURIComponent(source)}`);
    const { tracks, ears, rate, settings } = this;
    this.node = new AudioWorkletNode(this.context, "cmss-engine", {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: { tracks, ears, rate, settings },
    });
    this.node.port.onmessage = ({ data }) => this.report(data);
    this.node.connect(this.context.destination);
    this.node.port.postMessage({ position: this.position, loop: this.loop() });
    return this.context.resume();
  }

  async play() {
    this.playButton.disabled = true;
    try {
      this.starting ??= this.start();
      await this.starting;
    } catch (error) {
      this.status.textContent = `This browser cannot play the sound: ${error.message}`;
      return;
    } finally {
      this.starting = null;
      this.playButton.disabled = false;
      this.playButton.focus();
    }
    for (const other of Player.all) if (other !== this) other.pause();
    const position = this.position >= this.samples ? 0 : this.position;
    this.node.port.postMessage({ position, playing: true, command: ++this.command });
    this.show(true);
  }

  pause() {
    if (!this.playing) return;
    this.node.port.postMessage({ playing: false, command: ++this.command });
    this.show(false);
  }

  show(playing) {
    this.playing = playing;
    this.playButton.textContent = playing ? "Pause" : "Play";
  }

  report({ position, playing, limited, command }) {
    // The audio thread has not yet received the latest change.
    if (command !== this.command) return;
    this.position = position;
    if (playing !== this.playing) this.show(playing);
    this.status.textContent = limited ? "The limiter is active: turn the volume down." : "";
    this.draw();
  }

  seek(sample) {
    this.position = Math.max(0, Math.min(Math.round(sample), this.samples));
    this.node?.port.postMessage({ position: this.position });
    this.draw();
  }

  // Change settings of the engine: weights, levels, volume.
  set(change) {
    Object.assign(this.settings, change);
    this.node?.port.postMessage(change);
  }

  loop() {
    if (!this.loopBox.checked) return null;
    return this.selection ?? [0, this.samples];
  }

  select(start, end) {
    this.selection = [start, end];
    this.loopBox.checked = true;
    this.showBounds();
    this.applyLoop();
  }

  typeBound(index, seconds) {
    const bounds = [...(this.selection ?? [0, this.samples])];
    bounds[index] = Math.max(0, Math.min(Math.round(seconds * this.rate) || 0, this.samples));
    // A loop lasts at least 0.1 s.
    if (bounds[1] - bounds[0] < 0.1 * this.rate) bounds[1 - index] = index ? 0 : this.samples;
    this.selection = bounds;
    this.showBounds();
    this.applyLoop();
  }

  showBounds() {
    const bounds = this.selection ?? [0, this.samples];
    bounds.forEach((each, index) => (this.bounds[index].input.value = (each / this.rate).toFixed(1)));
  }

  applyLoop() {
    const loop = this.loop();
    this.node?.port.postMessage({ loop });
    if (loop && (this.position < loop[0] || this.position >= loop[1])) this.seek(loop[0]);
    this.draw();
  }

  // The lowest and the highest sample of each column of the waveform of the first track.
  measureColumns() {
    const columns = 1000;
    const [left, right] = this.tracks[0];
    this.extremes = Array.from({ length: columns }, (_, column) => {
      let [low, high] = [0, 0];
      const end = Math.floor(((column + 1) * this.samples) / columns);
      for (let i = Math.floor((column * this.samples) / columns); i < end; i++) {
        const value = (left[i] + right[i]) / 2;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      return [low, high];
    });
    this.highest = Math.max(1e-9, ...this.extremes.map(([low, high]) => Math.max(-low, high)));
  }

  draw() {
    this.time.textContent = `${clock(this.position / this.rate)} / ${clock(this.samples / this.rate)}`;
    if (document.activeElement !== this.seekBar || this.playing) {
      this.seekBar.value = (this.position / this.rate).toFixed(1);
    }
    this.seekBar.setAttribute("aria-valuetext", clock(this.position / this.rate));
    const { width, height } = this.canvas.getBoundingClientRect();
    const scale = devicePixelRatio;
    const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width !== columns || this.canvas.height !== rows) {
      this.canvas.width = columns;
      this.canvas.height = rows;
    }
    if (!this.extremes || !width) return;
    const paint = this.canvas.getContext("2d");
    const colour = (name) => getComputedStyle(this.root).getPropertyValue(name);
    paint.clearRect(0, 0, columns, rows);
    const x = (sample) => (sample / this.samples) * columns;
    const loop = this.loop();
    if (loop) {
      paint.fillStyle = colour("--selected");
      paint.fillRect(x(loop[0]), 0, x(loop[1]) - x(loop[0]), rows);
    }
    paint.fillStyle = colour("--accent");
    const wide = columns / this.extremes.length;
    this.extremes.forEach(([low, high], column) => {
      const top = (0.5 - (0.48 * high) / this.highest) * rows;
      const tall = Math.max(scale, (0.48 * (high - low) * rows) / this.highest);
      paint.fillRect(column * wide, top, Math.max(wide, 0.5), tall);
    });
    paint.fillStyle = colour("--text");
    paint.fillRect(Math.min(x(this.position), columns - 2 * scale), 0, 2 * scale, rows);
  }
}
