"""Defines scores, edits parts of scores, and converts parts to timed notes for the sampler.

The onset and the duration of a `ScoreNote` are in quarter notes. The onset and the duration of a
`Note` are in seconds.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from cmss.errors import InputError

RANGES: dict[str, tuple[int, int]] = {
    "Bassoon": (34, 74),
    "Cello": (36, 79),
    "Clarinet": (50, 89),
    "Flute": (59, 93),
    "Oboe": (58, 90),
    "Sax": (49, 80),
    "Viola": (48, 86),
    "Violin": (55, 96),
}
"""Dict from an instrument to the lowest and the highest MIDI pitch in usual professional parts."""

DYNAMICS_DB = {
    "pppp": -12.0,
    "ppp": -11.0,
    "pp": -9.0,
    "p": -6.0,
    "mp": -2.5,
    "mf": 0.0,
    "f": 3.0,
    "ff": 5.0,
    "fff": 6.5,
    "ffff": 7.0,
}
"""Dict from a dynamic mark to its level in dB relative to mezzo-forte. The level differences are
half as large as for a soloist, because the players of an ensemble adapt to each other."""


@dataclass(frozen=True)
class ScoreNote:
    """Holds a note of a score; the onset and the duration are in quarter notes."""

    onset: float
    duration: float
    midi: int
    level_db: float = 0.0
    slurred: bool = False  # whether the note is slurred to the previous note
    short: bool = False  # whether the note is played staccato


@dataclass(frozen=True)
class Note:
    """Holds a note that the sampler plays; the onset and the duration are in seconds."""

    onset_s: float
    duration_s: float
    midi: int
    level_db: float = 0.0
    slurred: bool = False
    short: bool = False


Part = tuple[ScoreNote, ...]


@dataclass(frozen=True)
class Score:
    """Holds the score of a work.

    Args:
        work: name of the work.
        parts: parts from the top to the bottom of the page; the notes of a part are sorted by
            onset.
        tempi: list of tempo marks, sorted by onset. Each tempo mark has an onset in quarter notes
            and a tempo in quarter notes per minute.
        remarks: list of messages about elements that were left out or rounded.
    """

    work: str
    parts: tuple[Part, ...]
    tempi: tuple[tuple[float, float], ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def length(self) -> float:
        """Length of the score in quarter notes."""
        return max((n.onset + n.duration for part in self.parts for n in part), default=0.0)

    def tempo_at(self, onset: float, default: float = 100.0) -> float:
        """Return the tempo in quarter notes per minute at an onset in quarter notes."""
        before = [tempo for start, tempo in self.tempi if start <= onset]
        return before[-1] if before else default


def cut(part: Part, start: float, stop: float) -> Part:
    """Return the notes of a part between two positions, with onsets relative to `start`.

    Notes that begin before `start` are left out; notes that end after `stop` are shortened.
    """
    return tuple(
        replace(n, onset=n.onset - start, duration=min(n.duration, stop - n.onset))
        for n in part
        if start <= n.onset < stop
    )


def activity(part: Part, length: float) -> float:
    """Return the fraction of time in which a part plays; the part has `length` quarter notes."""
    ends, total = 0.0, 0.0
    for note in part:
        stop = note.onset + note.duration
        total += max(0.0, stop - max(ends, note.onset))
        ends = max(ends, stop)
    return total / length


def one_voice(part: Part) -> Part:
    """Keep only the highest note of each chord, so that the notes of the part never overlap.

    If a note is longer than the time to the next note, the note is shortened.
    """
    highest: dict[float, ScoreNote] = {}
    for note in part:
        if note.onset not in highest or note.midi > highest[note.onset].midi:
            highest[note.onset] = note
    notes = [highest[onset] for onset in sorted(highest)]
    ends = [note.onset for note in notes[1:]] + [float("inf")] * bool(notes)
    return tuple(
        replace(n, duration=min(n.duration, end - n.onset))
        for n, end in zip(notes, ends, strict=True)
    )


def into_range(part: Part, low: int, high: int, preferred_shift: int = 0) -> Part:
    """Transpose a part by octaves into a range.

    The part is shifted by the number of octaves that leaves the fewest notes out of range. If
    several numbers of octaves are equally good, the number closest to `preferred_shift` is used.
    After the part has been shifted, each note that is still out of range is shifted separately.

    Args:
        part: part to transpose.
        low: lowest MIDI pitch of the range.
        high: highest MIDI pitch of the range, at least an octave above `low`.
        preferred_shift: preferred number of octaves; positive numbers shift the part upwards.
    """
    if not part:
        return part
    pitches = np.array([n.midi for n in part])

    def cost(octaves: int) -> tuple[int, int]:
        moved = pitches + 12 * octaves
        return int(np.sum((moved < low) | (moved > high))), abs(octaves - preferred_shift)

    shift = 12 * min(range(-4, 5), key=cost)

    def fold(midi: int) -> int:
        while midi < low:
            midi += 12
        while midi > high:
            midi -= 12
        return midi

    return tuple(replace(n, midi=fold(n.midi + shift)) for n in part)


def shared_by_two(part: Part, rng: np.random.Generator, phrase: float = 4.0) -> tuple[Part, Part]:
    """Divide a part between two players, for ensembles with more players than parts.

    A phrase has `phrase` quarter notes. Each phrase is played by the first player, the second
    player or both. If both play, the second player plays an octave higher or lower.
    """
    first: list[ScoreNote] = []
    second: list[ScoreNote] = []
    octave = 12 * int(rng.choice((-1, 1)))
    # Dict from a phrase to its players: 0 for the first player, 1 for the second player, 2 for
    # both.
    roles: dict[int, int] = {}
    for note in part:
        index = int(note.onset // phrase)
        role = roles.setdefault(index, int(rng.choice(3, p=(0.25, 0.25, 0.5))))
        if role != 1:
            first.append(note)
        if role != 0:
            second.append(replace(note, midi=note.midi + octave) if role == 2 else note)
    return tuple(first), tuple(second)


def performed(part: Part, quarters_per_minute: float) -> tuple[Note, ...]:
    """Convert a part to notes with times in seconds at a constant tempo."""
    seconds = 60.0 / quarters_per_minute
    return tuple(
        Note(n.onset * seconds, n.duration * seconds, n.midi, n.level_db, n.slurred, n.short)
        for n in part
    )


def typed(text: str, beat: float = 1.0) -> Part:
    """Read the compact notation of the demo's pieces.

    Words are separated by spaces. `C4` is a note of one beat, `Bb3:2` a note of two beats,
    `F#5:1/2` a note of half a beat, and `R:3` a rest of three beats. `_` before a note slurs the
    note to the previous note. `'` after a note makes the note short. `|` has no effect. A dynamic
    mark such as `p` or `mf` is valid for all following notes.

    Args:
        text: notes and rests in this notation.
        beat: number of quarter notes in a beat. `beat` is 1 in the pieces of the demo.

    Raises:
        InputError: the text contains a word that is not part of the notation.
    """
    notes: list[ScoreNote] = []
    onset, level_db = 0.0, 0.0
    for word in text.split():
        if word == "|":
            continue
        if word in DYNAMICS_DB:
            level_db = DYNAMICS_DB[word]
            continue
        match = re.fullmatch(r"(_?)(R|[A-G](?:b|#)?-?\d)('?)(?::(\d+)(?:/(\d+))?)?", word)
        if match is None:
            raise InputError(
                f"notation: {word!r} is neither a note (like Bb3:1/2) nor a dynamic mark"
            )
        slur, pitch, short, numerator, denominator = match.groups()
        duration = beat * int(numerator or 1) / int(denominator or 1)
        if pitch != "R":
            midi = _midi(pitch)
            notes.append(ScoreNote(onset, duration, midi, level_db, bool(slur), bool(short)))
        onset += duration
    return tuple(notes)


def _midi(name: str) -> int:
    step = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}[name[0]]
    alter = {"b": -1, "#": 1}.get(name[1], 0)
    return step + alter + 12 * (int(name.lstrip("ABCDEFGb#")) + 1)
