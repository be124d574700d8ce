"""Separators work at any input level: what is scaled comes out scaled, and otherwise the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.separators import build_separator
from cmss.separators.estimators import LEVEL
from tests.support.causal_networks import write_network
from tests.support.published_networks import write_networks
from tests.support.separation import RATE_HZ, noise, sources

# fmt: off
NETWORKS = {
    "arunet": ("arunet", {"L": 64, "hop": 16, "filters": [6, 8], "bottleneck": 10}),
    "convtasnet": ("fourier_convtasnet", {"L": 256, "hop": 64, "Q": 8, "B": 8, "H": 10, "X": 2}),
    "demucs": ("demucs", {"depth": 3, "channels": 6}),
    "hdemucs": ("hdemucs", {"nfft": 256, "depth": 3, "channels": 8, "masks": True}),
    "htdemucs": ("htdemucs", {"nfft": 1024, "depth": 3, "channels": 8, "bottom_channels": 16}),
    "multichannel_unet": (
        "multichannel_unet",
        {"n_fft": 64, "hop": 16, "bands": 8, "dims": [4, 6], "masks": "softmax"},
    ),
    "waveunet": ("waveunet", {"levels": 3, "filters": 3, "down_kernel": 5}),
}
# fmt: on
MIXTURE = np.float32(LEVEL) * noise(RATE_HZ // 2)
TRACK = sources("Violin_1", "Cello", "Violin_2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Networks of random weights: of each model one for all instruments, of Conv-TasNet as the
    challenge published it one for each, and causal ones of it."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for name, (model, arguments) in NETWORKS.items():
        network = build(model, {"sources": OUTPUTS, **arguments})
        save_checkpoint(folder / f"{name}.safetensors", model, network)
    write_networks(folder / "published", ["Violin", "Cello"])
    for instrument in ("Violin", "Cello"):
        write_network(folder / "causal", instrument)
    return folder


def settings(folder: Path, name: str) -> dict:
    if name in ("published", "causal"):
        return {"name": "convtasnet", "weights_from": str(folder / name), "device": "cpu"}
    return {"name": name, "weights_from": str(folder / f"{name}.safetensors"), "device": "cpu"}


def change_db(chosen: dict, level_db: float) -> float:
    """Power of what changes, against that of the estimates, when the input is that much louder.

    After it was scaled back, and of the source where most changes.
    """
    separator = build_separator(chosen, RATE_HZ)
    factor = np.float32(10 ** (level_db / 20))
    usual = separator.separate(MIXTURE, TRACK)
    scaled = separator.separate(factor * MIXTURE, TRACK)
    ratios = [
        np.sum((scaled[key] / factor - usual[key]) ** 2) / np.sum(usual[key] ** 2) for key in TRACK
    ]
    return float(10 * np.log10(max(ratios)))


# 60 dB around the challenge's level, from what 16 bits just hold to a few dB below clipping.
LEVELS = pytest.mark.parametrize("level_db", [-40, -17.3, 20])


@LEVELS
@pytest.mark.parametrize("name", [*NETWORKS, "published"])
def test_scale_in_scale_out(folder, name, level_db):
    # Single precision rounds at -150 dB, at each level otherwise, and layers amplify that.
    assert change_db(settings(folder, name), level_db) < -110


@LEVELS
def test_an_ensemble_too(folder, level_db):
    members = [
        {**settings(folder, name), "weight": [0.5, 0.3]}
        for name in ("arunet", "published", "waveunet")
    ]
    ensemble = {"name": "ensemble", "edges_hz": [700.0], "members": members}
    assert change_db(ensemble, level_db) < -110


@pytest.mark.parametrize(
    "taken_as_it_is",
    [
        {"weights_from": "causal", "causality": "causal"},
        {"weights_from": "published", "separation": {"official": True}},
    ],
    ids=["causal", "official"],
)
def test_where_the_level_is_not_adapted_it_counts_below_the_challenges(folder, taken_as_it_is):
    """The published Conv-TasNet is scale-invariant but for the epsilon of its first norm, 1e-8
    beside the variance of a frame: nothing to loud frames, much to faint ones."""
    chosen = {"name": "convtasnet", "device": "cpu", **taken_as_it_is}
    chosen["weights_from"] = str(folder / chosen["weights_from"])
    assert all(change_db(chosen, level_db) < -50 for level_db in (-3, 3, 20, 40))
    assert change_db(chosen, -40) > -15
