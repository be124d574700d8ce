"""Evaluation scenes from BACH10: ten chorales of Bach, each player recorded alone.

    python -m metadata_tools.bach10 Bach10_v1.1.zip --out DATA

Duan and Pardo, IEEE J. Sel. Top. Signal Process. 5(6), 2011, pp. 1205-1215. A folder for each
piece, with a mono file for each of violin, clarinet, saxophone and bassoon:

    01-AchGottundHerr/01-AchGottundHerr-{violin,clarinet,saxphone,bassoon}.wav

The stems are dry; they are played in a hall, cut into excerpts of 15 s and brought to -40 LUFS.
BACH10 belongs to the challenge's evaluation set: no training data are made of it unless forced.
"""

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cmss.errors import InputError
from metadata_tools.readers.reader import Catalogue, Part, Piece, add_part, parser, run

# One is misspelled in the data set.
PLAYERS = {
    "violin": "Violin",
    "clarinet": "Clarinet",
    "saxphone": "Sax",
    "saxophone": "Sax",
    "bassoon": "Bassoon",
}

_STEM = re.compile(rf"(\d\d-\w+)-({'|'.join(PLAYERS)})\.wav", re.IGNORECASE)
_MIXTURE = re.compile(r"(\d\d-\w+)\.wav", re.IGNORECASE)


@dataclass(frozen=True)
class Bach10:
    """The reader of BACH10."""

    dataset: str = "BACH10"
    split: str = "test"
    reserved: bool = True
    dry: bool = True

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """All pieces, by the names of their files wherever these lie."""
        parts: dict[str, dict[str, Part]] = {}
        for file in sorted(files):
            name = PurePosixPath(file).name
            if match := _STEM.fullmatch(name):
                piece, player = match.groups()
                stems = parts.setdefault(piece, {})
                add_part(stems, PLAYERS[player.lower()], Part(file), piece)
            elif match := _MIXTURE.fullmatch(name):
                parts.setdefault(match[1], {})
        expected = sorted(set(PLAYERS.values()))
        if problems := [
            f"{piece}: missing stem: no file for {label}"
            for piece, stems in parts.items()
            for label in expected
            if label not in stems
        ]:
            raise InputError(problems)
        return Catalogue([Piece(piece, stems) for piece, stems in sorted(parts.items())])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    reader = Bach10()
    return run("bach10", reader, parser("bach10", __doc__, reader).parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
