"""Make evaluation scenes from BACH10, which has ten chorales with separately recorded players.

    python -m metadata_tools.bach10 Bach10_v1.1.zip --out DATA

Duan and Pardo (2011, IEEE Journal of Selected Topics in Signal Processing 5(6), pages 1205-1215)
describe the data set. BACH10 has a folder for each piece. A folder has four mono files, for violin,
clarinet, saxophone and bassoon:

    01-AchGottundHerr/01-AchGottundHerr-{violin,clarinet,saxphone,bassoon}.wav

The command places the dry stems in a hall, cuts the stems into excerpts of 15 s, and sets the
loudness of the mixtures to -40 LUFS. BACH10 belongs to the challenge's evaluation set. Therefore,
training data are made from BACH10 only if the option --force is given.
"""

import re
import sys
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from cmss.errors import InputError
from metadata_tools.readers.reader import Catalogue, Piece, Reader, StemFile, add_stem, parser, run

# The data set misspells saxophone.
PLAYERS = {
    "violin": "Violin",
    "clarinet": "Clarinet",
    "saxphone": "Sax",
    "saxophone": "Sax",
    "bassoon": "Bassoon",
}

_STEM = re.compile(rf"(\d\d-\w+)-({'|'.join(PLAYERS)})\.wav", re.IGNORECASE)
_MIXTURE = re.compile(r"(\d\d-\w+)\.wav", re.IGNORECASE)


def catalogue(files: Collection[str]) -> Catalogue:
    """Find all pieces from the names of the files; the names of the folders are ignored."""
    pieces: dict[str, dict[str, StemFile]] = {}
    for file in sorted(files):
        name = PurePosixPath(file).name
        if match := _STEM.fullmatch(name):
            piece, player = match.groups()
            stems = pieces.setdefault(piece, {})
            add_stem(stems, PLAYERS[player.lower()], StemFile(file), piece)
        elif match := _MIXTURE.fullmatch(name):
            # If only the mixture of a piece exists, all stems of the piece are missing.
            pieces.setdefault(match[1], {})
    expected = sorted(set(PLAYERS.values()))
    if problems := [
        f"{piece}: missing stem: no file for {label}"
        for piece, stems in pieces.items()
        for label in expected
        if label not in stems
    ]:
        raise InputError(problems)
    return Catalogue([Piece(piece, stems) for piece, stems in sorted(pieces.items())])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    reader = Reader("BACH10", catalogue, "test", reserved=True, dry=True)
    return run("bach10", reader, parser("bach10", __doc__, reader).parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
