import math

import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.transforms.stdct import dct, idct, istdct, stdct
from cmss.transforms.stft import stft

# Differs from scipy's DCT by rounding only.
PRECISION = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)]
)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(1))


def hamming(length: int) -> torch.Tensor:
    return torch.hamming_window(length, dtype=torch.float64)


# The transform of one frame.


@PRECISION
@pytest.mark.parametrize("size", [1, 2, 3, 16, 45, 512, 2048])
def test_dct_equals_scipy(size, dtype, tolerance):
    x = noise(3, size, dtype=dtype)
    x /= x.norm(dim=-1, keepdim=True)  # unit vectors, since errors grow with the sum
    expected = torch.from_numpy(scipy.fft.dct(x.double().numpy(), norm="ortho"))
    torch.testing.assert_close(dct(x).double(), expected, rtol=0, atol=tolerance)
    back = torch.from_numpy(scipy.fft.idct(x.double().numpy(), norm="ortho"))
    torch.testing.assert_close(idct(x).double(), back, rtol=0, atol=tolerance)


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_dct_is_orthonormal(size):
    basis = dct(torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(basis @ basis.T, torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(idct(torch.eye(size, dtype=torch.float64)), basis.T)


def test_a_cosine_of_the_basis_lands_in_its_bin_alone():
    n = torch.arange(128, dtype=torch.float64)
    coefficients = dct(torch.cos(math.pi * 10 * (2 * n + 1) / 256))
    expected = torch.zeros(128, dtype=torch.float64)
    expected[10] = math.sqrt(128 / 2)  # its norm
    torch.testing.assert_close(coefficients, expected, rtol=0, atol=1e-12)


# The transform of a signal.


@settings(deadline=None, max_examples=80)
@given(
    samples=st.integers(1, 300),
    length=st.sampled_from((2, 16, 33, 50)),
    overlapping=st.integers(2, 8),
)
def test_what_was_analysed_is_reconstructed(samples, length, overlapping):
    signal, window = noise(3, 2, samples), hamming(length)
    hop = max(1, length // overlapping)
    coefficients = stdct(signal, window, hop)
    # Nowhere is the sum of squared windows below the square of the window's foot, 0.08.
    torch.testing.assert_close(istdct(coefficients, window, hop, samples), signal, rtol=0,
                               atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("samples", [1, 255, 256, 4001])
def test_reconstruction_at_the_published_size_in_single_precision(samples):
    signal, window = noise(2, samples, dtype=torch.float32), torch.hamming_window(2048)
    back = istdct(stdct(signal, window, 256), window, 256, samples)
    torch.testing.assert_close(back, signal, rtol=0, atol=1e-5)  # of a signal of up to 4


@pytest.mark.parametrize("length", [32, 45])
@pytest.mark.parametrize("samples", [1, 15, 16, 17, 200])
def test_frames_are_those_of_the_stft(length, samples):
    """Each frame has the energy of the STFT's frame, in which most bins count twice."""
    signal, window = noise(2, samples), hamming(length)
    coefficients, spectra = stdct(signal, window, 8), stft(signal, window, 8)
    assert coefficients.shape == (2, length, spectra.shape[-1])
    weight = torch.full((length // 2 + 1, 1), 2.0, dtype=torch.float64)
    weight[0] = 1
    if length % 2 == 0:
        weight[-1] = 1
    energy = (weight * spectra.abs().square()).sum(-2) / length
    torch.testing.assert_close(coefficients.square().sum(-2), energy)


def test_equals_scipy_frame_by_frame():
    signal, window = noise(100), hamming(32)
    padded = torch.nn.functional.pad(signal, (16, 16))
    coefficients = stdct(signal, window, 8)
    assert coefficients.shape == (32, 13)
    for number, frame in enumerate(coefficients.T):
        expected = scipy.fft.dct((padded[8 * number :][:32] * window).numpy(), norm="ortho")
        torch.testing.assert_close(frame, torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_energy_is_kept():
    """Squared periodic Hamming windows, shifted by an eighth of their length, sum to a constant."""
    signal, window = noise(3000), hamming(256)
    signal[:200] = signal[-200:] = 0  # samples that are covered by all windows
    energy = stdct(signal, window, 32).square().sum()
    constant = window.square().sum() / 32
    torch.testing.assert_close(energy, constant * signal.square().sum())


def test_a_tone_peaks_where_its_frequency_lies():
    """Bin k has k / 2 periods in a frame."""
    time = torch.arange(4000, dtype=torch.float64)
    tone = torch.cos(2 * math.pi * 0.1 * time + 1)
    energy = stdct(tone, hamming(512), 64)[:, 8:-8].square().mean(-1)
    assert abs(energy.argmax().item() - 0.1 * 2 * 512) <= 1


def test_the_first_frame_is_centred_on_the_first_sample():
    signal = torch.zeros(100)
    signal[40] = 1.0
    energy = stdct(signal, torch.hamming_window(32), 8).square().sum(0)
    assert energy.argmax() == 40 // 8


def test_the_inverse_of_what_no_signal_has_is_the_nearest_signal():
    """The inverse is a least-squares solution: its error is orthogonal to all signals."""
    window, wanted = hamming(16), noise(16, 11)
    reached = stdct(istdct(wanted, window, 4, 40), window, 4)
    other = stdct(noise(40), window, 4)
    assert abs(((wanted - reached) * other).sum().item()) < 1e-12
    assert (wanted - reached).norm() > 1


def test_leading_axes_are_kept():
    window, signal = hamming(16), noise(2, 3, 4, 40)
    coefficients = stdct(signal, window, 4)
    assert coefficients.shape == (2, 3, 4, 16, 11)
    torch.testing.assert_close(coefficients[1, 2, 3], stdct(signal[1, 2, 3], window, 4))
    assert istdct(coefficients, window, 4, 40).shape == signal.shape
    assert istdct(coefficients[1, 2, 3], window, 4, 40).shape == (40,)


def test_gradients():
    window, signal = hamming(8), noise(2, 13).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stdct(x, window, 3), signal)
    coefficients = noise(2, 8, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: istdct(x, window, 3, 13), coefficients)


@pytest.mark.parametrize("hop", [0, 9, 16])
def test_a_hop_that_leaves_samples_out_is_refused(hop):
    with pytest.raises(ValueError, match=rf"1 to 8 \(half of the window\), got {hop}"):
        stdct(noise(40), hamming(16), hop)
