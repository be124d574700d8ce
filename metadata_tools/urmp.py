"""Evaluation scenes from URMP: 44 pieces for two to five players, each recorded alone.

    python -m metadata_tools.urmp Dataset.tar.gz --out DATA

Li, Liu, Dinesh, Duan and Sharma, IEEE Trans. Multimedia 21(2), 2018, pp. 522-535. A folder for each
piece, named after its players, with a mono file for each of them:

    01_Jupiter_vn_vc/AuSep_1_vn_01_Jupiter.wav, AuSep_2_vc_01_Jupiter.wav

The stems are dry; they are played in a hall, cut into excerpts of 15 s and brought to -40 LUFS.
Pieces with double bass, horn, trombone, trumpet or tuba are left out, as the challenge does. URMP
belongs to its evaluation set: no training data are made of it unless forced.
"""

import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cmss.errors import InputError
from metadata_tools.readers.reader import Catalogue, Part, Piece, parser, run
from metadata_tools.readers.stem_names import labels

PLAYERS = {
    "vn": "Violin",
    "va": "Viola",
    "vc": "Cello",
    "fl": "Flute",
    "ob": "Oboe",
    "cl": "Clarinet",
    "sax": "Sax",
    "bn": "Bassoon",
    "db": "double bass",
    "tpt": "trumpet",
    "hn": "horn",
    "tbn": "trombone",
    "tba": "tuba",
}

_PIECE = re.compile(rf"(\d\d_[A-Za-z0-9]+)((?:_(?:{'|'.join(PLAYERS)}))+)")
_STEM = re.compile(r"AuSep_(\d+)_[a-z]+_.*\.wav")


@dataclass(frozen=True)
class Urmp:
    """The reader of URMP."""

    dataset: str = "URMP"
    split: str = "test"
    reserved: bool = True
    dry: bool = True

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """All pieces whose players the challenge knows.

        The name of the folder says who plays: that of a file does not always (15_Surprise).
        """
        stems: dict[str, dict[int, str]] = {}
        problems = []
        for file in sorted(files):
            path = PurePosixPath(file)
            folder = path.parent.name
            if not _PIECE.fullmatch(folder):
                continue
            numbered = stems.setdefault(folder, {})
            if match := _STEM.fullmatch(path.name):
                number = int(match[1])
                if number in numbered:
                    problems.append(
                        f"{folder}: name clash: {numbered[number]} and {file} are both "
                        f"stem {number}"
                    )
                numbered[number] = file
        found = Catalogue()
        for folder, numbered in stems.items():
            match = _PIECE.fullmatch(folder)
            assert match
            players = match[2].strip("_").split("_")
            expected = range(1, len(players) + 1)
            problems += [
                f"{folder}: missing stem: no file AuSep_{number}_{players[number - 1]}_*.wav"
                for number in expected
                if number not in numbered
            ]
            written = labels([PLAYERS[player] for player in players])
            if written is None:
                found.left_out.append(f"{folder}: left out: not only instruments of the challenge")
            elif not problems:
                parts = {x: Part(numbered[n]) for n, x in zip(expected, written, strict=True)}
                found.pieces.append(Piece(folder, parts))
        if problems:
            raise InputError(problems)
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    reader = Urmp()
    return run("urmp", reader, parser("urmp", __doc__, reader).parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
