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
from dataclasses import replace
from pathlib import Path

from cmss.errors import InputError
from metadata_tools.note_folder import write_bank
from metadata_tools.notes import Bank, hold_out
from metadata_tools.options import at_least, exit_status
from metadata_tools.samples import midi_of, note

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
    bank: Bank = {}
    for path in sorted(folder.rglob("*.mp3"), key=lambda path: path.name):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        name, rest = match.groups()
        try:
            found = note(path, midi_of(rest))
        except InputError as error:
            print(f"philharmonia: left out: {error}", file=sys.stderr)
            continue
        if abs(found.cents) >= FURTHEST_CENTS:
            print(f"philharmonia: left out: {path}: {found.cents:+.0f} cents", file=sys.stderr)
            continue
        instrument = INSTRUMENTS[name]
        found = replace(found, name=f"{instrument}/{rest.removesuffix('.mp3')}")
        bank[instrument] = (*bank.get(instrument, ()), found)
    if not bank:
        raise InputError(
            f"{folder}: holds no files named as violin_A4_1_forte_arco-normal.mp3, of the eight "
            "instruments, that can be used"
        )
    return bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.philharmonia",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--samples", type=Path, required=True, metavar="DIR", help="the orchestra's files")
    add("--out", type=Path, required=True, metavar="NOTES", help="a new folder")
    add("--only-every", type=at_least(0), default=0, metavar="N",
        help="only every Nth pitch, which render trains on no track with; 0: all")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        bank = hold_out(philharmonia_bank(options.samples), options.only_every, held_out=True)
        write_bank(options.out, bank)

    return exit_status("philharmonia", work)


if __name__ == "__main__":
    sys.exit(main())
