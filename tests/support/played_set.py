"""Short pieces in the challenge's layout, played and written as those of the demo."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from cmss.rendering.arrange import instrument_of
from cmss.run.choices import add_choices
from metadata_tools.challenge.writer import new_dataset, write_metadata, write_track
from metadata_tools.demo import play
from metadata_tools.notes.synthesiser import make_bank
from metadata_tools.rendering.sampler import Sampler
from metadata_tools.scores.pieces import TypedPiece

SPLIT = "valid"

SHORT_PIECES = (
    TypedPiece("duet", "made for tests", 160, {"Oboe": "f A4 _B4 C5", "Bassoon": "mf D3 F#3 _G3"}),
    TypedPiece(
        "trio",
        "made for tests",
        160,
        {"Violin_1": "f A4 _B4 C5", "Violin_2": "mf F#4 G4 _E4", "Cello": "f D3 _E3 A2"},
    ),
)
"""2 s each, one of them with a doubled instrument."""


def configuration(root: Path, *overrides: str) -> DictConfig:
    """Compose the configuration of the three stages for a data set."""
    with initialize_config_module("cmss.conf", version_base=None):
        add_choices()
        return compose("config", [f"path.root={root}", *overrides])


def write_played_set(
    root: Path, pieces: Sequence[TypedPiece], listeners_per_scene: int, listeners: int
) -> None:
    """Write a scene for each piece; the last listener, L5999, has no hearing loss."""
    instruments = {instrument_of(label) for piece in pieces for label in piece.parts}
    sampler = Sampler(make_bank(tuple(instruments), seed=1, spacing_semitones=8))
    with new_dataset(root) as folder:
        tracks = [
            write_track(
                folder,
                SPLIT,
                piece.name,
                play(piece, sampler, np.random.default_rng([1, number])),
                "Tests",
            )
            for number, piece in enumerate(pieces)
        ]
        write_metadata(folder, tracks, 1, 1, listeners_per_scene, listeners)
