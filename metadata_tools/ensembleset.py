"""Make training data from EnsembleSet, which has 80 synthesised pieces of chamber music.

    python -m metadata_tools.ensembleset BBCSO_Ensembles.zip --out DATA --valid-works Haydn

The data set is described by Sarkar, Benetos and Sandler (ISMIR 2022). Each piece is a folder. The
folder has a subfolder for each microphone, and the subfolder has a stereo file for each player:

    BBCSO_Ensembles/<piece>/Mix_1/{Violin_1,Violin_2,Viola,Cello,...}.flac

The challenge's EnsembleSet_Mix_1.zip has the same folders with one microphone. By default, only the
stems of strings are read, as in the challenge; with the option `--parts all`, the stems of all
eight instruments of the challenge are read. The command cuts the stems into excerpts, sums the
excerpts to mixtures, and sets the loudness of the mixtures to -40 LUFS.
"""

import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import PurePosixPath

from cmss.errors import InputError, noting
from cmss.scenes import STRINGS
from metadata_tools.readers.reader import Catalogue, Piece, Reader, StemFile, add_stem, parser, run
from metadata_tools.readers.stem_names import is_stem, part_label


def catalogue(
    files: Collection[str], microphone: str = "Mix_1", strings_only: bool = True
) -> Catalogue:
    """Find all pieces in which one of the challenge's instruments plays.

    Args:
        files: names of all files in the package.
        microphone: name of the microphone whose recordings are read.
        strings_only: whether to leave out instruments other than strings.
    """
    pieces: dict[str, dict[str, StemFile]] = {}
    others: dict[str, list[str]] = {}
    problems: list[str] = []
    for file in sorted(files):
        path = PurePosixPath(file)
        if not is_stem(path) or path.parent.name != microphone:
            continue
        piece = path.parent.parent.name
        label = part_label(path.stem)
        stems = pieces.setdefault(piece, {})
        if label and (label.split("_")[0] in STRINGS or not strings_only):
            with noting(problems):
                add_stem(stems, label, StemFile(file), piece)
        else:
            others.setdefault(piece, []).append(path.stem)
    if problems:
        raise InputError(problems)
    return Catalogue(
        [Piece(name, stems) for name, stems in sorted(pieces.items()) if stems],
        [f"{piece}: left out: {', '.join(names)}" for piece, names in sorted(others.items())],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    made = parser("ensembleset", __doc__, Reader("EnsembleSet", catalogue, "train"))
    made.add_argument("--microphone", default="Mix_1", metavar="NAME",
        help="name of the microphone to read; default: %(default)s")  # fmt: skip
    made.add_argument("--parts", choices=["strings", "all"], default="strings",
        help="instruments whose stems are read; default: %(default)s")  # fmt: skip
    options = made.parse_args(arguments)
    chosen = partial(
        catalogue, microphone=options.microphone, strings_only=options.parts == "strings"
    )
    return run("ensembleset", Reader("EnsembleSet", chosen, "train"), options)


if __name__ == "__main__":
    sys.exit(main())
