"""Test data from MUSDB18 or MUSDB18-HQ, to see whether an installed model works.

    python -m metadata_tools.musdb musdb18hq.zip --out DATA

150 songs in the folders train and test, of MUSDB18 a file with five sounds each, of MUSDB18-HQ a
folder with WAV files:

    test/<song>.stem.mp4                        mixture, drums, bass, other, vocals
    test/<song>/{mixture,drums,bass,other,vocals}.wav

Rafii, Liutkus, Stoeter, Mimilakis and Bittner, 2017 and 2019. The first needs the system's ffmpeg.

The challenge has no drums and no voice. So that its layout can hold them, each of the four stems is
called by the name of an instrument that stands in for it (--as). That is good for a separator of
those four sources, or to train one; a network that knows the instruments themselves will not find
them here.
"""

import argparse
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from cmss.errors import InputError
from cmss.scenes import INSTRUMENTS
from metadata_tools.readers.reader import Catalogue, Part, Piece, parser, run

STREAMS = {"drums": 1, "bass": 2, "other": 3, "vocals": 4}
"""Number of the sound in a .stem.mp4; the first is the mixture."""
STAND_INS = {"drums": "Bassoon", "bass": "Cello", "other": "Viola", "vocals": "Violin"}
SUBSETS = ("train", "test")


@dataclass(frozen=True)
class Musdb:
    """The reader of MUSDB18 and MUSDB18-HQ.

    Args:
        subset: train or test, the folder to read.
        stand_ins: instrument by source.
    """

    subset: str = "test"
    stand_ins: Mapping[str, str] = field(default_factory=lambda: STAND_INS)
    dataset: str = "MUSDB18"
    split: str = "test"
    reserved: bool = False
    dry: bool = False

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """All songs of the subset."""
        songs: dict[str, dict[str, Part]] = {}
        problems = []
        for file in sorted(files):
            match = re.search(rf"(?:^|/){self.subset}/([^/]+)\.stem\.mp4$", file)
            if match:
                found = {source: Part(file, stream) for source, stream in STREAMS.items()}
            else:
                match = re.search(rf"(?:^|/){self.subset}/([^/]+)/(\w+)\.wav$", file)
                if not match:
                    continue
                source = PurePosixPath(file).stem
                found = {source: Part(file)} if source in STREAMS else {}
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
                Piece(name, {self.stand_ins[source]: song[source] for source in STREAMS})
                for name, song in sorted(songs.items())
            ]
        )


def _stand_in(text: str) -> tuple[str, str]:
    source, _, instrument = text.partition("=")
    if source not in STREAMS or instrument not in INSTRUMENTS:
        raise argparse.ArgumentTypeError(
            f"expected SOURCE=INSTRUMENT, one of {', '.join(STREAMS)} and one of "
            f"{', '.join(INSTRUMENTS)}, got {text!r}"
        )
    return source, instrument


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    made = parser("musdb", __doc__, Musdb())
    made.add_argument("--subset", choices=SUBSETS, default="test", help="default: %(default)s")
    made.add_argument("--as", dest="stand_ins", type=_stand_in, nargs="*", default=[],
        metavar="SOURCE=INSTRUMENT",
        help=f"default: {' '.join(f'{k}={v}' for k, v in STAND_INS.items())}")  # fmt: skip
    options = made.parse_args(arguments)
    stand_ins = STAND_INS | dict(options.stand_ins)
    if len(set(stand_ins.values())) < len(stand_ins):
        made.error(f"--as: one instrument for two sources: {stand_ins}")
    return run("musdb", Musdb(options.subset, stand_ins), options)


if __name__ == "__main__":
    sys.exit(main())
