"""Choice of the device on which networks run; stand-ins take the place of GPUs."""

import pytest
import torch

from cmss.machine.device import device_named, devices
from cmss.separators import build_separator


def has_gpu(monkeypatch, kind: str) -> None:
    """Make PyTorch report a GPU of this type, whose tensors are stored in the main memory."""
    empty = torch.empty
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device(kind))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "empty", lambda *size, device=None, **more: empty(*size, **more))  # noqa: ARG005


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_a_gpu_is_chosen_where_present(kind, monkeypatch):
    has_gpu(monkeypatch, kind)
    assert devices() == ["cpu", kind, f"{kind}:0"]
    assert device_named(None) == torch.device(kind)
    assert device_named("cpu") == torch.device("cpu")


def test_a_separator_is_placed_on_the_gpu_of_a_mac(monkeypatch):
    has_gpu(monkeypatch, "mps")
    placed = []
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *to, **_: placed.append(to) or module)
    separator = build_separator({"name": "convtasnet"}, 44100)
    separator.prepare([])
    assert (torch.device("mps"),) in placed


def test_other_accelerators_are_used_only_if_named(monkeypatch):
    has_gpu(monkeypatch, "xpu")
    assert device_named(None) == torch.device("cpu")
    assert device_named("xpu") == torch.device("xpu")
