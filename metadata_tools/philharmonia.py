"""Single notes from the sound samples of the Philharmonia Orchestra.

    python -m metadata_tools.philharmonia --samples DIR --out NOTES

DIR holds the orchestra's files in any folders, under the names that they were published with:
`violin_As4_15_forte_arco-normal.mp3` is instrument, pitch, length, dynamic and way of playing. Long
notes played as usual, with or without vibrato, are taken, in all dynamics; those that are not
readable, too short or far from the pitch that they are named by are left out and named. The samples
may be used freely, but not be passed on as samples.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from cmss.errors import InputError
from metadata_tools.inputs.options import at_least, to_path
from metadata_tools.notes.bank import Bank, Recording, hold_out
from metadata_tools.notes.note_folder import write_bank
from metadata_tools.notes.sound_files import midi_of, note

INSTRUMENTS = {
    "violin": "Violin",
    "viola": "Viola",
    "cello": "Cello",
    "flute": "Flute",
    "oboe": "Oboe",
    "clarinet": "Clarinet",
    "bassoon": "Bassoon",
    "saxophone": "Sax",
}
LENGTHS = ("1", "15", "long")  # a second, one and a half
DYNAMICS = ("pianissimo", "piano", "mezzo-piano", "mezzo-forte", "forte", "fortissimo")
WAYS = ("normal", "arco-normal", "non-vibrato", "molto-vibrato")
FURTHEST_CENTS = 55  # beyond, the name is that of another note, as of loud high clarinets

_NAME = re.compile(
    rf"({'|'.join(INSTRUMENTS)})_([A-G]s?\d_(?:{'|'.join(LENGTHS)})"
    rf"_(?:{'|'.join(DYNAMICS)})_(?:{'|'.join(WAYS)})\.mp3)"
)


def philharmonia_bank(folder: Path) -> Bank:
    """Notes of all instruments in a folder of the orchestra's files.

    Raises:
        InputError: there are none that can be used.
    """
    bank: dict[str, dict[str, Recording]] = {}
    for path in sorted(folder.rglob("*.mp3"), key=lambda path: (path.name, path)):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        instrument, named_by_pitch = INSTRUMENTS[match[1]], Path(match[2])
        name = f"{instrument}/{named_by_pitch.stem}"
        notes = bank.setdefault(instrument, {})
        try:
            if name in notes:
                raise InputError(f"{path}: another file has this name")
            found = note(path, midi_of(named_by_pitch), name)
            if abs(found.cents) >= FURTHEST_CENTS:
                raise InputError(f"{path}: {found.cents:+.0f} cents from the pitch of its name")
        except InputError as error:
            print(f"philharmonia: left out: {error}", file=sys.stderr)
            continue
        notes[name] = found
    if not any(bank.values()):
        raise InputError(
            f"{folder}: holds no files named as violin_A4_1_forte_arco-normal.mp3, of the eight "
            "instruments, that can be used"
        )
    return {instrument: tuple(notes.values()) for instrument, notes in bank.items() if notes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.philharmonia",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--samples", type=to_path, required=True, metavar="DIR", help="the orchestra's files")
    add("--out", type=to_path, required=True, metavar="NOTES", help="a new folder")
    add("--only-every", type=at_least(0), default=0, metavar="N",
        help="only the pitches that `render --holdout-notes N` keeps for tests")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        def make() -> Bank:
            bank = philharmonia_bank(options.samples)
            return hold_out(bank, options.only_every, held_out=True)

        write_bank(options.out, make, [options.samples])

    return exit_status(work, "philharmonia")


if __name__ == "__main__":
    sys.exit(main())
