"""Writes banks of single notes, which :mod:`cmss.rendering.notes` reads."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from cmss.audio import write_flac
from cmss.rendering.notes import SAMPLE_RATE_HZ, Bank
from metadata_tools.challenge.writer import new_dataset
from metadata_tools.inputs.options import check_outside

SUSTAIN_DBFS = -20.0
"""Sustain level of all notes that the commands of this package write."""


def write_bank(folder: Path, make: Callable[[], Bank], sources: Iterable[Path] = ()) -> None:
    """Write a bank to a folder that :func:`cmss.rendering.notes.read_bank` can read.

    Args:
        folder: the new folder.
        make: function that returns the bank. `make` is called only after the folder has been
            checked, because the computation of a bank may take long.
        sources: folders and files that `make` reads.

    Raises:
        InputError: the folder exists and is not empty, or is in one of `sources`.
        OSError: the folder cannot be written.
    """
    check_outside(folder, sources)
    with new_dataset(folder) as partial:
        rows = []
        for instrument, notes in make().items():
            for note in notes:
                file = f"{note.name}_{note.dynamic}.flac"
                write_flac(partial / file, note.samples[None, :], SAMPLE_RATE_HZ)
                seconds = round(len(note.samples) / SAMPLE_RATE_HZ, 2)
                rows.append([file, instrument, note.midi, note.cents, note.dynamic, seconds])
        with (partial / "notes.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(["file", "instrument", "midi", "cents", "dynamic", "seconds"])
            writer.writerows(rows)
