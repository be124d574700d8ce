"""The memory layout of images changes the time of convolutions, but not their results."""

import pytest
import torch

from cmss.machine import image_layout as module
from cmss.machine.image_layout import image_layout
from cmss.models.registry import models

FIRST, LAST = torch.contiguous_format, torch.channels_last
SIZES = {
    "multichannel_unet": {"dims": (4, 6, 8), "bands": 64, "n_fft": 512, "hop": 128, "dropout": 0},
    "arunet": {"filters": (4, 6), "bottleneck": 8, "L": 64, "hop": 16, "masks": True},
}


@pytest.mark.parametrize(
    ("device", "gradient", "bfloat16", "expected"),
    [
        ("cpu", True, False, FIRST),
        ("cpu", True, True, LAST),
        ("cpu", False, False, LAST),
        ("cuda", True, False, LAST),
    ],
)
def test_layout_of_each_kind_of_computation(device, gradient, bfloat16, expected):
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16), torch.set_grad_enabled(gradient):
        assert image_layout(torch.device(device)) == expected


@pytest.mark.parametrize("name", SIZES)
def test_layouts_give_the_same_estimates_and_gradients(name, monkeypatch):
    torch.manual_seed(3)
    network, arguments = models()[name]
    model = network(arguments(sources=("a", "b"), samplerate=8000, **SIZES[name]))
    mixture = torch.randn(2, 2, 3000)
    results = []
    for layout in (FIRST, LAST):
        monkeypatch.setattr(f"cmss.models.{name}.image_layout", lambda _, layout=layout: layout)
        estimates = model(mixture)
        gradients = torch.autograd.grad(estimates[:, 0].square().sum(), model.parameters())
        # Gradients of biases before a batch normalisation are 0, and only rounding remains in them.
        # Therefore, the norm of all gradients together is compared.
        results.append((estimates, torch.cat([gradient.flatten() for gradient in gradients])))
    (first, gradient), (last, other) = results
    # Sums in another order differ by rounding. Rounding may change the sign at the input of a ReLU,
    # which changes the gradient more than the output. A wrong layout would change both by > 0.3.
    assert (first - last).norm() <= 1e-3 * first.norm()
    assert (gradient - other).norm() <= 0.03 * gradient.norm()


def test_a_training_uses_channels_first(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cmss.models.multichannel_unet.image_layout",
        lambda device: seen.append(module.image_layout(device)) or seen[-1],
    )
    network, arguments = models()["multichannel_unet"]
    model = network(arguments(sources=("a", "b"), **SIZES["multichannel_unet"]))
    model(torch.randn(1, 2, 3000))
    with torch.inference_mode():
        model(torch.randn(1, 2, 3000))
    assert seen == [FIRST, LAST]
