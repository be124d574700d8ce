"""Reads the material for the rendering of training mixtures from folders of notes and scores.

This module needs libraries for sound files and scores, but training from a packed file
(:mod:`cmss.rendering.packed_material`) needs neither.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cmss.audio import resample
from cmss.errors import InputError, noting
from cmss.rendering.held_out import HELD_OUT_EVERY, matches
from cmss.rendering.material import FULL_SCALE, REFUSED_WORKS, Line, Material, Tone, Work
from cmss.rendering.musicxml import find_scores, read_score, work_name
from cmss.rendering.notes import SAMPLE_RATE_HZ, Bank, Recording, hold_out, read_bank

LONGEST_NOTE_S = 3.0
"""Longer notes fade out and end after this duration."""


def read_material(
    notes: Sequence[Path],
    scores: Sequence[Path],
    rate_hz: int,
    progress: Callable = lambda paths, **_: paths,
) -> Material:
    """Read folders of notes and scores, without the works and pitches of the test sets.

    Args:
        notes: folders of recorded notes; each folder is a library.
        scores: folders of MusicXML files.
        rate_hz: sampling rate to which the notes are converted.
        progress: function that wraps the score files with a progress bar, such as tqdm.

    Raises:
        InputError: a folder cannot be read, or a folder has only works of the test sets, or the
            material is not sufficient. Each line of the message names the key and the file.
    """
    problems: list[str] = []
    banks, pitches = _read_libraries(notes, problems)
    paths, left_out = _scores_for_training(scores, problems)
    if problems:
        raise InputError(problems)
    works = _read_works(progress(sorted(paths, key=lambda p: (p.name, p)), desc="scores"))
    tones = _tones_of(banks, rate_hz)
    material = Material(rate_hz, tones, works, pitches, left_out).cut(LONGEST_NOTE_S)
    material.check("path.notes, path.scores")
    return material


def _read_libraries(
    folders: Sequence[Path], problems: list[str]
) -> tuple[dict[str, Bank], dict[str, list[int]]]:
    """Read folders of notes, and append problems to `problems`.

    Returns:
        Two dicts. The first dict maps the name of each library to the notes of the library, without
        the held-out pitches. The second dict maps LIBRARY/INSTRUMENT to all recorded pitches.
    """
    if not folders:
        problems.append("path.notes: expected at least one folder of notes, got none")
    banks: dict[str, Bank] = {}
    pitches = {}
    for number, folder in enumerate(folders, 1):
        # Each library needs a unique name, but two folders may have the same name.
        library = folder.name if folder.name not in banks else f"{folder.name}_{number}"
        with noting(problems, "path.notes"):
            bank = read_bank(folder)
            for name, recordings in bank.items():
                pitches[f"{library}/{name}"] = sorted({r.midi for r in recordings})
            banks[library] = hold_out(bank, HELD_OUT_EVERY, held_out=False)
    return banks, pitches


def _scores_for_training(folders: Sequence[Path], problems: list[str]) -> tuple[list[Path], int]:
    """Find scores, and append problems to `problems`.

    Returns:
        Paths of all scores that are not works of the test sets, and the number of works that are
        left out.
    """
    if not folders:
        problems.append("path.scores: expected at least one folder of scores, got none")
    paths: list[Path] = []
    left_out: set[str] = set()
    for folder in folders:
        with noting(problems, "path.scores"):
            found = find_scores(folder)
            refused = [work for work in found if matches(work, REFUSED_WORKS)]
            left_out.update(refused)
            if len(refused) == len(found):
                raise InputError(
                    f"{folder}: contains only works of the test sets "
                    f"({', '.join(REFUSED_WORKS)}), which are refused for training"
                )
            paths += [path for work in found.keys() - refused for path in found[work]]
    return paths, len(left_out)


def _read_works(paths: Iterable[Path]) -> tuple[Work, ...]:
    """Read scores.

    Raises:
        InputError: scores cannot be read; the message has a line for each of these scores.
    """
    problems: list[str] = []
    works = []
    for path in paths:
        with noting(problems, "path.scores"):
            score = read_score(path)
            parts = tuple(Line.of(part) for part in score.parts)
            works.append(Work(work_name(path), parts, np.array(score.tempi, "f4").reshape(-1, 2)))
    if problems:
        raise InputError(problems)
    return tuple(works)


def tone_of(recording: Recording, library: str, rate_hz: int) -> Tone:
    """Convert a recorded note of a library to a sampling rate and to 16 bits."""
    signal = resample(recording.samples[None], SAMPLE_RATE_HZ, rate_hz)[0]
    return Tone(
        library,
        recording.midi,
        recording.cents,
        recording.dynamic,
        np.rint(np.clip(signal, -1, 1) * FULL_SCALE).astype(np.int16),
        round(recording.attack * rate_hz / SAMPLE_RATE_HZ),
        min(round(recording.sustain_end * rate_hz / SAMPLE_RATE_HZ), len(signal)),
    )


def _tones_of(banks: Mapping[str, Bank], rate_hz: int) -> dict[str, tuple[Tone, ...]]:
    """Convert the notes of all libraries to a sampling rate, and sort the notes by instrument."""
    tones: dict[str, list[Tone]] = {}
    for library, bank in banks.items():
        for instrument, recordings in bank.items():
            for r in recordings:
                tones.setdefault(instrument, []).append(tone_of(r, library, rate_hz))
    return {name: tuple(found) for name, found in sorted(tones.items()) if found}
