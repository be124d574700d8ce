"""Make a bank of single notes from sound files that are named by their pitch.

    python -m metadata_tools.samples --samples DIR --out NOTES

The files have names DIR/<instrument>/<pitch>.<wav, flac, mp3, ogg, aif or aiff>, with one of the
eight instruments. C4 is MIDI 60; sharps are written F#4 or Fs4, flats Bb3. Text after a space or an
underscore distinguishes several files of the same pitch (`F2 v2.mp3`). The pitch is measured within
80 cents of the nominal pitch. A deviation close to 80 cents in notes.csv means that the name of the
file is probably wrong.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from metadata_tools.inputs.options import command_parser, to_path
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.sound_files import samples_bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit status 2 for bad input."""
    parser = command_parser("samples", __doc__)
    parser.add_argument("--samples", type=to_path, required=True, metavar="DIR", help="sound files")
    parser.add_argument("--out", type=to_path, required=True, metavar="NOTES", help="a new folder")
    options = parser.parse_args(arguments)
    samples: Path = options.samples
    return exit_status(
        lambda: write_bank(options.out, lambda: samples_bank(samples), [samples]), "samples"
    )


if __name__ == "__main__":
    sys.exit(main())
