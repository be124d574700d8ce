"""Synthesise single notes of the eight instruments, for users who have no recordings.

    python -m metadata_tools.synth --out NOTES

The command writes a folder NOTES with sound files and a notes.csv, which metadata_tools.render can
read. The notes have harmonic spectra, which are shaped by the slope of the source spectrum and by
formants. The partials of the notes fluctuate, and bow or breath noise is added.
"""

import sys
from collections.abc import Sequence

from cmss.command_line import exit_status
from metadata_tools.inputs.options import at_least, command_parser, to_path
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.synthesiser import TIMBRES, make_bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = command_parser("synth", __doc__)
    parser.add_argument("--out", type=to_path, required=True, metavar="DIR",
        help="path of the new folder")  # fmt: skip
    parser.add_argument("--seed", type=at_least(0), default=1, metavar="N",
        help="seed of all random numbers; default: %(default)s")  # fmt: skip
    parser.add_argument("--spacing", type=at_least(1), default=1, metavar="SEMITONES",
        help="distance between notes in semitones; default: %(default)s")  # fmt: skip
    parser.add_argument("--variety", type=at_least(0, float, 1), default=0.0, metavar="AMOUNT",
        help="difference of each instrument from its usual timbre, 0 to 1; default: 0")  # fmt: skip
    chosen = parser.parse_args(arguments)
    return exit_status(
        lambda: write_bank(
            chosen.out,
            lambda: make_bank(tuple(TIMBRES), chosen.seed, chosen.spacing, chosen.variety),
        ),
        "synth",
    )


if __name__ == "__main__":
    sys.exit(main())
