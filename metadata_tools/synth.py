"""Single notes of the eight instruments, synthesised, for those who have no recordings.

    python -m metadata_tools.synth --out NOTES

NOTES becomes a folder of notes with a notes.csv, as metadata_tools.render reads it. Harmonic
spectra shaped by a source slope and formants, an attack in which high partials come later, slow
independent fluctuation of the partials, and the noise of bow or breath.
"""

import argparse
import sys
from collections.abc import Sequence

from cmss.command_line import exit_status
from metadata_tools.inputs.options import at_least, to_path
from metadata_tools.notes.synthesiser import TIMBRES, write_notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.synth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=to_path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--seed", type=at_least(0), default=1, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--spacing", type=at_least(1), default=1, metavar="SEMITONES",
        help="between notes; default: %(default)s")  # fmt: skip
    parser.add_argument("--variety", type=at_least(0, float, 1), default=0.0, metavar="SHARE",
        help="how far each instrument is from the usual, 0 to 1; default: 0")  # fmt: skip
    options = parser.parse_args(arguments)
    return exit_status(
        lambda: write_notes(
            options.out, tuple(TIMBRES), options.seed, options.spacing, options.variety
        ),
        "synth",
    )


if __name__ == "__main__":
    sys.exit(main())
