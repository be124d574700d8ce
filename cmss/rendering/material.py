"""Holds notes and scores for the rendering of training mixtures.

The material contains no works and no recorded pitches of the test sets
(:mod:`cmss.rendering.held_out`). Material that contains such works or pitches is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import gcd

import numpy as np
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.rendering.arrange import playable_range
from cmss.rendering.held_out import HELD_OUT_EVERY, TEST_WORKS, VALID_WORKS, kept_pitches, matches
from cmss.rendering.notation import ScoreNote

FULL_SCALE = 32767
REFUSED_WORKS = (*TEST_WORKS, *VALID_WORKS)
"""Patterns of the names of all works that are never used in a training."""

_FADE_S = 0.02


@dataclass(frozen=True)
class Tone:
    """Holds a recorded note at the sampling rate of the material.

    Args:
        library: name of the library that contains the note.
        midi: nominal pitch as a MIDI number.
        cents: measured deviation from the nominal pitch.
        dynamic: name of the dynamic layer.
        samples: waveform (samples,) of type int16.
        attack: index of the sample at which the attack ends and the sustain begins.
        sustain_end: index of the sample at which the sustain ends and the decay begins.
    """

    library: str
    midi: int
    cents: float
    dynamic: str
    samples: NDArray[np.int16]
    attack: int
    sustain_end: int

    @property
    def pitch(self) -> float:
        """Sounding pitch as a fractional MIDI number."""
        return self.midi + self.cents / 100


@dataclass(frozen=True)
class Line:
    """Holds a part of a score as arrays. Each array has an element for each note.

    Args:
        onset, duration: onsets and durations of the notes in quarter notes. The notes are sorted by
            onset.
        midi: MIDI numbers.
        level_db: levels in dB relative to mezzo-forte.
        marks: sum of two flags. The flag 1 is set if the note is slurred to the previous note. The
            flag 2 is set if the note is short.
    """

    onset: NDArray[np.float32]
    duration: NDArray[np.float32]
    midi: NDArray[np.int16]
    level_db: NDArray[np.float32]
    marks: NDArray[np.uint8]

    @classmethod
    def of(cls, part: Sequence[ScoreNote]) -> "Line":
        """Convert the notes of a part to arrays."""
        return cls(
            np.array([note.onset for note in part], np.float32),
            np.array([note.duration for note in part], np.float32),
            np.array([note.midi for note in part], np.int16),
            np.array([note.level_db for note in part], np.float32),
            np.array([note.slurred + 2 * note.short for note in part], np.uint8),
        )

    def between(self, start: float, stop: float) -> tuple[ScoreNote, ...]:
        """Return the notes that begin between two positions.

        :func:`cmss.rendering.notation.cut` returns the same notes. The onsets of the returned notes
        are relative to `start`.

        Args:
            start, stop: positions in quarter notes.
        """
        first, last = np.searchsorted(self.onset, (start, stop))
        return tuple(
            ScoreNote(
                onset=float(self.onset[n]) - start,
                duration=min(float(self.duration[n]), stop - float(self.onset[n])),
                midi=int(self.midi[n]),
                level_db=float(self.level_db[n]),
                slurred=bool(self.marks[n] & 1),
                short=bool(self.marks[n] & 2),
            )
            for n in range(first, last)
        )


@dataclass(frozen=True)
class Work:
    """Holds a score of a work.

    Args:
        name: name of the work.
        parts: parts of the score from top to bottom.
        tempi: tempo marks (marks, 2). Each row has an onset in quarter notes and a tempo in quarter
            notes per minute.
    """

    name: str
    parts: tuple[Line, ...]
    tempi: NDArray[np.float32]

    @property
    def length(self) -> float:
        """Length of the score in quarter notes."""
        ends = [float((part.onset + part.duration).max()) for part in self.parts if len(part.onset)]
        return max(ends, default=0.0)

    def tempo_at(self, onset: float, default: float = 100.0) -> float:
        """Return the tempo in quarter notes per minute at an onset in quarter notes."""
        number = int(np.searchsorted(self.tempi[:, 0], onset, side="right"))
        return float(self.tempi[number - 1, 1]) if number else default


@dataclass(frozen=True)
class Material:
    """Holds notes and scores for the rendering of mixtures.

    Args:
        rate_hz: sampling rate of the notes.
        tones: dict from an instrument to its recorded notes.
        works: scores, sorted by the name of the work.
        pitches: dict from `library/instrument` to all recorded pitches of the instrument in the
            library. `pitches` includes the held-out pitches, but `tones` does not.
        left_out: number of works of the test sets that were left out.
        origin: digest of the files from which the material was read. If the files are unknown,
            `origin` is empty.
    """

    rate_hz: int
    tones: dict[str, tuple[Tone, ...]]
    works: tuple[Work, ...]
    pitches: dict[str, list[int]]
    left_out: int = 0
    origin: str = ""

    def check(self, where: str) -> None:
        """Refuse works and pitches that are held out for testing.

        Raises:
            InputError: the material contains a held-out work or pitch, or the material has too few
                notes, instruments or scores.
        """
        problems = []
        if refused := sorted({w.name for w in self.works if matches(w.name, REFUSED_WORKS)}):
            problems.append(
                f"{where}: {refused[0]}: a work of the test sets ({', '.join(REFUSED_WORKS)}), "
                "expected none in a training"
            )
        for key, pitches in self.pitches.items():
            library, _, instrument = key.rpartition("/")
            held_out = kept_pitches(pitches, HELD_OUT_EVERY, held_out=True)
            found = {t.midi for t in self.tones.get(instrument, ()) if t.library == library}
            if wrong := sorted(found & held_out):
                problems.append(
                    f"{where}: {key}: pitch {wrong[0]} is held out for the test sets (every "
                    f"{HELD_OUT_EVERY}th recorded pitch), expected none in a training"
                )
        for name, tones in self.tones.items():
            low, high = playable_range(name, (tone.midi for tone in tones))
            if high - low < 12:
                problems.append(
                    f"{where}: {name}: {len(tones)} notes from {low} to {high}, expected at least "
                    "an octave"
                )
        if not self.works:
            problems.append(f"{where}: no score, expected at least one work outside the test sets")
        if len(self.tones) < 2:
            problems.append(f"{where}: notes of {len(self.tones)} instruments, expected at least 2")
        if problems:
            raise InputError(problems)

    @property
    def summary(self) -> str:
        """One-line description of the material."""
        tones = [tone for tones in self.tones.values() for tone in tones]
        seconds = sum(len(tone.samples) for tone in tones) / self.rate_hz
        total = sum(map(len, self.pitches.values()))
        kept = sum(
            len({t.midi for t in self.tones.get(key.rpartition("/")[2], ())
                 if t.library == key.rpartition("/")[0]})
            for key in self.pitches
        )  # fmt: skip
        works = len({work.name for work in self.works})
        return (
            f"{len(tones)} notes ({seconds / 60:.1f} min at {self.rate_hz} Hz), {works} works; "
            f"refused for training: {self.left_out} works of the test sets "
            f"({', '.join(REFUSED_WORKS)}), {total - kept} of {total} recorded pitches"
        )

    def with_works(self, works: Sequence[Work]) -> "Material":
        """Return a copy of the material with the same notes but other works."""
        return replace(self, works=tuple(works))

    def at_rate(self, rate_hz: int, where: str) -> "Material":
        """Return the material at a lower sampling rate.

        Args:
            rate_hz: sampling rate of a network. `rate_hz` must not be higher than the sampling rate
                of this material.
            where: name of the material for an error message.

        Raises:
            InputError: `rate_hz` is higher than the sampling rate of this material.
        """
        if rate_hz > self.rate_hz:
            raise InputError(
                f"{where}: {self.rate_hz} Hz, expected at least {rate_hz} Hz for this network; "
                f"pack the notes with --rate {rate_hz}"
            )
        if rate_hz == self.rate_hz:
            return self
        ratio = rate_hz / self.rate_hz

        def slower(tone: Tone) -> Tone:
            samples = _resampled(tone.samples, self.rate_hz, rate_hz)
            end = min(round(tone.sustain_end * ratio), len(samples))
            return replace(
                tone, samples=samples, attack=round(tone.attack * ratio), sustain_end=end
            )

        tones = {name: tuple(map(slower, tones)) for name, tones in self.tones.items()}
        return replace(self, rate_hz=rate_hz, tones=tones)

    def cut(self, longest_s: float) -> "Material":
        """Return a copy of the material in which longer notes fade out and end at `longest_s`."""
        longest, fade = int(longest_s * self.rate_hz), int(_FADE_S * self.rate_hz)
        ramp = np.linspace(1, 0, fade)

        def shorter(tone: Tone) -> Tone:
            if len(tone.samples) <= longest:
                return tone
            samples = tone.samples[:longest].copy()
            samples[-fade:] = np.rint(samples[-fade:] * ramp)
            # The sustain must end before the fade-out, because the sustain may be looped.
            end = min(tone.sustain_end, longest - fade)
            return replace(
                tone, samples=samples, attack=min(tone.attack, end // 2), sustain_end=end
            )

        tones = {name: tuple(map(shorter, tones)) for name, tones in self.tones.items()}
        return replace(self, tones=tones)


def _resampled(samples: NDArray[np.int16], from_hz: int, to_hz: int) -> NDArray[np.int16]:
    """Lower the sampling rate of a note by removing the upper part of the spectrum."""
    # Append zeros, so that the end of the note does not wrap around into the beginning. The number
    # of points is chosen so that both signals have exactly the same duration.
    step = from_hz // gcd(from_hz, to_hz)
    points = -(-(len(samples) + 2000) // step) * step
    fewer = points * to_hz // from_hz
    spectrum = np.fft.rfft(samples.astype(np.float32), points)[: fewer // 2 + 1]
    signal = np.fft.irfft(spectrum, fewer)[: len(samples) * to_hz // from_hz] * (fewer / points)
    return np.rint(np.clip(signal, -FULL_SCALE, FULL_SCALE)).astype(np.int16)
