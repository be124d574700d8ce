"""Finds the works in a folder of MusicXML files, and reads the files with the library partitura."""

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree

from cmss.errors import InputError
from cmss.rendering.concert_pitch import to_concert_pitch
from cmss.rendering.musicxml_document import implausible, read_document, tidy
from cmss.rendering.notation import DYNAMICS_DB, Part, Score, ScoreNote


def work_name(path: Path) -> str:
    """Return the name of the work to which a score file belongs.

    Some file names of movements and editions differ only in a catalogue number (`..._sq7082029`).
    These files belong to the same work, so they are always in the same split.
    """
    return re.sub(r"_sq\d+$", "", path.stem)


def find_scores(folder: Path) -> dict[str, list[Path]]:
    """Return a dict from each work in a folder to the sorted list of its MusicXML files.

    Raises:
        InputError: the folder is missing or has no score.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a folder of scores")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        suffixes = (".mxl", ".musicxml", ".xml")
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            found.setdefault(work_name(path), []).append(path)
    if not found:
        raise InputError(f"{folder}: no score (*.mxl, *.musicxml, *.xml) in this folder")
    return found


def read_score(path: Path) -> Score:
    """Read a MusicXML file at concert pitch.

    Tied notes are merged, and grace notes are left out. Dynamics and slurs are stored in the notes.

    Raises:
        InputError: the file is not MusicXML, or has no pitched note.
        OSError: the file cannot be read.
    """
    # partitura is imported here, because the import takes 0.5 s and only rendering needs it.
    from partitura.io.importmusicxml import load_musicxml

    root = read_document(path)
    remarks = tidy(root, path) + to_concert_pitch(root, path)
    with warnings.catch_warnings():
        # partitura warns about every text that partitura does not recognise as a tempo.
        warnings.simplefilter("ignore")
        try:
            document = load_musicxml(io.BytesIO(etree.tostring(root)))
            parts = tuple(_read_part(part) for part in document.parts)
            tempi = _read_tempi(document.parts[0]) if document.parts else ()
        except Exception as error:  # partitura raises many types on malformed files
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{path}: not readable as MusicXML ({reason})") from error
    if not any(parts):
        raise InputError(f"{path}: holds no pitched note")
    return Score(work_name(path), parts, tempi, tuple(remarks))


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
    """Return the level of each note in dB, from dynamic marks, hairpins and accents."""
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
    return levels + 3.0 * np.isin(starts, list(accents))


def _read_tempi(part: Any) -> tuple[tuple[float, float], ...]:
    from partitura import score as pt

    quarters = {"q": 1.0, "h": 2.0, "e": 0.5, "q.": 1.5, "h.": 3.0, "e.": 0.75}
    marks = {
        float(part.quarter_map(mark.start.t)): float(mark.bpm) * quarters.get(mark.unit or "q", 1.0)
        for mark in part.iter_all(pt.Tempo)
    }
    # `tidy` does not check tempi that are written as text ("q = 0").
    return tuple(sorted((at, tempo) for at, tempo in marks.items() if not implausible(tempo)))
