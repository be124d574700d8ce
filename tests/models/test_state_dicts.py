"""Weights of other training programs with their wrappers, read by separators and `load_weights`."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cmss.errors import InputError
from cmss.models.checkpoint import build, load_checkpoint, load_weights, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.models.weights_file import read_weights, write_weights
from cmss.separators import build_separator
from tests.support.separation import RATE_HZ, noise, sources

TRACK = sources("Violin_1", "Cello")


class Net(nn.Module):
    """Two stems: the mixture multiplied by learned factors."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.Conv1d(2, 4, 1, bias=False))

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        return self.head(mixture).unflatten(1, (2, 2))


TENSORS = {"head.0.weight": torch.tensor([[1, 0], [0, 1], [2, 0], [0, 2]]).float()[..., None]}
SETTINGS = {
    "name": "module", "target": f"{__name__}.Net", "sources": ["Cello", "Violin"],
    "samplerate": RATE_HZ, "device": "cpu",
}  # fmt: skip


def prefixed(prefix: str, tensors=TENSORS, factor: float = 1.0) -> dict[str, torch.Tensor]:
    return {prefix + key: factor * value for key, value in tensors.items()}


def separated(path) -> None:
    separator = build_separator({**SETTINGS, "checkpoint": str(path)}, RATE_HZ)
    separator.prepare(TRACK.values())
    mixture = 0.1 * noise(RATE_HZ // 4)
    stems = separator.separate(mixture, TRACK)
    np.testing.assert_allclose(stems["source_1"], 2 * mixture, rtol=0, atol=1e-6)  # Violin
    np.testing.assert_allclose(stems["source_2"], mixture, rtol=0, atol=1e-6)


OPTIMISER = {"state": {0: {"exp_avg": torch.zeros(4), "step": torch.tensor(3.0)}}}


@pytest.mark.parametrize(
    "content",
    [
        prefixed("module."),
        prefixed("_orig_mod."),
        prefixed("module._orig_mod."),
        prefixed("_orig_mod.module."),
        prefixed("trainer.student.net."),
        {"head._orig_mod.0.weight": TENSORS["head.0.weight"]},
        {"model_state_dict": prefixed("module."), "optimizer": OPTIMISER, "step": 7},
        {"state_dict": prefixed("model."), "epoch": 3, "optimizer_states": [OPTIMISER]},
        {"state_dict": {**prefixed("net.core."), "loss.weight": torch.ones(2)}, "epoch": 3},
        # Equal weights, as those of an average after one step, are not ambiguous.
        {"model": TENSORS, "ema": prefixed("module.")},
    ],
)
def test_unambiguous_weights_are_loaded(content, tmp_path):
    torch.save(content, tmp_path / "weights.ckpt")
    separated(tmp_path / "weights.ckpt")


def test_a_safetensors_file_may_have_a_prefix_too(tmp_path):
    save_file(prefixed("module."), tmp_path / "weights.safetensors")
    separated(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {**prefixed("model."), **prefixed("ema_model.", factor=0.9)}},
            "several sets of weights fit .*'state_dict: model.' and 'state_dict: ema_model.'",
        ),
        ({"model": TENSORS, "ema": prefixed("", factor=0.9)}, "several .*'model' and 'ema'"),
        (
            {**prefixed("module."), "module.tail.bias": torch.ones(2)},
            r"with the prefix 'module\.' 1 of 1 names, 'tail\.bias' is not among them",
        ),
        ({"module.head.0.weight": torch.ones(4, 2, 3)}, "size mismatch for head.0.weight"),
        ({"epoch": 3}, "no state_dict"),
    ],
)
def test_ambiguous_or_unfitting_weights_are_refused_with_the_prefix(content, message, tmp_path):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=message) as caught:
        separated(tmp_path / "weights.pt")
    (line,) = caught.value.problems
    assert line.startswith(f"{tmp_path / 'weights.pt'}: ")


def test_wrapped_weights_of_a_training_and_of_a_separator(tmp_path):
    arguments = {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1}
    torch.manual_seed(1)
    given, other = (build("fourier_convtasnet", arguments) for _ in range(2))
    state = given.state_dict()
    torch.save({"state_dict": prefixed("network.module.", state)}, tmp_path / "last.ckpt")
    load_weights(tmp_path / "last.ckpt", other)
    for key, value in state.items():
        assert torch.equal(other.state_dict()[key], value), key
    # A checkpoint of this project with the prefix of another trainer.
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, "fourier_convtasnet", given)
    tensors, header = read_weights(path)
    write_weights(path, prefixed("module.", tensors), header)
    for key, value in state.items():
        assert torch.equal(load_checkpoint(path).state_dict()[key], value), key
    build_separator({"name": "convtasnet", "weights_from": str(path), "device": "cpu"}, RATE_HZ)
