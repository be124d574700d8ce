"""Make a small data set in the challenge's layout out of nothing but this package.

    python -m metadata_tools.demo --out DEMO --seed 1

Four public-domain excerpts from duet to quintet (`metadata_tools.scores.pieces`), played by the
built-in synthesiser in rooms drawn at random; scenes, gains and listeners from mild to severe
hearing loss and one without; split valid. The same seed gives the same files, byte for byte.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cmss.command_line import exit_status
from metadata_tools.challenge.writer import SAMPLE_RATE_HZ, new_dataset, write_metadata, write_track
from metadata_tools.inputs.options import at_least, to_path
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.rendering.room import place
from metadata_tools.rendering.sampler import Sampler, random_player
from metadata_tools.scores.arrange import instrument_of
from metadata_tools.scores.pieces import PIECES, Piece
from metadata_tools.scores.score import RANGES, performed, typed

SPLIT = "valid"
DATASET = "Demo"
SCENES_PER_TRACK = 2
LISTENERS = 8

_REVERBERATION_S = 0.8


def play(piece: Piece, sampler: Sampler, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The stems of a piece: (2, samples) by label, a whole number of seconds long."""
    parts = {
        label: performed(typed(text), piece.quarters_per_minute)
        for label, text in piece.parts.items()
    }
    end_s = max(note.onset_s + note.duration_s for notes in parts.values() for note in notes)
    samples = math.ceil(end_s + _REVERBERATION_S) * SAMPLE_RATE_HZ
    dry = {}
    for label, notes in parts.items():
        instrument = instrument_of(label)
        player = random_player(instrument, sampler.bank[instrument], rng)
        dry[label] = sampler.play(instrument, notes, samples, rng, player)
    return place(dry, rng)


def make_demo(root: Path, seed: int, scenes_per_track: int = SCENES_PER_TRACK) -> int:
    """Write the data set into a new folder; returns the number of scene-listener pairs.

    Raises:
        InputError: `root` exists and is not an empty folder.
    """
    with new_dataset(root) as partial:
        sampler = Sampler(make_bank(tuple(RANGES), seed))
        tracks = []
        for number, piece in enumerate(PIECES):
            stems = play(piece, sampler, np.random.default_rng([seed, 20, number]))
            tracks.append(write_track(partial, SPLIT, f"{piece.name}_000", stems, DATASET))
        return write_metadata(partial, tracks, seed, scenes_per_track, 1, LISTENERS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 2 for input that cannot be used."""
    parser = argparse.ArgumentParser(
        prog="python -m metadata_tools.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=to_path, default=Path("demo"), metavar="DIR",
        help="a new folder; default: %(default)s")  # fmt: skip
    parser.add_argument("--seed", type=at_least(0), default=1, metavar="N",
        help="default: %(default)s")  # fmt: skip
    parser.add_argument("--scenes-per-track", type=at_least(1), default=SCENES_PER_TRACK,
        metavar="N", help="each is heard by one listener; default: %(default)s")  # fmt: skip
    options = parser.parse_args(arguments)

    def work() -> None:
        pairs = make_demo(options.out, options.seed, options.scenes_per_track)
        print(f"{options.out}: {len(PIECES)} tracks, {pairs} pairs of scene and listener")

    return exit_status(work, "demo")


if __name__ == "__main__":
    sys.exit(main())
