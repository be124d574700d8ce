"""Applies effects that model how real players differ from a sampler.

Each effect is a pure function of notes or samples and a random generator. The strengths of the
effects are the settings of :class:`EffectSettings`. The effects are used only in the training. The
rendered test sets do not use the effects.

In shapes, T is the number of samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cmss.rendering.arrange import instrument_of, single_voiced, upper_part_first
from cmss.rendering.notation import Note, Part, one_voice

Array = NDArray[np.float32]

Fraction = Annotated[float, Field(ge=0, le=1)]
CONTROL_HZ = 100
"""Sampling rate of pitch curves and level curves; the curves are interpolated linearly."""


@dataclass(frozen=True)
class EffectSettings:
    """Holds the strengths of all effects of rendered mixtures; 0 disables an effect.

    Args:
        legato: fraction of the notes that are slurred to the next note. Only notes without a rest
            before the next note are slurred.
        overlap_s: maximum overlap of a slurred note with the next note in seconds.
        vibrato_cents: maximum depth of the vibrato.
        dynamics_db: maximum change of the level within a note.
        apart_s: standard deviation of the timing deviations of each player in seconds.
        drift_cents: standard deviation of the slow drift of each player's tuning.
        noise: maximum ratio of the level of breath or bow noise to the level of the tone.
        reverberation_s: maximum reverberation time in seconds. If `reverberation_s` is 0, the room
            has no reflections.
        near: fraction of the mixtures in which the microphones are close to the players.
        width: variation of the width of the stereo image. If `width` is 1, the width of the stereo
            image is between 0 (mono) and 1.5 times the width of the stereo image of the microphone
            pair. If `width` is 0, the stereo image of the microphone pair does not change.
        different_notes: fraction of the doubled instruments whose two players use different
            recordings. The two players use different libraries or dynamic layers. If there is only
            one layer, the two players use recordings of different pitches.
        against_habit: fraction of the mixtures in which the parts are assigned to the instruments
            at random.
        plain: fraction of the mixtures without effects. The players of these mixtures sit in a room
            with a reverberation time of at most 1.5 s.
    """

    legato: Fraction = 0.5
    overlap_s: Annotated[float, Field(ge=0, le=1)] = 0.12
    vibrato_cents: Annotated[float, Field(ge=0, le=200)] = 35.0
    dynamics_db: Annotated[float, Field(ge=0, le=40)] = 8.0
    apart_s: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    drift_cents: Annotated[float, Field(ge=0, le=100)] = 8.0
    noise: Fraction = 0.03
    reverberation_s: Annotated[float, Field(ge=0, le=10)] = 4.0
    near: Fraction = 0.4
    width: Fraction = 1.0
    different_notes: Fraction = 1.0
    against_habit: Fraction = 0.5
    plain: Fraction = 0.5

    def as_plain(self) -> "EffectSettings":
        """Return the settings of a mixture without effects."""
        off = EffectSettings(**dict.fromkeys((f.name for f in fields(self)), 0.0))
        return replace(off, reverberation_s=min(1.5, self.reverberation_s))


# Effects on parts and notes.


def against_habit(
    parts: Sequence[Part],
    labels: Sequence[str],
    ranges: Mapping[str, tuple[int, int]],
    rng: np.random.Generator,
) -> dict[str, Part]:
    """Assign parts to players without regard to the usual roles of the instruments.

    The parts are assigned at random. For example, a viola may play a higher part than a violin. In
    a quarter of the ensembles, two players play the same part, unless they play the same
    instrument. All parts are transposed by the same interval. Each part is also transposed by a
    number of octaves. This number is drawn at random from the numbers that move the part into the
    range of the instrument. The first of two players of the same instrument gets the higher part.

    Args:
        parts: excerpts of the score, with onsets from zero.
        labels: labels of the players.
        ranges: lowest and highest pitch of each instrument.
        rng: random generator for parts, intervals and octaves.

    Returns:
        Dict from the label of each player to the part of this player. If no part has notes, all
        parts are empty.
    """
    available = [part for part in parts if part]
    if not available:
        return dict.fromkeys(labels, ())
    # If there are more players than parts, some parts are played by several players.
    order = [*rng.permutation(len(available))]
    order += [*rng.integers(len(available), size=max(0, len(labels) - len(order)))]
    if rng.random() < 0.25 and instrument_of(labels[0]) != instrument_of(labels[1]):
        order[1] = order[0]
    interval = int(rng.integers(-5, 7))
    given = {}
    for label, index in zip(labels, order, strict=False):
        instrument = instrument_of(label)
        part = available[index]
        voiced = one_voice(part) if single_voiced(instrument) else part
        given[label] = anywhere_in_range(voiced, *ranges[instrument], interval, rng)
    return upper_part_first(given)


def anywhere_in_range(
    part: Part, low: int, high: int, interval: int, rng: np.random.Generator
) -> Part:
    """Transpose a part into a range, by an interval and a random number of octaves.

    The number of octaves is drawn from all numbers that move at least 90 % of the notes into the
    range. The remaining notes are shifted separately.

    Args:
        part: part to transpose.
        low: lowest MIDI pitch of the range.
        high: highest MIDI pitch of the range, at least an octave above `low`.
        interval: interval in semitones.
        rng: random generator for the number of octaves.
    """
    pitches = np.array([note.midi for note in part]) + interval
    octaves = np.arange(-6, 7)
    moved = pitches + 12 * octaves[:, None]  # (octaves, notes)
    inside = np.mean((moved >= low) & (moved <= high), axis=1)
    fitting = octaves[inside >= min(0.9, inside.max())]
    shift = interval + 12 * int(rng.choice(fitting))

    def fold(midi: int) -> int:
        below = -(-max(0, low - midi) // 12)
        above = -(-max(0, midi - high) // 12)
        return midi + 12 * (below - above)

    return tuple(replace(note, midi=fold(note.midi + shift)) for note in part)


def overlapped(
    notes: Sequence[Note], fraction: float, overlap_s: float, rng: np.random.Generator
) -> tuple[Note, ...]:
    """Slur notes to the next note, and lengthen the slurred notes so that both notes overlap.

    Args:
        notes: notes of a player, sorted by onset.
        fraction: fraction of the notes that are slurred. Notes before a rest are never slurred.
        overlap_s: maximum duration of the overlap in seconds.
        rng: random generator for the slurred notes and the overlaps.
    """
    changed = list(notes)
    bound = rng.random(len(changed)) < fraction
    overlaps = rng.uniform(0.15, 1, len(changed)) * overlap_s
    for number in range(len(changed) - 1):
        note, following = changed[number], changed[number + 1]
        gap = following.onset_s - note.onset_s - note.duration_s
        if abs(gap) < 0.05 and (bound[number] or following.slurred):
            longer = note.duration_s + gap + overlaps[number]
            changed[number] = replace(note, duration_s=longer, short=False)
            changed[number + 1] = replace(following, slurred=True)
    return tuple(changed)


def apart(notes: Sequence[Note], deviation_s: float, rng: np.random.Generator) -> tuple[Note, ...]:
    """Move the notes of a player in time, relative to the other players.

    The time shift of a note is the sum of three terms: a constant shift of the player, a slow
    variation of this shift, and a random deviation of the note. All terms have equal variance.

    Args:
        notes: notes of a player, sorted by onset.
        deviation_s: standard deviation of the sum of the three terms in seconds.
        rng: random generator for the three terms.
    """
    scale = deviation_s / np.sqrt(3)
    constant, phase = rng.normal(0, scale), rng.uniform(0, 2 * np.pi)
    period_s = rng.uniform(3, 10)
    single = rng.normal(0, scale, len(notes))
    moved = []
    for note, term in zip(notes, single, strict=True):
        slow = np.sqrt(2) * scale * np.sin(phase + 2 * np.pi * note.onset_s / period_s)
        onset_s = max(0.0, note.onset_s + float(constant + slow + term))
        moved.append(replace(note, onset_s=onset_s))
    return tuple(moved)


# Curves of pitch and level, sampled at CONTROL_HZ.


def drift(seconds: float, cents: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a slow drift of the tuning in cents; the standard deviation is `cents`.

    The drift is a sum of sines with periods of 2 to 20 s.

    Args:
        seconds: duration of the curve.
        cents: standard deviation of the drift.
        rng: random generator for periods and phases.
    """
    time = np.arange(int(seconds * CONTROL_HZ) + 2) / CONTROL_HZ
    frequencies_hz = np.exp(rng.uniform(np.log(0.05), np.log(0.5), 4))
    phases = rng.uniform(0, 2 * np.pi, 4)
    sines = np.sin(2 * np.pi * frequencies_hz[:, None] * time + phases[:, None])
    return cents * np.sqrt(2 / 4) * sines.sum(0)


