"""Make training data from CadenzaWoodwind, which has 19 synthesised pieces for woodwind quartet.

    python -m metadata_tools.cadenzawoodwind CadenzaWoodwind.zip --out DATA --valid-works fugue

In Zenodo's record 12664932, each piece is a folder with five stereo stems (flute, oboe, clarinet,
alto saxophone and bassoon) and two mixtures. The stems form a quartet with clarinet and a quartet
with saxophone, so the command makes two pieces from each folder. The command cuts the stems into
excerpts, sums the excerpts to mixtures, and sets the loudness of the mixtures to -40 LUFS.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from cmss.errors import InputError, noting
from metadata_tools.readers.reader import Catalogue, Piece, Reader, StemFile, add_stem, parser, run
from metadata_tools.readers.stem_names import is_stem, part_label

QUARTET = ("Bassoon", "Flute", "Oboe")
"""Instruments of every quartet. The fourth player plays one of the instruments in EITHER."""
EITHER = ("Clarinet", "Sax")


def catalogue(files: Collection[str]) -> Catalogue:
    """Find all quartets; a folder with both clarinet and saxophone gives two quartets."""
    pieces: dict[str, dict[str, StemFile]] = {}
    problems: list[str] = []
    for file in sorted(files):
        path = PurePosixPath(file)
        label = part_label(path.stem)
        if is_stem(path) and label in (*QUARTET, *EITHER):
            # As in EnsembleSet, the folder Mix_1 stands for a microphone. The folder above it has
            # the name of the piece.
            folder = path.parent.parent if path.parent.name == "Mix_1" else path.parent
            with noting(problems):
                add_stem(pieces.setdefault(folder.name, {}), label, StemFile(file), folder.name)
    found = Catalogue()
    for name, stems in sorted(pieces.items()):
        missing = [label for label in QUARTET if label not in stems]
        either = [label for label in EITHER if label in stems]
        problems += [f"{name}: missing stem: no file for {label}" for label in missing]
        if not either:
            problems.append(f"{name}: missing stem: no file for {' or '.join(EITHER)}")
        for label in either if not missing else ():
            quartet = {x: stems[x] for x in sorted((*QUARTET, label))}
            found.pieces.append(Piece(f"{name}_{label.lower()}", quartet))
    if problems:
        raise InputError(problems)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    reader = Reader("CadenzaWoodwind", catalogue, "train")
    options = parser("cadenzawoodwind", __doc__, reader).parse_args(arguments)
    return run("cadenzawoodwind", reader, options)


if __name__ == "__main__":
    sys.exit(main())
