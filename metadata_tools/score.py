"""Scores: what is to be played. MusicXML -> parts of notes -> timed notes for each player.

A score counts in quarter notes; `Note` is the one record that a sampler plays, in seconds. Both
tools that make data (demo and render) hand notes on in this form.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cmss.errors import InputError

# Practical ranges, MIDI pitch: what a professional is asked to play, not the extremes.
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

# Dynamic marks as levels against mezzo-forte: half of what a soloist would do, for in an ensemble
# players match each other.
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
ACCENT_DB = 3.0


@dataclass(frozen=True)
class ScoreNote:
    """One note as written: onset and duration in quarter notes from the start of the score."""

    onset: float
    duration: float
    midi: int
    level_db: float = 0.0
    slurred: bool = False  # bound to the note before it
    short: bool = False  # staccato


@dataclass(frozen=True)
class Note:
    """One note as played: what a sampler needs to know."""

    onset_s: float
    duration_s: float
    midi: int
    level_db: float = 0.0
    slurred: bool = False
    short: bool = False


Part = tuple[ScoreNote, ...]


@dataclass(frozen=True)
class Score:
    """One work.

    Args:
        parts: from the top of the page to the bottom; each sorted by onset.
        tempi: (onset in quarters, quarters per minute) of each tempo mark, ascending; may be empty.
    """

    work: str
    parts: tuple[Part, ...]
    tempi: tuple[tuple[float, float], ...] = ()

    @property
    def length(self) -> float:
        """Length in quarter notes."""
        return max((n.onset + n.duration for part in self.parts for n in part), default=0.0)

    def tempo_at(self, onset: float, default: float = 100.0) -> float:
        """Quarters per minute in force at an onset in quarters."""
        before = [tempo for start, tempo in self.tempi if start <= onset]
        return before[-1] if before else default


def work_name(path: Path) -> str:
    """The work that a score file belongs to.

    Editions and movements that carry a catalogue number of their edition (`..._sq7082029`) are one
    work: they must never lie on two sides of a split.
    """
    return re.sub(r"_sq\d+$", "", path.name.split(".mxl")[0].split(".musicxml")[0].split(".xml")[0])


def find_scores(folder: Path) -> dict[str, list[Path]]:
    """The MusicXML files of each work in a folder, sorted.

    Raises:
        InputError: the folder is missing or holds no score.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of scores")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".mxl", ".musicxml", ".xml"):
            found.setdefault(work_name(path), []).append(path)
    if not found:
        raise InputError(f"{folder}: no score (*.mxl, *.musicxml, *.xml) in this folder")
    return found


def read_score(path: Path) -> Score:
    """Read a MusicXML file: ties merged, grace notes left out, dynamics and slurs applied to notes.

    Raises:
        InputError: the file is not MusicXML.
    """
    import partitura  # takes half a second to import, and only rendering from scores needs it

    with warnings.catch_warnings():
        # partitura reports each word of text that it does not know as a tempo.
        warnings.simplefilter("ignore")
        try:
            document = partitura.load_score(str(path))
        except Exception as error:  # partitura and lxml raise many kinds on malformed files
            raise InputError(f"{path}: not readable as MusicXML ({error})") from error
        parts = tuple(_read_part(part) for part in document.parts)
        tempi = _read_tempi(document.parts[0]) if document.parts else ()
    return Score(work_name(path), parts, tempi)


def _read_part(part: Any) -> Part:
    from partitura import score as pt

    to_quarter = part.quarter_map
    pitched = [n for n in part.notes_tied if not isinstance(n, pt.GraceNote)]
    if not pitched:
        return ()
    starts = np.array([n.start.t for n in pitched])
    onsets = np.asarray(to_quarter(starts), float)
    ends = np.asarray(to_quarter(starts + [n.duration_tied for n in pitched]), float)
    levels = _levels(part, starts)
    bound = np.zeros(len(pitched), bool)
    for slur in part.iter_all(pt.Slur):
        if slur.start is not None and slur.end is not None:
            bound |= (starts > slur.start.t) & (starts < slur.end.t)
    notes = [
        ScoreNote(
            onset=float(onset),
            duration=float(end - onset),
            midi=int(note.midi_pitch),
            level_db=float(level),
            slurred=bool(slurred),
            short="staccato" in (note.articulations or ()),
        )
        for note, onset, end, level, slurred in zip(
            pitched, onsets, ends, levels, bound, strict=True
        )
        if end > onset
    ]
    return tuple(sorted(notes, key=lambda n: (n.onset, n.midi)))


