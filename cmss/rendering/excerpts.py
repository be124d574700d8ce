"""Renders random excerpts for training.

For each excerpt, an ensemble, a passage, the playing styles and a room are drawn. An excerpt is a
function of the material, the settings and a random generator.

In shapes, P is the number of players and T the number of samples.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.rendering.acoustics import (
    LONGEST_RESPONSE_S,
    Space,
    late_bands,
    random_space,
    responses,
)
from cmss.rendering.arrange import (
    draw_ensembles,
    give_parts,
    instrument_of,
    number_players,
    playable_range,
)
from cmss.rendering.effects import EffectSettings, against_habit, apart, at_width, overlapped
from cmss.rendering.material import Material
from cmss.rendering.notation import Note, Part, activity, performed
from cmss.rendering.tones import Performer, random_style, voices

Array = NDArray[np.float32]

LEAD_S = 1.0
"""Duration in seconds of the lead, which is rendered before each excerpt and then removed. The
reverberation of the lead remains in the excerpt."""
_TRIES = 20
_SIZES, _SIZE_CHANCES = (2, 3, 4, 5), (0.25, 0.3, 0.3, 0.15)
_DOUBLED = 0.4  # fraction of the ensembles with a doubled instrument


@dataclass(frozen=True)
class Levels:
    """Holds the ranges of the random levels and the random equalisers of players.

    Args:
        gain_db: maximum random increase or decrease of the level of a player in dB.
        equaliser_db: maximum gain in dB of the random equaliser of each player.
    """

    gain_db: float
    equaliser_db: float


class ExcerptRenderer:
    """Renders random excerpts.

    Args:
        material: notes and scores.
        effects: strengths of the effects.
        seconds: duration of an excerpt.
        instrument: instrument that plays in every excerpt. If `instrument` is None, all instruments
            are drawn at random.

    Raises:
        InputError: the material has no notes of the instrument.
    """

    def __init__(
        self,
        material: Material,
        effects: EffectSettings,
        seconds: float,
        instrument: str | None = None,
    ) -> None:
        if instrument is not None and instrument not in material.tones:
            raise InputError(f"instrument: {instrument}: no notes of this instrument")
        self.material, self.effects, self.instrument = material, effects, instrument
        self.rate_hz = material.rate_hz
        self.samples = round(seconds * self.rate_hz)
        self.names = sorted({work.name for work in material.works})
        self.ranges = {
            name: playable_range(name, (tone.midi for tone in tones))
            for name, tones in material.tones.items()
        }
        self._performer = Performer(self.rate_hz)
        # All rooms use excerpts of the same noise, because the generation of noise is slow.
        self._bands = late_bands(3 * LONGEST_RESPONSE_S, self.rate_hz, np.random.default_rng(0))

    def with_effects(self, effects: EffectSettings) -> "ExcerptRenderer":
        """Return a renderer with other effects that shares all other values with this renderer."""
        other = copy(self)
        other.effects = effects
        return other

    def render(self, rng: np.random.Generator, levels: Levels) -> tuple[tuple[str, ...], Array]:
        """Render an excerpt.

        Returns:
            The labels of the players, such as Violin_2, and the stems (P, 2, T) of the players in
            float32. The mean RMS level of the stems is 0.1.
        """
        labels = self._draw_ensemble(rng)
        parts = self._draw_passage(labels, rng)
        dry = self._play(labels, parts, rng)  # (P, lead + T)
        response = self._draw_room(len(labels), rng)  # (P, 2, taps)
        tone = equaliser(levels.equaliser_db, len(labels), rng)
        stems = convolved(dry, response, tone, self.rate_hz)  # (P, 2, lead + T)
        gains = 10 ** (rng.uniform(-levels.gain_db, levels.gain_db, len(labels)) / 20)
        gains *= 0.1 * rng.choice((-1, 1), len(labels))
        for stem, gain in zip(stems, gains, strict=True):
            # The level is measured over the lead and the excerpt. If a player pauses in the
            # excerpt, the reverberation of the player is therefore not amplified.
            stem *= np.float32(gain / max(_sounding_rms(stem, self.rate_hz), 1e-9))
        return labels, stems[..., -self.samples :]

    def _draw_ensemble(self, rng: np.random.Generator) -> tuple[str, ...]:
        instruments = list(self.material.tones)
        size = int(rng.choice(_SIZES, p=_SIZE_CHANCES))
        size = min(size, len(instruments))
        doubled = float(rng.random() < _DOUBLED)
        (labels,) = draw_ensembles(instruments, [size], 1, doubled, rng)
        if self.instrument is None or self.instrument in map(instrument_of, labels):
            return labels
        # Replace a random player by a player of the required instrument.
        others = [*map(instrument_of, labels)]
        del others[int(rng.integers(len(others)))]
        return number_players([self.instrument, *others])

    def _draw_passage(
        self, labels: Sequence[str], rng: np.random.Generator
    ) -> dict[str, tuple[Note, ...]]:
        """Draw a passage in which each player plays for at least half of the time.

        Up to `_TRIES` passages are drawn. For each passage, the playing time of the least active
        player is determined. If no passage fulfils the condition, the passage with the longest of
        these playing times is used.
        """
        seconds = LEAD_S + self.samples / self.rate_hz
        assign = give_parts
        if rng.random() < self.effects.against_habit:
            assign = against_habit
        best: tuple[float, float, dict[str, Part]] = (-1.0, 100.0, dict.fromkeys(labels, ()))
        for _ in range(_TRIES):
            name = self.names[int(rng.integers(len(self.names)))]
            choice = [work for work in self.material.works if work.name == name]
            work = choice[int(rng.integers(len(choice)))]
            begin = float(np.floor(rng.uniform(0, max(1.0, work.length))))
            tempo = float(np.clip(work.tempo_at(begin) * rng.uniform(0.75, 1.2), 40, 180))
            length = seconds * tempo / 60  # in quarter notes
            begin = min(begin, max(0.0, np.floor(work.length - length)))
            excerpt = [part.between(begin, begin + length) for part in work.parts]
            parts = assign(excerpt, labels, self.ranges, rng)
            busy = min(activity(part, length) for part in parts.values())
            if busy > best[0]:
                best = (busy, tempo, parts)
            if busy >= 0.5:
                break
        return {label: performed(part, best[1]) for label, part in best[2].items()}

    def _play(
        self, labels: Sequence[str], parts: dict[str, tuple[Note, ...]], rng: np.random.Generator
    ) -> Array:
        """Play all parts, and return the dry stems (P, lead + T)."""
        effects = self.effects
        samples = round(LEAD_S * self.rate_hz) + self.samples
        instruments = [instrument_of(label) for label in labels]
        drawn = {}
        for name in dict.fromkeys(instruments):
            different = bool(rng.random() < effects.different_notes)
            found = voices(self.material.tones[name], instruments.count(name), different, rng)
            drawn[name] = iter(found)
        stems = []
        for label, name in zip(labels, instruments, strict=True):
            notes = overlapped(parts[label], effects.legato, effects.overlap_s, rng)
            notes = apart(notes, effects.apart_s, rng)
            style = random_style(effects, rng)
            voice = next(drawn[name])
            stems.append(self._performer.play(name, voice, notes, samples, style, effects, rng))
        return np.stack(stems)

    def _draw_room(self, players: int, rng: np.random.Generator) -> Array:
        """Draw a room, seats and microphones, and return the impulse responses (P, 2, taps)."""
        effects = self.effects
        space = random_space(effects.reverberation_s, rng)
        near = rng.random() < effects.near
        angles, distances = random_seats(space, players, bool(near), rng)
        response = responses(space, angles, distances, self.rate_hz, rng, self._bands)
        # A width of 1 does not change the stereo image of the microphone pair.
        width = 1 + effects.width * rng.uniform(-1, 0.5)
        return np.stack([at_width(each, width) for each in response])


def random_seats(
    space: Space, players: int, near: bool, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw the angle (P,) and the distance (P,) of each player.

    Args:
        space: room in which the players sit.
        players: number of players P.
        near: whether the microphones are close to the players. If `near` is True, the mean distance
            is 0.4 to 1.5 m. Otherwise, the mean distance is at least 2 m, except in small rooms.
        rng: random generator for the seats.
    """
    opening = np.deg2rad(rng.uniform(40, 140))
    angles = (rng.permutation(players) / max(1, players - 1) - 0.5) * opening
    angles = angles + rng.normal(0, 0.07, players)
    farthest = min(8.0, 0.6 * space.size_m[0])
    middle = rng.uniform(0.4, 1.5) if near else rng.uniform(min(2.0, farthest), farthest)
    return angles, middle * rng.uniform(0.75, 1.25, players)


