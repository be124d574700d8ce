from dataclasses import replace
from importlib.resources import files

import pytest
import torch

from cmss.models.outputs import player_index
from cmss.training.mixtures import Batch
from cmss.training.presets import PRESETS
from tests.support.recipe_calls import call


@pytest.mark.parametrize("key", PRESETS, ids="-".join)
def test_a_preset_can_be_trained(key):
    """A second of two players; the loss has a gradient for the network, and it is finite.

    The published sizes are made a few channels wide, their outputs and loss left as they are.
    """
    torch.manual_seed(0)
    chosen = PRESETS[key]
    narrow = {
        "convtasnet": {"N": 8, "B": 4, "H": 4, "X": 1, "R": 1},
        "waveunet": {"levels": 4, "filters": 2},
        "multichannel_unet": {"dims": (4, 4, 4)},
        "arunet": {"filters": (8, 8), "bottleneck": 8, "L": 256, "hop": 64},
        "demucs": {"channels": 4},
        "hdemucs": {"channels": 4},
        "htdemucs": {"channels": 8, "bottom_channels": 16},
    }
    model = chosen.build() if key[1] == "small" else narrowed(chosen, narrow[key[0]])
    index = player_index(model.sources, "Viola" if len(model.sources) <= 2 else None)
    stems = 0.1 * torch.randn(1, 2, 2, model.sample_rate_hz)
    batch = Batch(stems, torch.tensor([[index["Viola"], index["Oboe"]]]), torch.ones(1, 2))
    loss = chosen.build_loss()(model, batch)
    loss.backward()
    assert loss.isfinite()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any((gradient != 0).any() for gradient in gradients)


def narrowed(chosen, changes):
    return replace(chosen, arguments={**chosen.arguments, **changes}).build()


def test_small_networks_fit_the_package():
    """28 MB for all weights, a byte a parameter in eight bits; 11 MB for one network."""
    for (_, size), chosen in PRESETS.items():
        if size == "small" and chosen.network != "module":
            with torch.device("meta"):
                assert sum(p.numel() for p in chosen.build().parameters()) < 10.9e6
    weights = files("cmss") / "weights"
    sizes = [len(file.read_bytes()) for file in weights.iterdir() if file.is_file()]
    assert max(sizes) < 11e6
    assert sum(sizes) < 28e6


def test_the_first_demucs_has_its_published_size():
    """648,548,208 for four sources."""
    with torch.device("meta"):
        count = sum(p.numel() for p in PRESETS["demucs", "v1"].build().parameters())
    assert count == 648_548_208 + 4 * 2 * (100 * 8 + 1)


def test_published_sizes():
    """Systems of the papers: Conv-TasNet as the challenge trained it; the others' own counts,
    with as many outputs as the challenge has instruments."""
    counts = {}
    for (model, size), chosen in PRESETS.items():
        if size == "paper":
            with torch.device("meta"):
                counts[model] = sum(p.numel() for p in chosen.build().parameters())
    # Wave-U-Net M6 has 10,263,498 for four sources; each further stereo one adds 2 (24 + 2 + 1).
    assert counts == {
        "convtasnet": 10_846_800,
        "waveunet": 10_263_498 + 4 * 2 * 27,
        "multichannel_unet": 124_448_904,
        "arunet": 8_629_977,
        # 265,679,496 for four sources; each further one adds a stereo output.
        "demucs": 265_679_496 + 4 * 2 * (64 * 8 + 1),
        # The authors' code; torchaudio's has 1,536 more, a normalisation that it never applies.
        "hdemucs": 83_648_608 - 1_536,
        # 41,984,456 for four sources; each further one adds 4 channels of spectra, 2 of waveforms.
        "htdemucs": 41_984_456 + 4 * (4 + 2) * (48 * 8 + 1),
    }


def test_the_help_of_train_lists_every_size_of_every_network(tmp_path):
    text = call("train", "--help", cwd=tmp_path).stdout
    rows = text.split("model=NAME size=SIZE")[1].split("model.target=")[0].splitlines()[1:-1]
    listed = [
        (row.split()[0], size) for row in rows for size in row.split(maxsplit=1)[1].split(", ")
    ]
    assert sorted(listed) == sorted(PRESETS)
