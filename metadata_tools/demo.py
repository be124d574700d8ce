"""Make a small data set in the challenge's layout; no other data are needed as input.

    python -m metadata_tools.demo --out DEMO --seed 1

The data set has excerpts of four pieces in the public domain (`metadata_tools.scores.pieces`). The
smallest ensemble is a duet, and the largest ensemble is a quintet. A synthesiser plays the pieces
in random rooms. The data set also has scenes, gains and listeners. The hearing loss of the
listeners ranges from none to severe. All tracks belong to the split valid. The same seed always
gives identical files.

With --train, the data set also has a split train. The split train allows a first training without
any other data. Both splits have the same pieces, but the split train has other keys, other tempi
and other synthesised instruments. If a network is trained on the split train, the scores on the
split valid are too high, because both splits have the same pieces.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cmss.command_line import exit_status
from cmss.rendering.arrange import instrument_of
from cmss.rendering.notation import RANGES, performed, typed
from metadata_tools.challenge.writer import (
    SAMPLE_RATE_HZ,
    MadeTrack,
    new_dataset,
    write_metadata,
    write_track,
)
from metadata_tools.inputs.options import at_least, command_parser, to_path
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.rendering.room import place
from metadata_tools.rendering.sampler import Sampler, random_player
from metadata_tools.scores.pieces import PIECES, TypedPiece

TRAIN_TRACKS = 16
"""Number of tracks of the split train."""


def play(
    piece: TypedPiece,
    sampler: Sampler,
    rng: np.random.Generator,
    semitones: int = 0,
    speed: float = 1.0,
) -> dict[str, np.ndarray]:
    """Play a piece in a random room.

    Args:
        piece: piece to play.
        sampler: sampler with notes of all instruments of the piece.
        rng: random generator for the players and the room.
        semitones: number of semitones by which the piece is transposed.
        speed: factor by which the tempo of the piece is multiplied.

    Returns:
        Dict from the label of a player to the stem (2, samples). The duration of the stems is an
        integer number of seconds.
    """
    parts = {
        label: performed(
            tuple(replace(note, midi=note.midi + semitones) for note in typed(text)),
            piece.quarters_per_minute * speed,
        )
        for label, text in piece.parts.items()
    }
    end_s = max(note.onset_s + note.duration_s for notes in parts.values() for note in notes)
    # Leave 0.8 s for the reverberation after the last note.
    samples = math.ceil(end_s + 0.8) * SAMPLE_RATE_HZ
    dry = {}
    for label, notes in parts.items():
        instrument = instrument_of(label)
        player = random_player(instrument, sampler.bank[instrument], rng)
        dry[label] = sampler.play(instrument, notes, samples, rng, player)
    return place(dry, rng)


def write_train(root: Path, seed: int) -> list[MadeTrack]:
    """Write the tracks of the split train, and return them."""
    sampler = Sampler(make_bank(tuple(RANGES), seed + 1, variety=0.7))
    tracks = []
    for number in range(TRAIN_TRACKS):
        piece = PIECES[number % len(PIECES)]
        rng = np.random.default_rng([seed, 21, number])
        semitones, speed = int(rng.integers(-4, 5)), float(rng.uniform(0.8, 1.2))
        stems = play(piece, sampler, rng, semitones, speed)
        name = f"{piece.name}_{1 + number // len(PIECES):03d}"
        tracks.append(write_track(root, "train", name, stems, "Demo"))
    return tracks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status, which is 2 if the input cannot be used."""
    parser = command_parser("demo", __doc__, "demo")
    parser.add_argument("--out", type=to_path, default=Path("demo"), metavar="DIR",
        help="path of the new folder; default: %(default)s")  # fmt: skip
    parser.add_argument("--seed", type=at_least(0), default=1, metavar="N",
        help="seed of all random numbers; default: %(default)s")  # fmt: skip
    parser.add_argument("--scenes-per-track", type=at_least(1), default=2, metavar="N",
        help="number of scenes of each track; default: %(default)s")  # fmt: skip
    parser.add_argument("--train", action="store_true", help="also write a split train")
    options = parser.parse_args(arguments)

    def work() -> None:
        with new_dataset(options.out) as partial:
            sampler = Sampler(make_bank(tuple(RANGES), options.seed))
            tracks = []
            for number, piece in enumerate(PIECES):
                rng = np.random.default_rng([options.seed, 20, number])
                stems = play(piece, sampler, rng)
                tracks.append(write_track(partial, "valid", f"{piece.name}_000", stems, "Demo"))
            if options.train:
                tracks += write_train(partial, options.seed)
            pairs = write_metadata(
                partial,
                tracks,
                options.seed,
                options.scenes_per_track,
                listeners_per_scene=1,
                listeners=8,
            )
        print(f"{options.out}: {len(tracks)} tracks, {pairs} pairs of scene and listener")

    return exit_status(work, "demo")


if __name__ == "__main__":
    sys.exit(main())