def _levels(part: Any, starts: np.ndarray) -> np.ndarray:
    """Level of each note start in dB: the last dynamic mark, hairpins as ramps, accents added."""
    from partitura import score as pt

    marks = sorted(
        {
            d.start.t: DYNAMICS_DB[d.text]
            for d in part.iter_all(pt.ConstantLoudnessDirection)
            if d.text in DYNAMICS_DB
        }.items()
    )
    times = np.array([-1, *(t for t, _ in marks)])
    values = np.array([0.0, *(v for _, v in marks)])
    at = np.searchsorted(times, starts, side="right") - 1
    levels = values[at]
    for hairpin in part.iter_all(pt.DynamicLoudnessDirection, include_subclasses=True):
        following = np.searchsorted(times, hairpin.start.t, side="right")
        if following < len(times):
            first, last = hairpin.start.t, times[following]
            inside = (starts >= first) & (starts < last)
            ramp = (starts[inside] - first) / (last - first)
            levels[inside] += ramp * (values[following] - levels[inside])
    accents = {d.start.t for d in part.iter_all(pt.ImpulsiveLoudnessDirection)}
    return levels + ACCENT_DB * np.isin(starts, list(accents))


def _read_tempi(part: Any) -> tuple[tuple[float, float], ...]:
    from partitura import score as pt

    quarters = {"q": 1.0, "h": 2.0, "e": 0.5, "q.": 1.5, "h.": 3.0, "e.": 0.75}
    marks = {
        float(part.quarter_map(mark.start.t)): float(mark.bpm) * quarters.get(mark.unit or "q", 1.0)
        for mark in part.iter_all(pt.Tempo)
    }
    return tuple(sorted(marks.items()))


def cut(part: Part, start: float, stop: float) -> Part:
    """The notes that sound between two positions, moved so that `start` becomes zero.

    A note that begins before `start` is left out; one that outlasts `stop` is shortened.
    """
    return tuple(
        replace(n, onset=n.onset - start, duration=min(n.duration, stop - n.onset))
        for n in part
        if start <= n.onset < stop
    )


def activity(part: Part, length: float) -> float:
    """The share of `length` quarters in which a part sounds."""
    ends, total = 0.0, 0.0
    for note in part:
        stop = note.onset + note.duration
        total += max(0.0, stop - max(ends, note.onset))
        ends = max(ends, stop)
    return total / length


def one_voice(part: Part) -> Part:
    """A part for an instrument that plays one note at a time: of each chord the highest note.

    A note still held when the next begins ends there.
    """
    highest: dict[float, ScoreNote] = {}
    for note in part:
        if note.onset not in highest or note.midi > highest[note.onset].midi:
            highest[note.onset] = note
    notes = [highest[onset] for onset in sorted(highest)]
    ends = [n.onset for n in notes[1:]] + [float("inf")]
    return tuple(
        replace(n, duration=min(n.duration, end - n.onset))
        for n, end in zip(notes, ends, strict=True)
    )


def into_range(part: Part, low: int, high: int, preferred_shift: int = 0) -> Part:
    """Transpose a part by octaves into a range.

    The whole part moves by the number of octaves that leaves the fewest notes outside, the nearest
    to `preferred_shift` among equals; notes still outside move alone.

    Args:
        low, high: lowest and highest MIDI pitch allowed, at least an octave apart.
        preferred_shift: octaves.
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
    """Give one part to two players, for ensembles with more players than the score has parts.

    The part is cut into phrases of `phrase` quarters. Of each phrase one of the two plays, or
    both, the second then an octave away: the ways in which an arranger fills a fifth chair from a
    quartet.
    """
    first: list[ScoreNote] = []
    second: list[ScoreNote] = []
    octave = 12 * int(rng.choice((-1, 1)))
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
    """Quarter notes -> seconds at a steady tempo."""
    seconds = 60.0 / quarters_per_minute
    return tuple(
        Note(n.onset * seconds, n.duration * seconds, n.midi, n.level_db, n.slurred, n.short)
        for n in part
    )


def typed(text: str, beat: float = 1.0) -> Part:
    """Read the compact notation in which the demo's pieces are typed.

    Words are separated by blanks: `C4` is a note one beat long, `Bb3:2` two beats, `F#5:1/2` half
    a beat, `R:3` a rest, `_` before a note slurs it to the one before, `'` after it makes it
    short, `|` does nothing, and `p`, `mf` or any other dynamic mark holds from there on.

    Args:
        beat: quarters in a beat.

    Raises:
        InputError: a word that is none of these.
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


def transposed_parts(parts: Sequence[Part], semitones: int) -> tuple[Part, ...]:
    """All parts moved by the same interval: another key."""
    return tuple(tuple(replace(n, midi=n.midi + semitones) for n in part) for part in parts)
