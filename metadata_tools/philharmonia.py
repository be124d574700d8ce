"""Make a bank of single notes from the sound samples of the Philharmonia Orchestra.

    python -m metadata_tools.philharmonia --samples DIR --out NOTES

DIR contains the orchestra's files under their published names, in any subfolders. A name such as
`violin_As4_15_forte_arco-normal.mp3` states instrument, pitch, length, dynamic and way of playing.
The command uses long notes in all dynamics, with or without vibrato. The command leaves out and
reports files that cannot be read, that are too short, or whose pitch is far from the pitch in the
name. The samples are free for any use, but may not be distributed as samples.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.rendering.notes import Bank, Recording, hold_out
from metadata_tools.inputs.options import at_least, samples_parser
from metadata_tools.notes.bank import write_bank
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
"""Dict from the name of an instrument in file names to its name in the challenge."""

# The name states instrument, pitch, length (1 s, 1.5 s or more), dynamic and way of playing.
_NAME = re.compile(
    rf"({'|'.join(INSTRUMENTS)})_([A-G]s?\d_(?:1|15|long)"
    r"_(?:pianissimo|piano|mezzo-piano|mezzo-forte|forte|fortissimo)"
    r"_(?:normal|arco-normal|non-vibrato|molto-vibrato)\.mp3)"
)


def philharmonia_bank(folder: Path) -> Bank:
    """Read the notes of all instruments in a folder of the orchestra's files.

    Raises:
        InputError: there is no file that can be used.
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
                raise InputError(f"{path}: a file in another folder has the same name")
            found = note(path, midi_of(named_by_pitch), name)
            # A file with a larger deviation is named after the wrong note; this is the case for
            # some loud, high clarinet notes.
            if abs(found.cents) >= 55:
                raise InputError(
                    f"{path}: the pitch is {found.cents:+.0f} cents from the pitch in the file name"
                )
        except InputError as error:
            print(f"philharmonia: left out: {error}", file=sys.stderr)
            continue
        notes[name] = found
    if not any(bank.values()):
        raise InputError(
            f"{folder}: no usable file of the eight instruments; expected names such as "
            "violin_A4_1_forte_arco-normal.mp3"
        )
    return {instrument: tuple(notes.values()) for instrument, notes in bank.items() if notes}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = samples_parser("philharmonia", __doc__, "folder with the orchestra's files")
    parser.add_argument("--only-every", type=at_least(0), default=0, metavar="N",
        help="write only the pitches that `render --holdout-notes N` keeps for tests")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        def make() -> Bank:
            bank = philharmonia_bank(options.samples)
            return hold_out(bank, options.only_every, held_out=True)

        write_bank(options.out, make, [options.samples])

    return exit_status(work, "philharmonia")


if __name__ == "__main__":
    sys.exit(main())
