"""The differentiable hearing aid: equal output to the exact one, and its gradient."""

import numpy as np
import pytest
import torch

from cmss.hearing.differentiable.torch_hearing_aid import amplified
from cmss.hearing.hearing_aid import HearingAid
from cmss.scenes import Compression

DEVICE = HearingAid(
    crossover_frequencies=(353.55, 707.11, 1414.21, 2828.43, 5656.85),
    attack=(11, 11, 14, 13, 11, 11),
    release=(80, 80, 80, 80, 100, 100),
    threshold=-30.0,
)
EARS = [
    Compression((), (2.1, 1.5, 1.3, 1.5, 2.4, 3.7), (9.6, 11.9, 12.9, 16.4, 19.0, 28.0)),
    Compression((), (1.0,) * 6, (0.0,) * 6),
]


def sound(samples, seed=0):
    """Loud enough to be compressed in some bands and at some times."""
    swell = np.linspace(0, 0.4, samples)
    return torch.as_tensor(swell * np.random.default_rng(seed).standard_normal((2, samples)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward_is_the_hearing_aid(dtype):
    signal = sound(3000).to(dtype)
    output = amplified(signal, DEVICE, EARS)
    assert output.dtype == dtype
    for ear in range(2):
        expected = torch.as_tensor(DEVICE.amplify_ear(signal[ear].numpy(), EARS[ear])).to(dtype)
        torch.testing.assert_close(output[ear], expected, rtol=0, atol=0)


def test_gradient_is_that_of_finite_differences():
    """Compare along a random direction, with a step above the rounding of the filters."""
    signal, direction, weights = sound(1500), sound(1500, 1), sound(1500, 2)
    leaf = signal.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((amplified(leaf, DEVICE, EARS) * weights).sum(), leaf)
    step = 1e-4
    above, below = (amplified(signal + s * direction, DEVICE, EARS) for s in (step, -step))
    expected = ((above - below) / (2 * step) * weights).sum(1)
    torch.testing.assert_close((gradient * direction).sum(1), expected, rtol=1e-3, atol=0)


def test_compression_makes_the_gradient_differ_from_a_fixed_gain():
    """In the steady state above threshold, 1 dB more input gives 1 / ratio dB more output."""
    device = HearingAid((353.55,), attack=1.0, release=1.0, threshold=-60.0)
    ear = Compression((), (4.0, 4.0), (0.0, 0.0))
    signal = torch.full((1, 4000), 0.1, dtype=torch.float64)
    gain = torch.ones((), dtype=torch.float64, requires_grad=True)
    output = amplified(gain * signal, device, [ear])[0, -1]
    (slope,) = torch.autograd.grad(torch.log(output), gain)
    assert slope.item() == pytest.approx(1 / 4, abs=1e-3)
