"""Make test data from MUSDB18 or MUSDB18-HQ, to check a separator of drums, bass and vocals.

    python -m metadata_tools.musdb musdb18hq.zip --out DATA

The folders train and test have 150 songs in total. In MUSDB18, each song is a file with five audio
streams. In MUSDB18-HQ, each song is a folder with five WAV files:

    test/<song>.stem.mp4                        mixture, drums, bass, other, vocals
    test/<song>/{mixture,drums,bass,other,vocals}.wav

The data sets are described by Rafii, Liutkus, Stoeter, Mimilakis and Bittner (2017 and 2019).
The program ffmpeg decodes the files of MUSDB18, and must be installed on the system.

The challenge has neither drums nor vocals. Therefore, each of the four stems gets the name of an
instrument of the challenge (option --as). These data are suitable to train and test a separator of
drums, bass, vocals and other sources. The data are not suitable for a network that was trained on
the instruments of the challenge.
"""

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from cmss.errors import InputError
from cmss.scenes import INSTRUMENTS
from metadata_tools.readers.reader import Catalogue, Piece, Reader, StemFile, parser, run

STREAMS = {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
"""Dict from a source to the number of its audio stream in a .stem.mp4; 0 is the mixture."""
STAND_INS = {"drums": "Bassoon", "bass": "Cello", "other": "Viola", "vocals": "Violin"}
"""Default of --as."""


def catalogue(
    files: Collection[str], subset: str = "test", stand_ins: Mapping[str, str] = STAND_INS
) -> Catalogue:
    """Find all songs of a subset.

    Args:
        files: names of all files in the package.
        subset: name of the folder to read, train or test.
        stand_ins: dict from the name of each source to the name of the instrument that stands for
            this source, such as {"drums": "Bassoon"}.
    """
    songs: dict[str, dict[str, StemFile]] = {}
    problems = []
    for file in sorted(files):
        match = re.search(rf"(?:^|/){subset}/([^/]+)\.stem\.mp4$", file)
        if match:
            found = {source: StemFile(file, stream) for source, stream in STREAMS.items()}
        else:
            match = re.search(rf"(?:^|/){subset}/([^/]+)/(\w+)\.wav$", file)
            if not match:
                continue
            source = PurePosixPath(file).stem
            found = {source: StemFile(file)} if source in STREAMS else {}
        song = songs.setdefault(match[1], {})
        if clash := found.keys() & song.keys():
            problems.append(f"{match[1]}: name clash: two files for {', '.join(sorted(clash))}")
        song.update(found)
    problems += [
        f"{name}: missing stem: no file for {source}"
        for name, song in songs.items()
        for source in STREAMS
        if source not in song
    ]
    if problems:
        raise InputError(problems)
    return Catalogue(
        [
            Piece(name, {stand_ins[source]: song[source] for source in STREAMS})
            for name, song in sorted(songs.items())
        ]
    )


def _stand_in(text: str) -> tuple[str, str]:
    """Convert a command-line argument SOURCE=INSTRUMENT to a pair of names."""
    source, _, instrument = text.partition("=")
    if source not in STREAMS or instrument not in INSTRUMENTS:
        raise argparse.ArgumentTypeError(
            f"expected SOURCE=INSTRUMENT with SOURCE from ({', '.join(STREAMS)}) and "
            f"INSTRUMENT from ({', '.join(INSTRUMENTS)}), got {text!r}"
        )
    return source, instrument


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    made = parser("musdb", __doc__, Reader("MUSDB18", catalogue, "test"))
    made.add_argument("--subset", choices=("train", "test"), default="test",
        help="folder of the data set to read; default: %(default)s")  # fmt: skip
    made.add_argument("--as", dest="stand_ins", type=_stand_in, nargs="*", default=[],
        metavar="SOURCE=INSTRUMENT",
        help="name of the instrument that each source gets; default: "
        f"{' '.join(f'{k}={v}' for k, v in STAND_INS.items())}")  # fmt: skip
    options = made.parse_args(arguments)
    stand_ins = STAND_INS | dict(options.stand_ins)
    if len(set(stand_ins.values())) < len(stand_ins):
        made.error(f"--as: expected a different instrument for each source, got {stand_ins}")
    chosen = partial(catalogue, subset=options.subset, stand_ins=stand_ins)
    return run("musdb", Reader("MUSDB18", chosen, "test"), options)


if __name__ == "__main__":
    sys.exit(main())
