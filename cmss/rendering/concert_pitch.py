"""Converts MusicXML documents to concert pitch: replaces written pitches by sounding pitches.

Written and sounding pitches differ for transposing instruments. A `transpose` element is valid for
a part, or for a staff of a part, until the next `transpose` element of this part or staff. A
`transpose` element contains a number of semitones and a number of octaves. The element also defines
whether the part is doubled in another octave.
https://www.w3.org/2021/06/musicxml40/musicxml-reference/elements/transpose/
"""

import re
from bisect import bisect_right
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path

from lxml import etree

from cmss.errors import InputError
from cmss.rendering.musicxml_document import measures

_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SPELLINGS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_ACCIDENTALS = {
    "sharp": "1",
    "flat": "-1",
    "double-sharp": "2",
    "sharp-sharp": "2",
    "double-flat": "-2",
    "flat-flat": "-2",
    "natural-sharp": "1",
    "natural-flat": "-1",
    "quarter-sharp": "0.5",
    "quarter-flat": "-0.5",
    "three-quarters-sharp": "1.5",
    "three-quarters-flat": "-1.5",
}
"""Dict from an accidental to its alteration in semitones, for notes without `alter`. Accidentals
that are not listed, such as naturals, have an alteration of 0."""

_DECIMAL = re.compile(r"[+-]?\d{1,3}(?:\.\d{1,6})?")
_HIGHEST = 127


@dataclass(frozen=True)
class Transposition:
    """Holds a transposition from written to sounding pitch.

    Args:
        time: time from which the transposition is valid, given by the number of the measure and the
            number of quarter notes from the beginning of the measure.
        semitones: number of semitones to add to the written pitch.
        doubled: octave shift, -1 or 1, of a second voice that doubles the part. If `doubled` is 0,
            there is no second voice.
        staff: staff for which the transposition is valid. If `staff` is None, the transposition is
            valid for all staves.
    """

    time: tuple[int, Fraction]
    semitones: Fraction
    doubled: int
    staff: str | None


@dataclass(frozen=True)
class Written:
    """Holds a note of a document.

    Args:
        time: onset of the note, given by the number of the measure and the number of quarter notes
            from the beginning of the measure.
        staff: staff of the note.
        element: XML element of the note.
        where: place in the file, for messages.
    """

    time: tuple[int, Fraction]
    staff: str
    element: etree._Element
    where: str


def to_concert_pitch(root: etree._Element, path: Path) -> list[str]:
    """Replace the written pitches of a document by sounding pitches, rounded to semitones.

    Quarter tones are rounded up. All black keys are written as sharps, so the original
    spelling is lost.

    Returns:
        A list with a message if pitches were rounded; otherwise an empty list.

    Raises:
        InputError: a pitch or a transposition is not valid, or a note is outside the MIDI range.
    """
    rounded = 0
    for part in root.findall("part"):
        notes, changes = _timeline(part, path)
        staves = {note.staff for note in notes}
        by_staff = {
            staff: sorted(
                (change for change in changes if change.staff in (None, staff)),
                key=lambda change: change.time,
            )
            for staff in staves
        }
        for note in notes:
            before = by_staff[note.staff]
            index = bisect_right(before, note.time, key=lambda change: change.time)
            rounded += _transpose(note, before[index - 1] if index else None)
        for attributes in part.iter("attributes"):
            for element in attributes.findall("transpose"):
                attributes.remove(element)
    if not rounded:
        return []
    return [f"{path}: {rounded} notes between two semitones, rounded to the nearest"]


def _timeline(part: etree._Element, path: Path) -> tuple[list[Written], list[Transposition]]:
    """Return the pitched notes and the transpositions of a part, in the order of the file."""
    notes: list[Written] = []
    changes: list[Transposition] = []
    divisions = 1
    for number, (where, measure) in enumerate(measures(part, path)):
        now = onset = Fraction(0)
        for element in measure:
            duration = Fraction(int(element.findtext("duration") or 0), divisions)
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions") or divisions)
                changes += [
                    _transposition(transpose, (number, now), where)
                    for transpose in element.findall("transpose")
                ]
            elif element.tag == "backup":
                now = max(Fraction(0), now - duration)
            elif element.tag == "forward":
                now += duration
            elif element.tag == "note":
                if element.find("chord") is None:
                    onset = now
                    now += duration
                if element.find("pitch") is not None:
                    staff = element.findtext("staff") or "1"
                    notes.append(Written((number, onset), staff.strip(), element, where))
    return notes, changes


def _transposition(
    element: etree._Element, time: tuple[int, Fraction], where: str
) -> Transposition:
    chromatic = _number(element.findtext("chromatic"), f"{where}: transpose.chromatic")
    octaves = _number(element.findtext("octave-change") or "0", f"{where}: transpose.octave-change")
    double = element.find("double")
    doubled = 0 if double is None else 1 if double.get("above") == "yes" else -1
    return Transposition(time, chromatic + 12 * octaves, doubled, element.get("number"))


def _number(text: str | None, where: str) -> Fraction:
    text = (text or "").strip()
    if not _DECIMAL.fullmatch(text):
        raise InputError(f"{where}: expected a number, got {text!r}")
    return Fraction(text)


def _transpose(note: Written, change: Transposition | None) -> bool:
    """Replace the pitch of a note, and return whether the pitch was rounded."""
    pitch = note.element.find("pitch")
    step, octave = (pitch.findtext("step") or "").strip(), pitch.findtext("octave")
    if step not in _SEMITONES:
        raise InputError(f"{note.where}: pitch.step: expected A to G, got {step!r}")
    alter, sign = pitch.findtext("alter"), note.element.findtext("accidental")
    if alter is None:
        alter = _ACCIDENTALS.get((sign or "").strip(), "0")
    exact = (
        _SEMITONES[step]
        + 12 * (1 + _number(octave, f"{note.where}: pitch.octave"))
        + _number(alter, f"{note.where}: pitch.alter")
        + (change.semitones if change else 0)
    )
    midi = floor(exact + Fraction(1, 2))
    if not 0 <= midi <= _HIGHEST:
        raise InputError(f"{note.where}: MIDI pitch {midi}, expected 0 to {_HIGHEST}")
    _write(pitch, midi)
    if change and change.doubled and note.element.find("grace") is None:
        _double(note.element, midi + 12 * change.doubled)
    return midi != exact


def _write(pitch: etree._Element, midi: int) -> None:
    """Replace the content of a `pitch` element."""
    name = _SPELLINGS[midi % 12]
    for child in list(pitch):
        pitch.remove(child)
    for tag, text in (("step", name[0]), ("alter", len(name) - 1), ("octave", midi // 12 - 1)):
        etree.SubElement(pitch, tag).text = str(text)


def _double(note: etree._Element, midi: int) -> None:
    """Add a copy of a note in another octave, as a note of the same chord."""
    if not 0 <= midi <= _HIGHEST:
        return
    copy = deepcopy(note)
    copy.attrib.pop("id", None)
    for notations in copy.findall("notations"):
        # Remove slurs and tuplets from the copy, because each slur and tuplet must begin and end
        # only once.
        for child in list(notations):
            if child.tag != "articulations":
                notations.remove(child)
    for tag in ("beam", "lyric"):
        for child in copy.findall(tag):
            copy.remove(child)
    _write(copy.find("pitch"), midi)
    if copy.find("chord") is None:
        copy.insert(0, etree.Element("chord"))
    note.addnext(copy)
