"""Modules of other packages: as networks, and as separators."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cmss.errors import InputError
from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.module import ModuleArguments, ModuleNetwork
from cmss.separators import build_separator
from cmss.training.mixtures import Batch
from cmss.training.presets import PRESETS
from tests.support.separation import RATE_HZ, noise, sources

TRACK = sources("Violin_1", "Cello")


class Shares(nn.Module):
    """Multiplies the mixture by a factor for each source; the last samples are missing."""

    def __init__(self, shares: tuple[float, ...], short: int = 0) -> None:
        super().__init__()
        if not isinstance(shares, tuple):
            raise TypeError("shares: not a tuple")
        self.shares, self.short = nn.Parameter(torch.tensor(shares)), short

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        stems = self.shares[:, None, None] * mixture.unsqueeze(1)
        return stems[..., : mixture.shape[-1] - self.short]


class NotAModule:
    pass


TARGET = f"{__name__}.Shares"
SETTINGS = {
    "name": "module", "target": TARGET, "arguments": {"shares": [0.0, 0.0]},
    "sources": ["Cello", "Violin"], "samplerate": RATE_HZ, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def weights(tmp_path):
    """Write a state_dict by torch.save, wrapped as by training programs."""
    path = tmp_path / "weights.ckpt"
    torch.save({"epoch": 3, "state_dict": {"shares": torch.tensor([0.25, 0.5])}}, path)
    return path


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_a_state_dict_is_enough(weights, kind):
    path = weights
    if kind == "safetensors":
        path = weights.with_suffix(".safetensors")
        save_file({"shares": torch.tensor([0.25, 0.5])}, path)
    separator = build_separator({**SETTINGS, "checkpoint": str(path)}, RATE_HZ)
    separator.prepare(TRACK.values())
    mixture = 0.1 * noise(RATE_HZ // 3)
    stems = separator.separate(mixture, TRACK)
    np.testing.assert_allclose(stems["source_1"], 0.5 * mixture, rtol=0, atol=1e-7)  # Violin
    np.testing.assert_allclose(stems["source_2"], 0.25 * mixture, rtol=0, atol=1e-7)
    assert list(separator.weights) == [str(path)]


def test_a_checkpoint_of_train_contains_the_arguments(tmp_path):
    path = tmp_path / "best.safetensors"
    arguments = {key: SETTINGS[key] for key in ("target", "arguments", "sources", "samplerate")}
    save_checkpoint(path, "module", build("module", {**arguments, "consistent": True}))
    assert load_checkpoint(path).arguments.arguments == {"shares": (0.0, 0.0)}
    separator = build_separator({"name": "module", "checkpoint": str(path)}, RATE_HZ)
    mixture = 0.1 * noise(2000)
    for stem in separator.separate(mixture, TRACK).values():
        np.testing.assert_allclose(stem, 0.5 * mixture, rtol=0, atol=1e-7)


@torch.no_grad()
def test_short_estimates_are_padded_at_the_end():
    arguments = ModuleArguments(TARGET, ("Cello",), 8000, {"shares": [1.0], "short": 5})
    mixture = torch.randn(1, 2, 50)
    estimate = ModuleNetwork(arguments)(mixture)[:, 0]
    assert torch.equal(estimate[..., :45], mixture[..., :45])
    assert (estimate[..., 45:] == 0).all()


def test_estimates_of_another_shape_are_refused():
    arguments = ModuleArguments(TARGET, ("Cello",), 8000, {"shares": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"returned \(1, 2, 2, 9\) .* expected \(1, 1, 2, 9\)"):
        ModuleNetwork(arguments)(torch.zeros(1, 2, 9))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "Shares"}, "separator.target: 'Shares', expected package.Class"),
        ({"target": "no.such.Thing"}, "separator.target: 'no.such.Thing' .No module named"),
        ({"target": f"{__name__}.NotAModule"}, "NotAModule' is not a module"),
        # Classes that can be imported but are no modules are not called.
        ({"target": "os.system", "arguments": {"command": "false"}}, "'os.system' is not a module"),
        ({"target": None}, "separator.target: missing"),
        ({"samplerate": None}, "separator.samplerate: missing"),
        ({"samplerate": 44.1}, "separator.samplerate: looks like kHz, expected Hz: 44100"),
        ({"samplerate": 16}, "separator.samplerate: looks like kHz, expected Hz: 16000"),
        ({"arguments": {"share": 1}}, "separator.arguments: .*unexpected keyword"),
        ({"arguments": {"shares": [0.0]}}, "weights do not fit .*size mismatch"),
        ({"checkpoint": None}, "separator.checkpoint: missing"),
        ({"checkpoint": "no.ckpt"}, "no.ckpt: no such file"),
        ({"weights_from": "small"}, "separator.weights_from"),
    ],
)
def test_a_mistake_is_one_line(weights, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        build_separator({**SETTINGS, "checkpoint": str(weights), **changes}, RATE_HZ)
    assert len(str(caught.value).splitlines()) == 1


def test_nothing_is_unpickled(tmp_path):
    """A pickle that would write a file when unpickled does not write it."""
    written = tmp_path / "written"

    class Harmful:
        def __reduce__(self):
            return (open, (str(written), "w"))

    torch.save({"state": Harmful()}, tmp_path / "harmful.th")
    settings = {**SETTINGS, "checkpoint": str(tmp_path / "harmful.th")}
    with pytest.raises(InputError, match="objects other than tensors, which are refused"):
        build_separator(settings, RATE_HZ)
    assert not written.exists()


@pytest.mark.parametrize("content", [b"something else", bytes(range(256))])
def test_other_files_are_refused(tmp_path, content):
    """torch.load raises many types of errors, such as IndexError."""
    (tmp_path / "other.th").write_bytes(content)
    settings = {**SETTINGS, "checkpoint": str(tmp_path / "other.th")}
    with pytest.raises(InputError, match=r"other\.th: the file is damaged, or contains objects"):
        build_separator(settings, RATE_HZ)


def test_training_of_bs_roformer_reduces_the_loss():
    """A few steps of a small BS-RoFormer on one batch."""
    pytest.importorskip("bs_roformer")
    torch.manual_seed(0)
    chosen = PRESETS["bs_roformer", "small"]
    model = chosen.build()
    assert model.sample_rate_hz == 16000
    tones = torch.sin(torch.arange(4800) * torch.tensor([[0.1], [0.23]]))
    batch = Batch(0.05 * tones[None, :, None].expand(1, 2, 2, -1), torch.tensor([[0, 1]]),
                  torch.ones(1, 2))  # fmt: skip
    loss, optimiser = chosen.build_loss(), torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        losses.append(loss(model, batch))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]
