import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import ShortTimeFFT

from cmss.transforms.stft import istft, stft


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@settings(deadline=None, max_examples=60)
@given(
    samples=st.integers(1, 300),
    length=st.sampled_from((16, 32, 50)),
    overlapping=st.integers(2, 8),
)
def test_what_was_analysed_is_reconstructed(samples, length, overlapping):
    signal, window = noise(3, 2, samples), torch.hann_window(length, dtype=torch.float64)
    spectra = stft(signal, window, length // overlapping)
    back = istft(spectra, window, length // overlapping, samples)
    # At half overlap the squared windows sum to as little as 1e-4 at the end.
    torch.testing.assert_close(back, signal, rtol=0, atol=1e-9)


@pytest.mark.parametrize("make_window", [torch.hann_window, torch.hamming_window])
@pytest.mark.parametrize("samples", [1, 63, 64, 65, 200, 257])
def test_equals_scipy(samples, make_window):
    signal, window = noise(2, samples), make_window(64, dtype=torch.float64)
    spectra = stft(signal, window, 16)
    oracle = ShortTimeFFT(window.numpy(), 16, fs=1.0, phase_shift=None)
    # scipy wants half a window at least; zeros at the end change no frame.
    padded = np.pad(signal.numpy(), ((0, 0), (0, 64)))
    expected = oracle.stft(padded, p0=0, p1=1 + samples // 16)
    np.testing.assert_allclose(spectra.numpy(), expected, rtol=0, atol=1e-12)


def test_leading_axes_are_kept():
    window = torch.hann_window(16, dtype=torch.float64)
    signal = noise(2, 3, 4, 40)
    spectra = stft(signal, window, 4)
    assert spectra.shape == (2, 3, 4, 9, 11)
    torch.testing.assert_close(spectra[1, 2, 3], stft(signal[1, 2, 3], window, 4))
    assert istft(spectra[1, 2, 3], window, 4, 40).shape == (40,)


def test_the_first_frame_is_centred_on_the_first_sample():
    signal = torch.zeros(100)
    signal[40] = 1.0
    magnitudes = stft(signal, torch.hann_window(32), 8).abs().sum(0)
    assert magnitudes.argmax() == 40 // 8
