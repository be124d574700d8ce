"""Pack notes and scores into a file for the training of networks on rendered mixtures.

    python -m metadata_tools.pack --notes NOTES [NOTES2] --scores SCORES [SCORES2] --out FILE.npz

Training from the file needs neither the folders of notes and scores nor the libraries that read
these folders. The file can therefore be copied to another machine. Works and recorded pitches of
the test sets are left out.

Frequencies above half of --rate are removed from the notes. The samples of the notes have 16 bits.
Notes longer than 3 s are shortened to 3 s. If the file is larger than --megabytes, the notes are
shortened further until the file is small enough. The file has the notes, the tempo, the dynamics,
the slurs and the staccato marks of the scores. Lyrics, layout and all other marks are left out.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cmss.command_line import exit_status
from cmss.errors import InputError
from cmss.files.atomic import write_bytes
from cmss.rendering.material import Material
from cmss.rendering.material_folders import LONGEST_NOTE_S, read_material
from cmss.rendering.packed_material import packed
from metadata_tools.inputs.options import at_least, check_outside, command_parser, to_path

SHORTEST_NOTE_S = 0.5


def write_pack(material: Material, path: Path, largest_bytes: float) -> float:
    """Write a packed file that is not larger than `largest_bytes`.

    Returns:
        The maximum duration of a note in seconds.

    Raises:
        InputError: the file is too large even if all notes are shortened to 0.5 s.
    """
    longest_s = LONGEST_NOTE_S
    while longest_s >= SHORTEST_NOTE_S:
        content = packed(material.cut(longest_s))
        if len(content) <= largest_bytes:
            write_bytes(path, content)
            return longest_s
        longest_s -= 0.25
    raise InputError(
        f"--megabytes: {largest_bytes / 1e6:g} MB, too few for notes of {SHORTEST_NOTE_S} s; "
        "increase --megabytes, decrease --rate or use fewer folders of notes"
    )


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = command_parser("pack", __doc__)
    add = parser.add_argument
    add("--notes", type=to_path, nargs="+", required=True, metavar="DIR",
        help="folders of recorded notes with a notes.csv; each is a library")  # fmt: skip
    add("--scores", type=to_path, nargs="+", required=True, metavar="DIR",
        help="folders of MusicXML files")  # fmt: skip
    add("--out", type=to_path, required=True, metavar="FILE", help="new file, such as pack.npz")
    add("--rate", type=at_least(8000, int, 48000), default=22050, metavar="HZ",
        help="sampling rate of the network to train; default: %(default)s")  # fmt: skip
    add("--megabytes", type=at_least(0.01, float), default=60.0, metavar="MB",
        help="maximum size of the file; default: %(default)g")  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    options = _parser().parse_args(arguments)

    def work() -> None:
        check_outside(options.out, [*options.notes, *options.scores])
        progress = partial(tqdm, disable=None)
        material = read_material(options.notes, options.scores, options.rate, progress)
        longest_s = write_pack(material, options.out, options.megabytes * 1e6)
        size = options.out.stat().st_size / 1e6
        print(f"{options.out}: {size:.1f} MB; {material.cut(longest_s).summary}")
        print(
            f"lost: frequencies above {options.rate / 2:g} Hz, notes after {longest_s:g} s, "
            "precision above 16 bits, and everything in scores except notes, tempo, dynamics, "
            "slurs and staccato"
        )

    return exit_status(work, "pack")


if __name__ == "__main__":
    sys.exit(main())
