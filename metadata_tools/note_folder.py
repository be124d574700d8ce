"""A folder of single notes, made rather than recorded."""

import csv
from pathlib import Path

from cmss.audio import write_flac
from metadata_tools.notes import SAMPLE_RATE_HZ, Bank
from metadata_tools.writer import new_dataset


def write_bank(folder: Path, bank: Bank) -> None:
    """Write notes and their notes.csv as :func:`metadata_tools.notes.read_bank` reads them.

    Raises:
        InputError: the folder exists and is not empty.
    """
    with new_dataset(folder) as partial:
        rows = []
        for instrument, notes in bank.items():
            for note in notes:
                file = f"{note.name}_{note.dynamic}.flac"
                write_flac(partial / file, note.samples[None, :], SAMPLE_RATE_HZ)
                seconds = round(len(note.samples) / SAMPLE_RATE_HZ, 2)
                rows.append([file, instrument, note.midi, note.cents, note.dynamic, seconds])
        with (partial / "notes.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(["file", "instrument", "midi", "cents", "dynamic", "seconds"])
            writer.writerows(rows)
