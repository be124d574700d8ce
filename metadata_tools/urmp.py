"""Make evaluation scenes from URMP, which has 44 pieces with separately recorded players.

    python -m metadata_tools.urmp Dataset.tar.gz --out DATA

Li, Liu, Dinesh, Duan and Sharma (2018, IEEE Transactions on Multimedia 21(2), pages 522-535)
describe the data set. URMP has a folder for each piece. The name of the folder lists the players,
and the folder has a mono file for each player:

    01_Jupiter_vn_vc/AuSep_1_vn_01_Jupiter.wav, AuSep_2_vc_01_Jupiter.wav

The command places the dry stems in a hall, cuts the stems into excerpts of 15 s, and sets the
loudness of the mixtures to -40 LUFS. As in the challenge, pieces with double bass, horn, trombone,
trumpet or tuba are left out. URMP belongs to the challenge's evaluation set. Therefore, training
data are made from URMP only if the option --force is given.
"""

import re
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from cmss.errors import InputError
from cmss.rendering.arrange import number_players
from cmss.scenes import DOUBLED, INSTRUMENTS
from metadata_tools.readers.reader import Catalogue, Piece, Reader, StemFile, parser, run

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


def catalogue(files: Collection[str]) -> Catalogue:
    """Find all pieces in which only the challenge's instruments play.

    The instruments are read from the name of the folder, because one file of 15_Surprise has a
    wrong name.
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
                    f"{folder}: name clash: {numbered[number]} and {file} are both stem {number}"
                )
            numbered[number] = file
    found = Catalogue()
    for folder, numbered in stems.items():
        match = _PIECE.fullmatch(folder)
        assert match
        players = match[2].strip("_").split("_")
        problems += [
            f"{folder}: missing stem: no file AuSep_{number}_{player}_*.wav"
            for number, player in enumerate(players, 1)
            if number not in numbered
        ]
        instruments = [PLAYERS[player] for player in players]
        if any(
            name not in INSTRUMENTS or count > (2 if name in DOUBLED else 1)
            for name, count in Counter(instruments).items()
        ):
            found.left_out.append(f"{folder}: left out: not only instruments of the challenge")
        elif not problems:
            labels = number_players(instruments)
            files_in_order = [StemFile(numbered[number]) for number in range(1, len(players) + 1)]
            found.pieces.append(Piece(folder, dict(zip(labels, files_in_order, strict=True))))
    if problems:
        raise InputError(problems)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    reader = Reader("URMP", catalogue, "test", reserved=True, dry=True)
    return run("urmp", reader, parser("urmp", __doc__, reader).parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
