"""Choice of the device on which networks run; stand-ins take the place of GPUs."""

import numpy as np
import pytest
import torch

import cmss
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


# Devices of the Python functions.

NOISE = 0.1 * np.random.default_rng(3).standard_normal((22050, 2))


def separate(**options):
    return cmss.separate(NOISE, 44100, ["Violin", "Cello"], separator="convtasnet", **options)


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_a_gpu_that_is_missing_is_refused_in_a_line(name, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(cmss.InputError) as caught:
        separate(device=name)
    assert caught.value.problems == (f"device: expected None or one of cpu, got {name!r}",)


def test_a_gpu_that_does_not_work_is_refused_in_a_line(monkeypatch):
    has_gpu(monkeypatch, "cuda")

    def fail(*size, device=None):  # noqa: ARG001
        raise RuntimeError("the driver is too old\nSee the manual.")

    monkeypatch.setattr(torch, "empty", fail)
    with pytest.raises(cmss.InputError) as caught:
        separate(device="cuda")
    assert caught.value.problems == ("device: 'cuda' does not work: the driver is too old",)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize(
    ("kind", "device", "used"),
    [
        ("cuda", "cuda", "cuda"),
        ("cuda", "cuda:0", "cuda:0"),
        ("cuda", torch.device("cuda", 0), "cuda:0"),
        ("cuda", None, "cuda"),
        ("mps", "mps", "mps"),
        ("mps", None, "mps"),
        ("mps", "cpu", "cpu"),
    ],
)
def test_networks_and_signals_are_placed_on_the_device(kind, device, used, monkeypatch):
    has_gpu(monkeypatch, kind)
    networks, signals = [], []
    to, original_zeros = torch.Tensor.to, torch.zeros

    def place(signal, target, *more, **options):
        if not isinstance(target, torch.device):
            return to(signal, target, *more, **options)
        signals.append(target)
        return signal

    def zeros(*size, device=None, **options):
        if device is not None:
            signals.append(device)
        return original_zeros(*size, **options)

    monkeypatch.setattr("cmss.separators.estimators.torch.zeros", zeros)
    monkeypatch.setattr(torch.Tensor, "to", place)
    monkeypatch.setattr(torch.nn.Module, "to", lambda net, *to, **_: networks.extend(to) or net)
    stems = separate(device=device)
    assert set(networks) == {torch.device(used)}
    assert torch.device(used) in signals
    assert set(signals) <= {torch.device(used), torch.device("cpu")}
    np.testing.assert_allclose(stems["Violin"] + stems["Cello"], NOISE, rtol=0, atol=1e-15)
