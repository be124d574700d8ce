"""The post-filter as a step behind a separator, with the package's weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.errors import InputError
from cmss.models.postfilter_network import load_postfilter
from cmss.run.configuration import default_separator
from cmss.separators import build_separator
from cmss.separators.spectra import on_spectra
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.postfilter import PACKAGED, PostfilterStep
from tests.support.separation import RATE_HZ, Fixed, noise, sorting, sources, spectra
from tests.support.two_players import two_players


def filtering(*estimates: np.ndarray) -> Stepped:
    return Stepped(Fixed(*estimates), [PostfilterStep("small")])


def test_the_packages_weights_leave_good_estimates_good():
    """They were trained behind the step by direction, on estimates of about 10 dB."""
    truth = 0.01 * two_players()
    guess = 0.7 * truth + 0.3 * truth[::-1]
    track = sources("Oboe", "Flute")
    sorted_ones = sorting(Fixed(*guess)).separate(truth.sum(0), track)
    stems = filtering(*sorted_ones.values()).separate(truth.sum(0), track)

    def sdr(estimates) -> float:
        error = np.sum((np.stack(list(estimates)) - truth) ** 2)
        return float(10 * np.log10(np.sum(truth**2) / error))

    # 20.0 and 17.1 dB: what it does to estimates that it takes for worse than they are.
    assert sdr(sorted_ones.values()) > 18
    assert sdr(stems.values()) > 15


@pytest.mark.parametrize("samples", [1, 1000, 44100])
def test_stems_sum_to_the_mixture(samples):
    mixture = noise(samples)
    stems = filtering(noise(samples, seed=2), mixture).separate(mixture, sources("Oboe", "Flute"))
    # Rounding to float32.
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=1e-5)


def test_players_of_one_instrument_are_corrected_like_others():
    truth = 0.01 * two_players()
    guess = 0.7 * truth + 0.3 * truth[::-1]
    duet, unlike = (
        np.stack(list(filtering(*guess).separate(truth.sum(0), sources(*played)).values()))
        for played in (("Violin", "Violin"), ("Oboe", "Flute"))
    )
    np.testing.assert_array_equal(duet, unlike)
    assert np.abs(duet - guess).max() > 0.1 * np.abs(truth).max()


@pytest.mark.parametrize("factor", [1e-4, 1e2])
def test_levels_do_not_matter(factor):
    mixture, estimate, factor = noise(20000), noise(20000, seed=3), np.float32(factor)
    track = sources("Oboe", "Flute")
    one = filtering(estimate, mixture).separate(mixture, track)
    other = filtering(factor * estimate, factor * mixture).separate(factor * mixture, track)
    # Float32 rounding of inputs, through the network.
    np.testing.assert_allclose(other["source_1"] / factor, one["source_1"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [22050, 32000])
def test_it_works_at_other_sampling_rates(rate_hz):
    fixed = Fixed(noise(20000, seed=3), noise(20000))
    fixed.sample_rate_hz = rate_hz
    mixture = noise(20000)
    stems = Stepped(fixed, [PostfilterStep()]).separate(mixture, sources("Oboe", "Flute"))
    np.testing.assert_allclose(sum(stems.values()), mixture, rtol=0, atol=1e-5)


def test_it_stands_behind_the_default_and_its_weights_are_told():
    separator = build_separator(default_separator(), RATE_HZ)
    names = [Path(path).stem for path in separator.weights]
    assert names[-2:] == ["postfilter_small", "postfilter_second_small"]


def test_several_stand_behind_one_another():
    mixture, track = noise(20000), sources("Oboe", "Flute")
    fixed = Fixed(noise(20000, seed=3), noise(20000, seed=4))
    once = Stepped(fixed, [PostfilterStep("small")])
    networks = [load_postfilter(Path(path)) for n in PACKAGED for path in PostfilterStep(n).weights]

    # A transform for each: a post-filter needs the spectra of signals.
    twice = fixed.estimates
    for network in networks:
        with torch.inference_mode():
            twice = on_spectra(network, mixture, twice, 8192)
    steps = [{"name": "postfilter", "weights_from": name} for name in ("small", "second_small")]
    separator = build_separator({"name": "oracle", "steps": steps}, RATE_HZ)
    separator.separator = fixed
    stems = separator.separate(mixture, track)
    np.testing.assert_array_equal(stems["source_1"], twice[0])
    assert np.abs(stems["source_1"] - once.separate(mixture, track)["source_1"]).max() > 0.01


@pytest.mark.parametrize("bins", [64, 700, 1536])
def test_masks_above_the_corrected_bins_stay(bins):
    X = spectra(2, 4097, 30).to(torch.complex64)
    masks = 0.1 + torch.rand(3, 2, 4097, 30, generator=torch.Generator().manual_seed(3))
    Y = masks / masks.sum(0) * X
    step = PostfilterStep(bins=bins)
    changed = step.apply(X, Y.clone(), step.learn(X, Y))
    # MASK_FLOOR, 1e-4, is added to each mask, and a bin has a magnitude of a few units.
    torch.testing.assert_close(changed[:, :, bins:], Y[:, :, bins:], rtol=0, atol=1e-3)
    moved = (changed - Y)[:, :, :bins].abs().square().mean((0, 1, 3)).sqrt()
    assert (moved > 1e-2).float().mean() > 0.9
    whole = PostfilterStep().apply(X, Y.clone(), step.learn(X, Y)) if bins == 1536 else changed
    torch.testing.assert_close(changed, whole, rtol=0, atol=0)


def test_more_bins_than_in_the_training_are_refused():
    with pytest.raises(
        InputError, match=r"postfilter_second_small.*: bins: .*at most 1024, got 1025"
    ):
        PostfilterStep("second_small", bins=1025)


def test_nothing_of_nothing():
    separator = build_separator({"name": "passthrough", "steps": [{"name": "postfilter"}]}, RATE_HZ)
    assert separator.separate(noise(1000), sources("Oboe")) == {}
