"""Training data from EnsembleSet: 80 pieces of chamber music, synthesised.

    python -m metadata_tools.ensembleset BBCSO_Ensembles.zip --out DATA --valid-works Haydn

Sarkar, Benetos and Sandler, ISMIR 2022. A folder for each piece, in it one for each microphone, in
that a stereo file for each player:

    BBCSO_Ensembles/<piece>/Mix_1/{Violin_1,Violin_2,Viola,Cello,...}.flac

The challenge's EnsembleSet_Mix_1.zip has the same folders with one microphone. As in the challenge
the strings are taken; --parts all takes all that its eight instruments play. Mixtures are sums of
the stems taken, cut into excerpts and brought to -40 LUFS.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cmss.errors import InputError, noting
from cmss.scenes import STRINGS
from metadata_tools.readers.reader import Catalogue, Part, Piece, add_part, parser, run
from metadata_tools.readers.stem_names import SOUND_FILES, is_mixture, part_label


@dataclass(frozen=True)
class EnsembleSet:
    """The reader of EnsembleSet.

    Args:
        microphone: which of its recordings.
        strings_alone: leave out what other instruments play.
    """

    microphone: str = "Mix_1"
    strings_alone: bool = True
    dataset: str = "EnsembleSet"
    split: str = "train"
    reserved: bool = False
    dry: bool = False

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """All pieces that one of our instruments plays in, and the stems that were left out."""
        parts: dict[str, dict[str, Part]] = {}
        others: dict[str, list[str]] = {}
        problems: list[str] = []
        for file in sorted(files):
            path = PurePosixPath(file)
            if path.suffix.lower() not in SOUND_FILES or path.parent.name != self.microphone:
                continue
            if is_mixture(path):
                continue
            piece = path.parent.parent.name
            label = part_label(path.stem)
            stems = parts.setdefault(piece, {})
            if label and (label.split("_")[0] in STRINGS or not self.strings_alone):
                with noting(problems):
                    add_part(stems, label, Part(file), piece)
            else:
                others.setdefault(piece, []).append(path.stem)
        if problems:
            raise InputError(problems)
        found = Catalogue([Piece(name, stems) for name, stems in sorted(parts.items()) if stems])
        found.left_out = [
            f"{piece}: left out: {', '.join(names)}" for piece, names in sorted(others.items())
        ]
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    made = parser("ensembleset", __doc__, EnsembleSet())
    made.add_argument("--microphone", default="Mix_1", metavar="NAME",
        help="default: %(default)s")  # fmt: skip
    made.add_argument("--parts", choices=["strings", "all"], default="strings",
        help="default: %(default)s")  # fmt: skip
    options = made.parse_args(arguments)
    reader = EnsembleSet(options.microphone, options.parts == "strings")
    return run("ensembleset", reader, options)


if __name__ == "__main__":
    sys.exit(main())
