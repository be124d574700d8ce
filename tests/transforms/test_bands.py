import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.transforms.bands import band_interpolation, stretch, unwarp, warp


@settings(deadline=None, max_examples=100)
@given(bins=st.integers(2, 1500), Q=st.integers(1, 300))
def test_a_value_in_all_bands_is_that_value_in_all_bins(bins, Q):
    weights = band_interpolation(bins, Q)
    assert weights.shape[0] == bins
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(bins), rtol=0, atol=1e-6)
    assert (weights.sum(0) > 0).all()  # no band without a bin, which features divide by
    assert ((weights > 0).sum(1) <= 2).all()  # interpolation between neighbours


def test_low_bins_are_bands_of_their_own_and_high_ones_are_shared():
    weights = band_interpolation(1025, 150)
    assert torch.equal(weights[:150, :150], torch.eye(150))
    widths = (weights > 0.5).sum(0)
    assert widths[-50:].float().mean() == pytest.approx(1025 / 150, rel=0.2)


# The warped axis.


def warped_image(image: np.ndarray, points: int, unwarped: bool) -> torch.Tensor:
    """Warp as the authors do: the spectrogram is an image, sampled on a warped grid."""
    height = np.linspace(-1, 1, points)
    bent = np.log(height * 10 + 11) / np.log(21) * 2 - 1 if unwarped else (
        np.power(21, (height + 1) / 2) - 11) / 10  # fmt: skip
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, image.shape[1]), bent), -1)
    sampled = F.grid_sample(
        torch.from_numpy(image)[None, None], torch.from_numpy(grid)[None], align_corners=True
    )
    return sampled[0, 0]


@pytest.mark.parametrize(("bins", "bands"), [(512, 256), (1025, 320), (40, 8), (8, 40)])
def test_warping_is_sampling_on_a_bent_grid(bins, bands):
    rng = np.random.default_rng(0)
    spectrum, banded = rng.random((bins, 5)), rng.random((bands, 5))
    expected = warped_image(spectrum, bands, unwarped=False)
    got = warp(bins, bands).double().T @ torch.from_numpy(spectrum)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)  # weights are single precision
    expected = warped_image(banded, bins, unwarped=True)
    got = unwarp(bins, bands).double() @ torch.from_numpy(banded)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(bins=st.integers(2, 1200), bands=st.integers(2, 400))
def test_warping_there_and_back_keeps_what_is_constant_and_what_lies_at_the_ends(bins, bands):
    there, back = warp(bins, bands), unwarp(bins, bands)
    assert there.shape == back.shape == (bins, bands)
    for weights, axis in ((there, 0), (back, 1)):
        assert (weights >= 0).all()
        sums = weights.sum(axis)
        torch.testing.assert_close(sums, torch.ones_like(sums), rtol=0, atol=1e-6)
        # An end stays an end, to the rounding of a logarithm times the number of points.
        assert weights[0, 0] == pytest.approx(1)
        assert weights[-1, -1] == pytest.approx(1, abs=1e-5)


def test_a_smooth_spectrum_survives_warping_there_and_back():
    hz = torch.linspace(0, 1, 512)
    smooth = torch.cos(4 * hz) + hz
    back = unwarp(512, 256) @ (warp(512, 256).T @ smooth)
    # Between points one bin, or at the top six bins, apart: a step squared times the curvature / 8.
    torch.testing.assert_close(back, smooth, rtol=0, atol=16 / 8 * (7 / 512) ** 2)


@pytest.mark.parametrize("factor", [1 / 3, 0.5, 1, 2, 5])
def test_stretching_reads_a_spectrum_off_at_multiples_of_frequency(factor):
    share = torch.linspace(0, 1, 2049)

    def spectrum(f):
        return torch.cos(8 * torch.log1p(20 * f))  # smooth in bands, so that interpolation is exact

    bands = warp(2049, 512).T
    expected = torch.where(
        factor * (bands @ share) <= 1, spectrum(factor * (bands @ share)), torch.zeros(512)
    )
    got = stretch(512, factor) @ (bands @ spectrum(share))
    # Between two bands a cosine of 25 rad over 511 steps is a straight line but for (25/511)^2 / 8;
    # twice, from bins to bands and to harmonics. At the edge rounding may decide whether it is in.
    inside = (factor * (bands @ share) - 1).abs() > 1e-4
    assert (got - expected)[inside].abs().max() < 2e-3
