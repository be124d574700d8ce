"""A folder of single notes, made rather than recorded."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

from cmss.audio import write_flac
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ, new_dataset
from metadata_tools.inputs.options import check_outside
from metadata_tools.notes.bank import Bank


def write_bank(folder: Path, make: Callable[[], Bank], sources: Iterable[Path] = ()) -> None:
    """Write notes and their notes.csv as :func:`metadata_tools.notes.bank.read_bank` reads them.

    Args:
        folder: a new one.
        make: called once it is known that the folder can be written.
        sources: what it reads.

    Raises:
        InputError: the folder exists and is not empty, or lies in what is read.
        OSError: it cannot be written.
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
