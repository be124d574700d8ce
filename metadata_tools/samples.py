"""Single notes from sound files that are named by their pitch, as sample libraries are.

    python -m metadata_tools.samples --samples DIR --out NOTES

DIR/<instrument>/<pitch>.<wav, flac, mp3, ogg, aif or aiff>: an instrument of the eight, C4 = MIDI
60, sharps as F#4 or Fs4, flats as Bb3; what follows a space or an underscore tells takes apart
(`F2 v2.mp3`). The pitch is looked for within 80 cents of the name and not beyond: a deviation close
to that in notes.csv is a file under a wrong name.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from metadata_tools.inputs.options import to_path
from metadata_tools.notes.note_folder import write_bank
from metadata_tools.notes.sound_files import samples_bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.samples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--samples", type=to_path, required=True, metavar="DIR", help="sound files")
    parser.add_argument("--out", type=to_path, required=True, metavar="NOTES", help="a new folder")
    options = parser.parse_args(arguments)
    samples: Path = options.samples
    return exit_status(
        lambda: write_bank(options.out, lambda: samples_bank(samples), [samples]), "samples"
    )


if __name__ == "__main__":
    sys.exit(main())
