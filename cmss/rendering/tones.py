"""Plays the part of a player with recorded notes, and returns a dry mono stem.

Each note is played with a recording of a similar pitch. The playback speed of the recording is
varied by cubic interpolation. The playback speed follows the tuning, the drift and the vibrato. If
a note is longer than the recording, the sustain of the recording is looped. Unlike
:mod:`metadata_tools.rendering.sampler`, this module needs only NumPy. This module is fast enough to
render stems while a network is trained.

In shapes, T is the number of samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from cmss.rendering.effects import (
    CONTROL_HZ,
    EffectSettings,
    band_noise,
    drift,
    dynamics,
    vibrato,
    with_noise,
)
from cmss.rendering.material import FULL_SCALE, Tone
from cmss.rendering.notation import Note

Array = NDArray[np.float32]

_NOISE_HZ = {
    "Bassoon": 900.0, "Cello": 2000.0, "Clarinet": 2500.0, "Flute": 1800.0, "Oboe": 3000.0,
    "Sax": 1500.0, "Viola": 2500.0, "Violin": 3500.0,
}  # fmt: skip
"""Dict from an instrument to the centre frequency of its breath or bow noise in Hz."""


@dataclass(frozen=True)
class Style:
    """Defines how a player plays in an excerpt.

    Args:
        detune_cents: constant pitch deviation of all notes.
        spread_cents: standard deviation of the random pitch deviation of each note.
        articulation: ratio of the sounding duration to the written duration. `articulation` applies
            to notes that are not slurred to the next note.
        vibrato_cents, vibrato_hz: depth and rate of the vibrato on notes of at least 0.25 s.
        softness: attenuation of high frequencies in soft notes, from 0 (none) to 1 (strong).
        variety_semitones: upper limit of a random number that is added to the distance in pitch
            between a note and each recording. The recording with the smallest sum is played.
            Therefore, notes of the same pitch are played with different recordings.
        noise: level of the breath or bow noise relative to the tone.
    """

    detune_cents: float = 0.0
    spread_cents: float = 0.0
    articulation: float = 0.92
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.5
    softness: float = 0.0
    variety_semitones: float = 0.0
    noise: float = 0.0


def random_style(effects: EffectSettings, rng: np.random.Generator) -> Style:
    """Draw the playing style of a player; a quarter of the players play without vibrato."""
    plays_vibrato = rng.random() < 0.75
    depth = float(effects.vibrato_cents * rng.uniform(0.1, 1))
    return Style(
        detune_cents=float(rng.normal(0, 5)),
        spread_cents=float(rng.uniform(1, 6)),
        articulation=float(rng.uniform(0.75, 1.0)),
        vibrato_cents=depth if plays_vibrato else 0.0,
        vibrato_hz=float(rng.uniform(4.0, 7.5)),
        softness=float(rng.uniform(0, 0.8)),
        variety_semitones=1.2,
        noise=float(effects.noise * 10 ** -rng.uniform(0, 1.5)) if rng.random() < 0.7 else 0.0,
    )


def voices(
    tones: Sequence[Tone], players: int, different: bool, rng: np.random.Generator
) -> list[tuple[Tone, ...]]:
    """Choose at random the recorded notes that each player of an instrument uses.

    Each player uses recorded notes from a single dynamic layer of a single library. First the
    library is drawn, then the layer, so that a library with more layers is not used more often.

    Args:
        tones: all recorded notes of the instrument.
        players: number of players of the instrument.
        different: whether the players use different recorded notes. If there are enough libraries
            or layers, each player uses a different library or layer. If there are not enough
            layers, the sorted pitches of a single layer are divided between the players instead.
            For example, the first of two players uses every second pitch, and the second player
            uses the other pitches.
        rng: random generator for libraries and layers.
    """
    layers: dict[tuple[str, str], list[Tone]] = {}
    for tone in tones:
        layers.setdefault((tone.library, tone.dynamic), []).append(tone)
    # Exclude layers with few pitches, because the notes would be shifted too far. A layer may have
    # several notes of the same pitch.
    pitches_of = {layer: len({tone.midi for tone in found}) for layer, found in layers.items()}
    most = max(pitches_of.values())
    libraries: dict[str, list[list[Tone]]] = {}
    for layer, found in layers.items():
        if 2 * pitches_of[layer] >= most:
            libraries.setdefault(layer[0], []).append(found)
    shuffled = [*libraries.values()]
    rng.shuffle(shuffled)
    for of_library in shuffled:
        rng.shuffle(of_library)
    # The first layer of each library, then the second layer of each library, and so on.
    usable = [layer for row in zip_longest(*shuffled) for layer in row if layer]
    if players == 1 or not different:
        return [tuple(usable[0])] * players
    if len(usable) >= players:
        return [tuple(layer) for layer in usable[:players]]
    only = sorted(usable[0], key=lambda tone: tone.midi)
    pitches = sorted({tone.midi for tone in only})
    first = int(rng.integers(players))
    return [
        tuple(t for t in only if pitches.index(t.midi) % players == (first + n) % players)
        or tuple(only)
        for n in range(players)
    ]


class Performer:
    """Plays parts with recorded notes, and caches the looped recordings.

    Args:
        rate_hz: sampling rate of the notes and of the stems.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._loops: dict[int, tuple[Tone, Array]] = {}
        self._noises: dict[str, Array] = {}

    def play(
        self,
        instrument: str,
        voice: Sequence[Tone],
        notes: Sequence[Note],
        samples: int,
        style: Style,
        effects: EffectSettings,
        rng: np.random.Generator,
    ) -> Array:
        """Play a part, and return the dry stem (T,).

        Args:
            instrument: name of the instrument, which determines the breath or bow noise.
            voice: recorded notes that the player uses, see :func:`voices`.
            notes: notes of the part, sorted by onset.
            samples: length of the stem.
            style: playing style of the player.
            effects: strengths of the effects.
            rng: random generator for the deviations of the player.
        """
        rate_hz = self.rate_hz
        stem = np.zeros(samples, np.float32)
        tuning = drift(samples / rate_hz, effects.drift_cents, rng)
        phase = rng.uniform(0, 2 * np.pi)
        for number, note in enumerate(notes):
            following = notes[number + 1] if number + 1 < len(notes) else None
            bound = following is not None and following.slurred and not note.short
            # Each note has its own random generator, so that no note depends on the other notes.
            single = np.random.default_rng(rng.integers(2**63))
            tone = self._choose(voice, note, style, single)
            # The level rises and falls slowly, with a period of several seconds.
            level_db = note.level_db + 1.5 * np.sin(phase + 2 * np.pi * note.onset_s / 6.5)
            level_db += single.normal(0, 0.7)
            if bound:
                sounding, release = note.duration_s, 0.06
            else:
                sounding = max(0.05, note.duration_s * (0.5 if note.short else style.articulation))
                release = min(0.12, 0.03 + 0.25 * sounding)
            begin = int(note.onset_s * rate_hz)
            length = min(round((sounding + release) * rate_hz), samples - begin)
            if length < 2:
                continue
            seconds = length / rate_hz
            cents = style.detune_cents + single.normal(0, style.spread_cents)
            # Interpolate the curve of the drift at the times of the note.
            control = note.onset_s * CONTROL_HZ + np.arange(int(seconds * CONTROL_HZ) + 2)
            curve = cents + np.interp(control, np.arange(len(tuning)), tuning)
            if style.vibrato_cents > 0 and note.duration_s >= 0.25:
                rate = style.vibrato_hz * (1 + 0.05 * single.normal())
                curve = curve + vibrato(seconds, style.vibrato_cents, rate, single)
            if note.slurred:
                # A slurred note has no attack, because the bow or the breath continues.
                start = tone.attack + float(single.random()) * 0.06 * rate_hz
                fade_in = 0.035
            else:
                # Skip the beginning of a slow recorded attack if the note is short.
                longest = min(0.25, max(0.03, 0.35 * sounding)) * rate_hz
                start = max(0.0, tone.attack - longest)
                fade_in = 0.004 if start == 0 else 0.012
            semitones = note.midi - tone.pitch + curve / 100
            played = self._read(tone, start, semitones, length)
            darkness = style.softness * min(1.0, max(0.0, -level_db) / 10)
            if darkness > 0.05:
                played = (1 - darkness) * played + darkness * _darkened(played, rate_hz)
            envelope = _envelope(length, fade_in, sounding, release, rate_hz)
            if effects.dynamics_db > 0:
                change_db = dynamics(seconds, effects.dynamics_db, single)
                envelope = envelope * _interpolated(10 ** (change_db / 20), length, rate_hz)
            stem[begin : begin + length] += played * envelope * np.float32(10 ** (level_db / 20))
        if style.noise > 0:
            stem = with_noise(stem, style.noise, self._noise(instrument, samples, rng), rate_hz)
        return stem

    def _noise(self, instrument: str, samples: int, rng: np.random.Generator) -> Array:
        """Return a random excerpt (samples,) of breath or bow noise."""
        longest = samples + 5 * self.rate_hz
        noise = self._noises.get(instrument)
        if noise is None or len(noise) != longest:
            # Because the seed is fixed, the noise does not depend on the order of instruments.
            centre_hz = _NOISE_HZ.get(instrument, 2000.0)
            noise = band_noise(longest, centre_hz, self.rate_hz, np.random.default_rng(longest))
            self._noises[instrument] = noise
        start = int(rng.integers(longest - samples))
        return noise[start : start + samples]

    def _choose(
        self, voice: Sequence[Tone], note: Note, style: Style, rng: np.random.Generator
    ) -> Tone:
        """Choose the recorded note with the smallest sum of pitch distance and random number."""
        distance = np.array([abs(tone.pitch - note.midi) for tone in voice])
        return voice[int(np.argmin(distance + style.variety_semitones * rng.random(len(voice))))]

    def _read(self, tone: Tone, start: float, semitones: NDArray[np.float64], length: int) -> Array:
        """Read a recording, transposed by `semitones`, a curve with the rate CONTROL_HZ."""
        speed = _interpolated(2 ** (semitones / 12), length, self.rate_hz)
        positions = start + np.cumsum(speed, dtype=np.float64)
        source = self._looped(tone, int(positions[-1]) + 4)
        return _cubic(source, positions)

    def _looped(self, tone: Tone, samples: int) -> Array:
        """Return a recording without its decay, and loop the sustain if needed."""
        kept = self._loops.get(id(tone))
        # If a loop is extended, the last crossfade of the loop changes. Each loop is therefore a
        # second longer than needed, so that a note never depends on the previous notes.
        needed = samples + self.rate_hz
        if kept is None or len(kept[1]) < needed:
            source = looped(tone, needed, self.rate_hz)
            # Store a reference to `tone`, so that Python does not reuse the id of `tone`.
            kept = (tone, source)
            self._loops[id(tone)] = kept
        return kept[1]


