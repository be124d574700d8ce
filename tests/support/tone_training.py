"""A small network that is trained on tones."""

import csv
from dataclasses import replace
from pathlib import Path

import torch

from cmss.models.checkpoint import build
from cmss.models.outputs import OUTPUTS, player_index
from cmss.training.loop import LoopSettings, train
from cmss.training.mixtures import MixtureSettings, RandomMixtures
from cmss.training.remix_loss import RemixLoss
from tests.support.recipe_defaults import of_recipe
from tests.support.tones import RATE_HZ, tone_track

NAME = "fourier_convtasnet"
ARGUMENTS = {
    "sources": OUTPUTS, "L": 128, "hop": 32, "Q": 30, "B": 16, "H": 24, "X": 2, "R": 1,
    "samplerate": RATE_HZ,
}  # fmt: skip
TRACKS = [
    tone_track("strings", ("Violin", "Violin_2", "Cello")),
    tone_track("reeds", ("Oboe", "Bassoon")),
]
AUGMENTED = of_recipe(
    "train", "mixtures", MixtureSettings, segment_s=0.4, batch_size=4, semitones=0.2, cents=10.0
)
SETTINGS = of_recipe(
    "train", "loop", LoopSettings,
    steps=12, learning_rate=3e-3, warmup_steps=3, precision="float32", validate_every=4,
    validation_batches=2, save_every_s=0.0,
)  # fmt: skip


def mixtures(index=None, instrument=None, **changes) -> RandomMixtures:
    index = index or player_index(OUTPUTS)
    return RandomMixtures(TRACKS, index, RATE_HZ, replace(AUGMENTED, **changes), 1, instrument)


def network(name=NAME, **changes):
    torch.manual_seed(0)
    return build(name, {**(ARGUMENTS if name == NAME else {}), **changes})


def run(folder: Path, model=None, loss=None, settings=SETTINGS, **more) -> Path:
    return train(
        model or network(), loss or RemixLoss(), mixtures(), mixtures(together=1.0),
        settings, folder, **more,
    )  # fmt: skip


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))
