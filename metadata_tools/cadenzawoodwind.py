"""Training data from CadenzaWoodwind: 19 pieces for woodwind quartet, synthesised.

    python -m metadata_tools.cadenzawoodwind CadenzaWoodwind.zip --out DATA --valid-works fugue

Of Zenodo's record 12664932: a folder for each piece with a stereo file for each of flute, oboe,
clarinet, alto saxophone and bassoon, and two mixtures. There are two quartets in five stems, with
clarinet and with saxophone, and so two pieces here. Mixtures are sums of the stems, cut into
excerpts and brought to -40 LUFS.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from cmss.errors import InputError, noting
from metadata_tools.readers.reader import Catalogue, Part, Piece, add_part, parser, run
from metadata_tools.readers.stem_names import SOUND_FILES, is_mixture, part_label

QUARTET = ("Bassoon", "Flute", "Oboe")
"""With one of clarinet and saxophone."""
EITHER = ("Clarinet", "Sax")


@dataclass(frozen=True)
class CadenzaWoodwind:
    """The reader of CadenzaWoodwind."""

    dataset: str = "CadenzaWoodwind"
    split: str = "train"
    reserved: bool = False
    dry: bool = False

    def catalogue(self, files: Collection[str]) -> Catalogue:
        """All pieces: the folders that hold woodwind, whatever lies above them."""
        parts: dict[str, dict[str, Part]] = {}
        problems: list[str] = []
        for file in sorted(files):
            path = PurePosixPath(file)
            label = part_label(path.stem)
            if path.suffix.lower() not in SOUND_FILES or is_mixture(path):
                continue
            if label in (*QUARTET, *EITHER):
                # Of a folder for the microphone, as EnsembleSet has, the piece is the one above.
                folder = path.parent.parent if path.parent.name == "Mix_1" else path.parent
                with noting(problems):
                    add_part(parts.setdefault(folder.name, {}), label, Part(file), folder.name)
        found = Catalogue()
        for name, stems in sorted(parts.items()):
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
    """Run the command line; the exit status is 2 for input that cannot be used."""
    reader = CadenzaWoodwind()
    options = parser("cadenzawoodwind", __doc__, reader).parse_args(arguments)
    return run("cadenzawoodwind", reader, options)


if __name__ == "__main__":
    sys.exit(main())