def looped(tone: Tone, samples: int, rate_hz: int) -> Array:
    """Return a recording without its decay, and repeat the sustain if needed.

    The sustain is repeated until the result has at least `samples` samples. The beginning of each
    repetition is chosen so that the waveform continues in phase. The crossfade takes 80 ms or a
    quarter of the sustain, whichever is shorter.
    """
    source = tone.samples[: tone.sustain_end].astype(np.float32) / np.float32(FULL_SCALE)
    sustain = source
    fade = max(2, int(min(0.08 * rate_hz, (tone.sustain_end - tone.attack) // 4)))
    period = rate_hz / (440 * 2 ** ((tone.pitch - 69) / 12))
    search = int(2 * period) + 1
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    # Loops begin after the attack. Loops must not begin late, because short loops sound buzzy.
    latest = tone.attack + max(0, (tone.sustain_end - tone.attack - 2 * fade - search) // 2)
    # Because the seed is fixed, a loop does not depend on other loops.
    rng = np.random.default_rng(tone.midi)
    while len(source) < samples:
        tail = source[-fade:]
        entry = int(rng.integers(tone.attack, latest + 1))
        stretch = sustain[entry : entry + search + fade]
        if len(stretch) > fade:
            entry += int(np.argmax(np.correlate(stretch, tail, mode="valid")))
        joined = sustain[entry : entry + fade]
        if len(joined) < fade or entry + fade >= len(sustain):
            # The sustain is too short for a crossfade.
            source = np.concatenate([source, sustain[tone.attack // 2 :]])
            continue
        crossed = tail * (1 - ramp) + joined * ramp
        source = np.concatenate([source[:-fade], crossed, sustain[entry + fade :]])
    return source


def _cubic(source: Array, positions: NDArray[np.float64]) -> Array:
    """Interpolate a signal at fractional positions by Catmull-Rom cubic interpolation."""
    whole = np.clip(positions.astype(np.int64), 1, len(source) - 3)
    x = (positions - whole).astype(np.float32)
    a, b, c, d = (source[whole + offset] for offset in (-1, 0, 1, 2))
    cubic = c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a))
    return np.asarray(b + 0.5 * x * cubic, np.float32)


def _interpolated(curve: NDArray[np.float64], length: int, rate_hz: int) -> Array:
    """Interpolate a curve from the sampling rate CONTROL_HZ to `rate_hz`."""
    time = np.arange(length) * (CONTROL_HZ / rate_hz)
    return np.interp(time, np.arange(len(curve)), curve).astype(np.float32)


def _envelope(
    length: int, fade_in_s: float, sounding_s: float, release_s: float, rate_hz: int
) -> Array:
    """Return the envelope (length,) of a note: fade-in, sustain and release."""
    envelope = np.ones(length, np.float32)
    rising = min(length, max(1, round(fade_in_s * rate_hz)))
    envelope[:rising] = np.sin(0.5 * np.pi * np.arange(rising) / rising) ** 2
    first = round(sounding_s * rate_hz)
    falling = np.arange(max(0, length - first)) / max(1.0, release_s * rate_hz)
    envelope[first:] *= np.cos(0.5 * np.pi * np.clip(falling, 0, 1)) ** 2
    return envelope


def _darkened(signal: Array, rate_hz: int) -> Array:
    """Attenuate high frequencies of a signal (T,) by two moving averages over 0.2 ms."""
    taps = max(2, round(2e-4 * rate_hz))
    window = np.convolve(np.ones(taps), np.ones(taps)).astype(np.float32) / taps**2
    # mode="same" would return the length of the window if the signal is shorter.
    return np.convolve(signal, window)[taps - 1 :][: len(signal)].astype(np.float32)
