"""Make a bank of single notes from sound files that are named by their pitch.

    python -m metadata_tools.samples --samples DIR --out NOTES

The files have names such as DIR/<instrument>/<pitch>.wav, where <instrument> is one of the eight
instruments. The suffix is wav, flac, mp3, ogg, aif or aiff. C4 is MIDI pitch 60; a sharp is written
as in F#4 or Fs4, and a flat is written as in Bb3. Text after a space or an underscore distinguishes
several files of the same pitch (`F2 v2.mp3`). The command measures the pitch of each note, but
only searches within 80 cents of the nominal pitch. If a deviation in notes.csv is close to 80
cents, the name of the file is probably wrong.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cmss.command_line import exit_status
from metadata_tools.inputs.options import samples_parser
from metadata_tools.notes.bank import write_bank
from metadata_tools.notes.sound_files import samples_bank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = samples_parser("samples", __doc__, "folder with the sound files")
    options = parser.parse_args(arguments)
    samples: Path = options.samples
    return exit_status(
        lambda: write_bank(options.out, lambda: samples_bank(samples), [samples]), "samples"
    )


if __name__ == "__main__":
    sys.exit(main())
