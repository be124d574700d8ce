import numpy as np
import pytest
import torch

from cmss.transforms.masks import (
    MASK_FLOOR,
    channel_log_masks,
    channel_masks,
    log_masks,
    log_odds,
    ratio_masks,
    silent_sources,
)


def spectra(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.cdouble, generator=torch.Generator().manual_seed(seed))


def test_shares_are_of_the_root_mean_square_of_both_channels():
    estimates = spectra(3, 2, 5, 4)
    magnitude = np.sqrt(np.mean(np.abs(estimates.numpy()) ** 2, 1))
    expected = magnitude / magnitude.sum(0)
    np.testing.assert_allclose(ratio_masks(estimates), expected, rtol=1e-12)
    np.testing.assert_allclose(log_masks(estimates), np.log(expected + MASK_FLOOR), rtol=1e-12)


def test_channels_have_shares_of_their_own():
    estimates = spectra(3, 2, 5, 4)
    magnitude = estimates.abs().numpy()
    expected = np.log(magnitude / magnitude.sum(0) + MASK_FLOOR)
    np.testing.assert_allclose(channel_log_masks(estimates), expected, rtol=1e-12)


@pytest.mark.parametrize("logarithms", [log_masks, channel_log_masks])
def test_a_source_that_is_silent_throughout_has_no_chance_unless_all_are(logarithms):
    estimates = spectra(3, 2, 5, 4)
    estimates[1] = 0
    assert (logarithms(estimates)[1] == -torch.inf).all()
    np.testing.assert_allclose(logarithms(0 * estimates), np.log(MASK_FLOOR))


@pytest.mark.parametrize("sources", [2, 4])
def test_odds_are_against_all_others_together(sources):
    values = np.random.default_rng(0).lognormal(size=(sources, 6))
    expected = [np.log(values[s] / np.delete(values, s, 0).sum(0)) for s in range(sources)]
    np.testing.assert_allclose(log_odds(torch.from_numpy(values), 9.0), expected, rtol=1e-12)


def test_odds_end_at_the_limit_on_either_side():
    values = torch.tensor([[1.0], [1e-30], [1e-20]])
    np.testing.assert_allclose(log_odds(values, 9.0), [[9], [-9], [-9]], rtol=1e-6)
    np.testing.assert_allclose(log_odds(values[:1], 9.0), [[9]], rtol=1e-6)


@pytest.mark.parametrize("silent", [(), (1,), (0, 2), (0, 1, 2)])
def test_masks_without_logarithms_are_the_softmax_of_the_log_masks(silent):
    estimates = spectra(3, 2, 5, 40)
    estimates[list(silent)] = 0
    estimates[..., 3] = 0
    found = channel_masks(estimates, silent_sources(estimates))
    torch.testing.assert_close(found, channel_log_masks(estimates).softmax(0))


@pytest.mark.parametrize("frame", [0, 23, 24, 60, 99])
def test_a_single_sound_in_any_frame_is_not_silence(frame):
    estimates = torch.zeros(2, 2, 5, 100, dtype=torch.cfloat)
    estimates[1, 0, 4, frame] = 1e-30j
    assert silent_sources(estimates).tolist() == [True, False]
