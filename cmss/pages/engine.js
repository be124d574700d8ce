"use strict";
// The audio engine of all pages: it mixes tracks, amplifies the mix for a listener, and limits it.
//
// This function uses nothing outside of itself. The page calls it, and its source text is also the
// module of the AudioWorklet, so that both run the same code. A page that is opened from disk may
// not load a module from a file.
function audioEngine() {
  // Gains change linearly within this time, so that a change makes no click and no gap.
  const RAMP_S = 0.01;
  // No sample of the output exceeds this value (-1 dB relative to full scale).
  const CEILING = 10 ** (-1 / 20);
  const LIMITER_RELEASE_S = 0.1;
  const BLOCK = 4096;

  const factor = (db) => 10 ** (db / 20);

  // Recursive filters in transposed direct form II, with the order of operations of
  // cmss/hearing/hearing_aid.py. They replace the first n values of x, and update the state z.
  function filter4([b, a], x, n, z) {
    const [b0, b1, b2, b3, b4] = b;
    const [, a1, a2, a3, a4] = a;
    let [z1, z2, z3, z4] = z;
    for (let i = 0; i < n; i++) {
      const u = x[i];
      const v = z1 + b0 * u;
      z1 = z2 + u * b1 - v * a1;
      z2 = z3 + u * b2 - v * a2;
      z3 = z4 + u * b3 - v * a3;
      z4 = u * b4 - v * a4;
      x[i] = v;
    }
    keep(z, z1, z2, z3, z4);
  }

  function filter8([b, a], x, n, z) {
    const [b0, b1, b2, b3, b4, b5, b6, b7, b8] = b;
    const [, a1, a2, a3, a4, a5, a6, a7, a8] = a;
    let [z1, z2, z3, z4, z5, z6, z7, z8] = z;
    for (let i = 0; i < n; i++) {
      const u = x[i];
      const v = z1 + b0 * u;
      z1 = z2 + u * b1 - v * a1;
      z2 = z3 + u * b2 - v * a2;
      z3 = z4 + u * b3 - v * a3;
      z4 = z5 + u * b4 - v * a4;
      z5 = z6 + u * b5 - v * a5;
      z6 = z7 + u * b6 - v * a6;
      z7 = z8 + u * b7 - v * a7;
      z8 = u * b8 - v * a8;
      x[i] = v;
    }
    keep(z, z1, z2, z3, z4, z5, z6, z7, z8);
  }

  // In silence, states decay to subnormal numbers, with which processors are slow.
  function keep(z, ...values) {
    for (let i = 0; i < values.length; i++) z[i] = Math.abs(values[i]) < 1e-200 ? 0 : values[i];
  }

  // Amplifies one ear: crossover, a compressor for each band, and the sum of the bands.
  class Ear {
    // settings: low_pass, high_pass and all_pass (edges, 2, coefficients); threshold_db, slope,
    // attack, release and gain_db (bands), see HearingAid.parameters in hearing_aid.py.
    constructor(settings) {
      Object.assign(this, settings);
      const edges = this.low_pass.length;
      const rows = () => Array.from({ length: edges }, () => new Float64Array(8));
      this.states = Array.from({ length: edges + 1 }, rows);
      this.reductions_db = new Float64Array(edges + 1);
      this.band = new Float64Array(BLOCK);
    }

    process(input, output, n) {
      const edges = this.low_pass.length;
      const band = this.band;
      output.fill(0, 0, n);
      for (let i = 0; i <= edges; i++) {
        const states = this.states[i];
        for (let j = 0; j < n; j++) band[j] = input[j];
        if (i < edges) filter4(this.low_pass[i], band, n, states[i]);
        for (let below = 0; below < i; below++) {
          filter4(this.high_pass[below], band, n, states[below]);
        }
        for (let above = i + 1; above < edges; above++) {
          filter8(this.all_pass[above], band, n, states[above]);
        }
        this.compress(i, output, n);
      }
    }

    compress(i, output, n) {
      const nepersPerDb = Math.log(10) / 20;
      const threshold_db = this.threshold_db[i];
      const threshold = 10 ** (threshold_db / 20);
      const [slope, attack, release] = [this.slope[i], this.attack[i], this.release[i]];
      const gain_db = this.gain_db[i];
      let reduction_db = this.reductions_db[i];
      for (let j = 0; j < n; j++) {
        const level = Math.abs(this.band[j]);
        let wanted_db = 0;
        if (level >= threshold) wanted_db = slope * (Math.log(level) / nepersPerDb - threshold_db);
        const weight = wanted_db > reduction_db ? attack : release;
        reduction_db = weight * reduction_db + (1 - weight) * wanted_db;
        output[j] += this.band[j] * Math.exp(nepersPerDb * (gain_db - reduction_db));
      }
      this.reductions_db[i] = reduction_db < 1e-200 ? 0 : reduction_db;
    }
  }

  // Measures the integrated loudness (ITU-R BS.1770-4) and the highest sample of a stereo signal.
  class Loudness {
    // sections: the two K-weighting filters, each [b0, b1, b2, a0, a1, a2].
    constructor(sections, rate) {
      this.sections = sections;
      this.states = [0, 1].map(() => sections.map(() => new Float64Array(2)));
      this.hop = Math.round(rate / 10); // a quarter of a gating block of 0.4 s
      this.energies = [];
      this.samples = 0;
      this.peak = 0;
    }

    add(channels, n) {
      for (let i = 0; i < n; i++) {
        let energy = 0;
        for (let c = 0; c < 2; c++) {
          let x = channels[c][i];
          const level = Math.abs(x);
          if (level > this.peak) this.peak = level;
          for (let s = 0; s < this.sections.length; s++) {
            const [b0, b1, b2, , a1, a2] = this.sections[s];
            const z = this.states[c][s];
            const y = b0 * x + z[0];
            z[0] = b1 * x - a1 * y + z[1];
            z[1] = b2 * x - a2 * y;
            x = y;
          }
          energy += x * x;
        }
        const index = Math.floor((this.samples + i) / this.hop);
        if (index === this.energies.length) this.energies.push(0);
        this.energies[index] += energy;
      }
      this.samples += n;
    }

    lufs() {
      const blocks = Math.round(this.samples / this.hop - 4) + 1;
      const powers = [];
      for (let k = 0; k < blocks; k++) {
        const energy = this.energies.slice(k, k + 4).reduce((sum, each) => sum + each, 0);
        powers.push(energy / (4 * this.hop));
      }
      const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;
      // Gating: first by -70 LUFS, then by 10 LU below the loudness of the remaining blocks.
      const audible = powers.filter((power) => power >= 10 ** ((-70 + 0.691) / 10));
      if (!audible.length) return -Infinity;
      const relative = mean(audible) / 10;
      return -0.691 + 10 * Math.log10(mean(audible.filter((power) => power > relative)));
    }
  }

  // A value that reaches its target linearly.
  class Ramp {
    constructor(value) {
      this.value = this.target = value;
      this.left = 0;
    }

    to(target, samples) {
      if (target === this.target) return;
      this.target = target;
      this.left = samples;
      this.step = (target - this.value) / samples;
    }

    next() {
      if (this.left > 0) this.value = --this.left ? this.value + this.step : this.target;
      return this.value;
    }
  }

  const ZERO = { aided: 0, unaided: 0, original: 0 };

  // Plays tracks from memory. All tracks are decoded before, so that a switch cannot wait for data.
  //
  // Three signals are computed: the mix of all tracks (unaided), the same after the hearing aid
  // (aided), and the first track (original). The output is their sum, weighted by `levels`.
  class Engine {
    // tracks: for each track, two Float32Array; ears: settings of both ears, or null for no hearing
    // aid; rate: sampling rate.
    constructor({ tracks, ears, rate, settings }) {
      this.tracks = tracks;
      this.samples = tracks[0][0].length;
      this.ears = ears && ears.map((each) => new Ear(each));
      this.ramp = Math.round(RAMP_S * rate);
      this.release = 1 - Math.exp(-1 / (LIMITER_RELEASE_S * rate));
      this.weights = tracks.map(() => new Ramp(0));
      this.levels = Object.fromEntries(Object.keys(ZERO).map((name) => [name, new Ramp(0)]));
      this.volume = new Ramp(0);
      this.envelope = new Ramp(0);
      this.playing = false;
      this.command = 0;
      this.position = this.old = this.fading = 0;
      this.loop = null;
      this.reduction = 1;
      this.limited = false;
      const buffer = () => new Float64Array(BLOCK);
      [this.mixed, this.aided, this.first] = [0, 1, 2].map(() => [buffer(), buffer()]);
      this.fade = buffer();
      this.envelopes = buffer();
      [this.now, this.before] = [new Int32Array(BLOCK), new Int32Array(BLOCK)];
      if (settings) {
        this.set(settings);
        // The first settings are valid from the first sample on.
        for (const each of [...this.weights, ...Object.values(this.levels), this.volume]) {
          each.value = each.target;
          each.left = 0;
        }
      }
    }

    // Change some of: weights (tracks), levels, volume, playing, position, loop ([start, end]).
    // command is the number of the latest change of `playing` by the user.
    set(change) {
      if (change.weights) change.weights.forEach((to, t) => this.weights[t].to(to, this.ramp));
      for (const [name, to] of Object.entries(change.levels ?? {})) {
        this.levels[name].to(to, this.ramp);
      }
      if ("volume" in change) this.volume.to(change.volume, this.ramp);
      if ("loop" in change) this.loop = change.loop;
      if ("position" in change) this.jump(change.position);
      if ("command" in change) this.command = change.command;
      if ("playing" in change) {
        this.playing = change.playing;
        this.envelope.to(change.playing ? 1 : 0, this.ramp);
      }
    }

    // Continue at another position, with a cross-fade from the present one.
    jump(position) {
      if (this.envelope.value > 0) {
        this.old = this.position;
        this.fading = this.ramp;
      }
      this.position = Math.max(0, Math.min(Math.round(position), this.samples));
    }

    // Compute the position of each of the next n samples.
    advance(n) {
      for (let i = 0; i < n; i++) {
        if (this.loop && this.playing && this.position === this.loop[1]) this.jump(this.loop[0]);
        this.envelopes[i] = this.envelope.next();
        this.now[i] = this.position;
        this.before[i] = this.old;
        this.fade[i] = this.fading / this.ramp;
        if (this.fading) {
          this.fading--;
          this.old++;
        }
        if (this.envelopes[i] > 0) this.position++;
        if (this.playing && this.position >= this.samples) {
          if (this.loop) this.jump(this.loop[0]);
          else this.set({ playing: false });
        }
      }
    }

    process(left, right) {
      const n = left.length;
      if (!this.playing && this.envelope.value === 0) {
        left.fill(0);
        right.fill(0);
        return;
      }
      this.advance(n);
      for (let c = 0; c < 2; c++) this.mixed[c].fill(0, 0, n);
      this.tracks.forEach((track, t) => this.mix(track, this.weights[t], t === 0, n));
      if (this.ears) {
        this.ears.forEach((ear, c) => ear.process(this.mixed[c], this.aided[c], n));
      }
      this.sum(left, right, n);
    }

    mix([left, right], weight, isFirst, n) {
      const { samples, now, before, fade } = this;
      for (let i = 0; i < n; i++) {
        const w = weight.next();
        const p = now[i];
        let l = p < samples ? left[p] : 0;
        let r = p < samples ? right[p] : 0;
        const f = fade[i];
        if (f > 0) {
          const q = before[i];
          l = (1 - f) * l + (q < samples ? f * left[q] : 0);
          r = (1 - f) * r + (q < samples ? f * right[q] : 0);
        }
        this.mixed[0][i] += w * l;
        this.mixed[1][i] += w * r;
        if (isFirst) [this.first[0][i], this.first[1][i]] = [l, r];
      }
    }

    sum(left, right, n) {
      const { aided, unaided, original } = this.levels;
      for (let i = 0; i < n; i++) {
        const [a, u, o] = [aided.next(), unaided.next(), original.next()];
        const gain = this.volume.next() * this.envelopes[i];
        const l = gain * (a * this.aided[0][i] + u * this.mixed[0][i] + o * this.first[0][i]);
        const r = gain * (a * this.aided[1][i] + u * this.mixed[1][i] + o * this.first[1][i]);
        // The limiter reduces the gain at once, and raises it slowly.
        const peak = Math.max(Math.abs(l), Math.abs(r));
        const risen = this.reduction + (1 - this.reduction) * this.release;
        this.reduction = Math.min(risen, peak > CEILING ? CEILING / peak : 1);
        if (peak > CEILING) this.limited = true;
        left[i] = this.reduction * l;
        right[i] = this.reduction * r;
      }
    }
  }

  // Compute the mix of all tracks from the first to the last sample, without transport and limiter.
  //
  // Calls sink(channels, n) for each block. The browser stays responsive. Ends early, with false, if
  // alive() returns false.
  async function render({ tracks, weights, ears }, sink, alive = () => true) {
    const samples = tracks[0][0].length;
    const amplifiers = ears && ears.map((each) => new Ear(each));
    const [mixed, aided] = [0, 1].map(() => [new Float64Array(BLOCK), new Float64Array(BLOCK)]);
    let began = performance.now();
    for (let start = 0; start < samples; start += BLOCK) {
      const n = Math.min(BLOCK, samples - start);
      for (let c = 0; c < 2; c++) {
        mixed[c].fill(0, 0, n);
        tracks.forEach((track, t) => {
          for (let i = 0; i < n; i++) mixed[c][i] += weights[t] * track[c][start + i];
        });
        if (amplifiers) amplifiers[c].process(mixed[c], aided[c], n);
      }
      sink(amplifiers ? aided : mixed, n);
      if (performance.now() - began > 12) {
        await new Promise((resolve) => setTimeout(resolve));
        if (!alive()) return false;
        began = performance.now();
      }
    }
    return true;
  }

  if (typeof registerProcessor === "function") {
    registerProcessor("cmss-engine", class extends AudioWorkletProcessor {
      constructor({ processorOptions }) {
        super();
        this.engine = new Engine(processorOptions);
        this.blocks = 0;
        this.port.onmessage = ({ data }) => {
          this.engine.set(data);
          this.report();
        };
      }

      report() {
        const { position, playing, limited, command } = this.engine;
        this.port.postMessage({ position, playing, limited, command });
        this.engine.limited = false;
      }

      process(_, [[left, right]]) {
        const { playing } = this.engine;
        this.engine.process(left, right);
        if ((playing && this.blocks++ % 8 === 0) || playing !== this.engine.playing) this.report();
        return true;
      }
    });
  }
  return { Ear, Engine, Loudness, render, factor };
}
