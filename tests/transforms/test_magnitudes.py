"""Magnitudes of the short-time Fourier transform and their gradient."""

import pytest
import torch

from cmss.transforms.magnitudes import stft_magnitudes
from cmss.transforms.stft import stft

FLOOR = torch.tensor(1e-3, dtype=torch.float64)


@pytest.mark.parametrize("samples", [1, 7, 64, 65, 200])
def test_magnitudes_are_those_of_the_transform(samples):
    signal = torch.randn(3, 2, samples, dtype=torch.float64)
    window = torch.hann_window(32, dtype=torch.float64)
    expected = (stft(signal, window, 8).abs().square() + FLOOR).sqrt().mT
    # Rounding of float64.
    torch.testing.assert_close(
        stft_magnitudes(signal, window, 8, FLOOR), expected, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("samples", [5, 40, 47])
def test_gradient_is_that_of_finite_differences(samples):
    signal = torch.randn(2, samples, dtype=torch.float64, requires_grad=True)
    window = torch.hamming_window(16, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: stft_magnitudes(x, window, 4, FLOOR), signal)


def test_gradient_is_that_of_automatic_differentiation():
    signal = torch.randn(2, 900, dtype=torch.float64, requires_grad=True)
    window = torch.hann_window(128, dtype=torch.float64)
    power = torch.view_as_real(stft(signal, window, 32)).square().sum(-1)
    (expected,) = torch.autograd.grad((power + FLOOR).sqrt().log().sum(), signal)
    (got,) = torch.autograd.grad(stft_magnitudes(signal, window, 32, FLOOR).log().sum(), signal)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