def vibrato(
    seconds: float, depth_cents: float, rate_hz: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return the vibrato of a note in cents, with a slowly varying rate and depth.

    The vibrato begins 0.05 to 0.3 s after the onset of the note. The depth varies between 60 and
    100 % of `depth_cents`. The rate varies by up to 8 % around `rate_hz`.

    Args:
        seconds: duration of the note.
        depth_cents: maximum deviation from the pitch of the note.
        rate_hz: mean rate of the vibrato.
        rng: random generator for the beginning and the variations of the vibrato.
    """
    time = np.arange(int(seconds * CONTROL_HZ) + 2) / CONTROL_HZ
    begin_s, phase = rng.uniform(0.05, 0.3), rng.uniform(0, 2 * np.pi)
    slow_hz, second_phase = rng.uniform(0.3, 1.5), rng.uniform(0, 2 * np.pi)
    rates_hz = rate_hz * (1 + 0.08 * np.sin(2 * np.pi * slow_hz * time + phase))
    cycles = np.cumsum(rates_hz) / CONTROL_HZ
    depth = depth_cents * (0.8 + 0.2 * np.sin(2 * np.pi * 0.7 * slow_hz * time + second_phase))
    onset = np.clip((time - begin_s) / 0.3, 0, 1)
    return onset * depth * np.sin(2 * np.pi * cycles + phase)


def dynamics(seconds: float, most_db: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the change of the level within a note in dB.

    The curve has one of four shapes: rising, falling, rising then falling, or falling after an
    accent. The level changes by up to `most_db`. The maximum change is smaller for short notes.

    Args:
        seconds: duration of the note.
        most_db: maximum change of the level.
        rng: random generator for the shape and the change.
    """
    time = np.linspace(0, 1, int(seconds * CONTROL_HZ) + 2)
    shape = int(rng.integers(4))
    amount_db = most_db * rng.uniform(0, 1) * min(1.0, seconds)
    peak = rng.uniform(0.3, 0.7)
    curve = (
        time,
        1 - time,
        np.where(time < peak, time / peak, (1 - time) / (1 - peak)),
        np.exp(-time * seconds / 0.15),
    )[shape]
    return amount_db * (curve - 0.5)


# Effects on samples.


def band_noise(samples: int, centre_hz: float, rate_hz: int, rng: np.random.Generator) -> Array:
    """Return breath or bow noise (samples,) with an RMS of 1 and a bandwidth of two octaves."""
    spectrum = np.fft.rfft(rng.standard_normal(samples, np.float32))
    octaves = np.log2(np.maximum(np.fft.rfftfreq(samples, 1 / rate_hz), 1) / centre_hz)
    noise = np.fft.irfft(spectrum * np.exp(-0.5 * octaves.astype(np.float32) ** 2), samples)
    return (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)


def with_noise(tone: Array, level: float, noise: Array, rate_hz: int) -> Array:
    """Add breath or bow noise to a dry stem; the noise level follows the level of the stem.

    Args:
        tone: dry stem (T,).
        level: RMS of the noise relative to the RMS of the tone.
        noise: noise (T,) with an RMS of 1.
        rate_hz: sampling rate of the stem.
    """
    hop = rate_hz // 50
    # Level of the tone in frames of 20 ms.
    frames = np.pad(tone, (0, -len(tone) % hop)).reshape(-1, hop)
    rms = level * np.sqrt(np.mean(frames**2, axis=1))
    follow = np.interp(np.arange(len(tone)), (np.arange(len(rms)) + 0.5) * hop, rms)
    return tone + follow.astype(np.float32) * noise


def at_width(stem: Array, width: float) -> Array:
    """Change the width of the stereo image of a stem.

    Args:
        stem: stem or impulse response (2, T).
        width: factor by which the difference between the channels is multiplied. If `width` is 0,
            the result is mono. If `width` is 1, the result equals `stem`.
    """
    middle = 0.5 * (stem[0] + stem[1])
    side = 0.5 * width * (stem[0] - stem[1])
    return np.stack([middle + side, middle - side])