def equaliser(most_db: float, players: int, rng: np.random.Generator) -> Array:
    """Draw the gains (P, 10) of equalisers at octaves from 31 Hz to 16 kHz."""
    gains_db = rng.uniform(-1, 1, (players, 10)) * most_db
    return (10 ** (gains_db / 20)).astype(np.float32)


def convolved(dry: Array, response: Array, tone: Array, rate_hz: int) -> Array:
    """Convolve dry stems with impulse responses and equalisers.

    The equalisers are zero-phase filters. The gains are interpolated between octaves.

    Args:
        dry: dry stems (P, T).
        response: impulse responses (P, 2, taps).
        tone: gains of the equalisers (P, 10), see :func:`equaliser`.
        rate_hz: sampling rate.

    Returns:
        The stems (P, 2, T). Reverberation after the end of the dry stems is cut off.
    """
    samples = dry.shape[-1]
    points = _fast_length(samples + response.shape[-1])
    gains = torch.from_numpy(tone) @ _octave_bands(points, rate_hz)
    # PyTorch computes these Fourier transforms faster than NumPy.
    spectrum = torch.fft.rfft(torch.from_numpy(dry), points) * gains
    spectra = torch.fft.rfft(torch.from_numpy(response), points)
    wet = torch.fft.irfft(spectrum[:, None] * spectra, points)
    return wet[..., :samples].numpy()


@lru_cache(maxsize=8)
def _octave_bands(points: int, rate_hz: int) -> torch.Tensor:
    """Return the weights (10, points // 2 + 1) that interpolate gains between octaves."""
    hz = np.fft.rfftfreq(points, 1 / rate_hz)
    octaves = np.log2(np.maximum(hz, 31.25) / 31.25).clip(max=9)
    weights = np.clip(1 - np.abs(octaves - np.arange(10)[:, None]), 0, 1)
    return torch.from_numpy(weights.astype(np.float32))


def _fast_length(samples: int) -> int:
    """Return a length of at least `samples` that has only the prime factors 2, 3 and 5."""
    best = 1 << (samples - 1).bit_length()
    for odd in (3, 5, 9, 15, 25, 27):
        length = odd
        while length < samples:
            length *= 2
        best = min(best, length)
    return best


def _sounding_rms(stem: Array, rate_hz: int) -> float:
    """Return the RMS over all frames of 0.1 s whose level is within 20 dB of the loudest frame."""
    hop = rate_hz // 10
    frames = stem[:, : stem.shape[1] // hop * hop].reshape(2, -1, hop)
    power = np.mean(frames**2, axis=(0, 2))
    return float(np.sqrt(np.mean(power[power >= power.max(initial=0) / 100]))) if len(power) else 0
