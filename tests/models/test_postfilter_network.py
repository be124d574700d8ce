"""The post-filter: what it promises whatever its weights are, and its file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.errors import InputError
from cmss.models.checkpoint import save_checkpoint
from cmss.models.postfilter_features import FEATURES, features_of
from cmss.models.postfilter_network import (
    MODEL,
    Postfilter,
    PostfilterArguments,
    at_multiple,
    load_postfilter,
)
from cmss.models.postfilter_stream import STREAM_FRAMES
from cmss.transforms.masks import channel_log_masks

SMALL = PostfilterArguments(bins=60, channels=4, dilations=((1, 1), (2, 3)))


def spectra(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.cfloat, generator=torch.Generator().manual_seed(seed))


def filter_of(arguments: PostfilterArguments = SMALL) -> Postfilter:
    """One that does something."""
    torch.manual_seed(0)
    network = Postfilter(arguments).eval()
    torch.nn.init.normal_(network.last.weight, std=10.0)
    return network


@torch.inference_mode()
def filtered(mixture: torch.Tensor, estimates: torch.Tensor, network=None) -> np.ndarray:
    return (network or filter_of())(mixture, estimates.clone()).numpy()


def test_it_begins_as_no_filter_at_all():
    mixture, estimates = spectra(2, 90, 7), spectra(3, 2, 90, 7, seed=2)
    expected = channel_log_masks(estimates).softmax(0) * mixture
    got = filtered(mixture, estimates, Postfilter(SMALL))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-5)


def test_it_does_something_below_its_highest_bin_alone():
    mixture, estimates = spectra(2, 90, 7), spectra(3, 2, 90, 7, seed=2)
    before, after = (filtered(mixture, estimates, n) for n in (Postfilter(SMALL), filter_of()))
    np.testing.assert_array_equal(before[:, :, 60:], after[:, :, 60:])
    assert np.abs(before - after)[:, :, :60].mean() > 0.1 * np.abs(before).mean()


def test_channels_may_have_shares_of_their_own():
    mixture, estimates = spectra(2, 60, 7), spectra(3, 2, 60, 7, seed=2)
    shares = filtered(mixture, estimates) / mixture.numpy()
    assert np.abs(shares[:, 0] - shares[:, 1]).max() > 0.1


@pytest.mark.parametrize("sources", [1, 2, 5])
def test_estimates_sum_to_the_mixture(sources):
    mixture, estimates = spectra(2, 90, 7), spectra(sources, 2, 90, 7, seed=2)
    # Rounding of the softmax to float32.
    got = filtered(mixture, estimates).sum(0)
    np.testing.assert_allclose(got, mixture.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("silent", [[0], [1], [0, 2]])
def test_what_is_estimated_as_silent_stays_silent(silent):
    mixture, estimates = spectra(2, 90, 7), spectra(4, 2, 90, 7, seed=2)
    estimates[silent] = 0
    got = filtered(mixture, estimates)
    assert not got[silent].any()
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got.sum(0), mixture.numpy(), rtol=0, atol=1e-5)


def test_silence_gives_silence():
    silence = torch.zeros(2, 90, 7, dtype=torch.cfloat)
    assert not filtered(silence, torch.zeros(3, 2, 90, 7, dtype=torch.cfloat)).any()


def test_the_order_of_the_sources_does_not_matter():
    mixture, estimates = spectra(2, 90, 7), spectra(4, 2, 90, 7, seed=2)
    order = [2, 0, 3, 1]
    got = filtered(mixture, estimates[order])
    # Sums over sources in another order.
    np.testing.assert_allclose(got, filtered(mixture, estimates)[order], rtol=0, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_levels_do_not_matter(factor):
    mixture, estimates = spectra(2, 90, 7), spectra(3, 2, 90, 7, seed=2)
    got = filtered(factor * mixture, factor * estimates) / factor
    np.testing.assert_allclose(got, filtered(mixture, estimates), rtol=0, atol=1e-4)


def test_two_players_that_share_an_estimate_still_do():
    mixture, estimates = spectra(2, 90, 7), spectra(3, 2, 90, 7, seed=2)
    estimates[1] = estimates[0]
    got = filtered(mixture, estimates)
    np.testing.assert_allclose(got[0], got[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("last", [(2, 3), (2, STREAM_FRAMES), (1, 2 * STREAM_FRAMES)])
def test_a_long_signal_in_pieces_is_as_in_one(last):
    """The kernels reach fewer frames, or more, than a piece has."""
    frames = 2 * STREAM_FRAMES + 5
    mixture, estimates = spectra(2, 60, frames), spectra(2, 2, 60, frames, seed=2)
    network = filter_of(replace(SMALL, dilations=((1, 1), last)))
    with torch.inference_mode():
        corrections = network.corrections(features_of(mixture, estimates))
        whole = (channel_log_masks(estimates) + corrections).softmax(0)
    # Kernels for another number of frames may add up in another order.
    np.testing.assert_allclose(
        filtered(mixture, estimates, network), (whole * mixture).numpy(), rtol=0, atol=1e-4
    )


def test_clues_of_a_source_that_plays_alone_on_one_side():
    mixture = torch.stack([spectra(60, 7), torch.zeros(60, 7)])
    estimates = torch.stack([mixture, torch.zeros_like(mixture)])
    told = features_of(mixture, estimates)
    assert told.shape == (2, FEATURES, 60, 7)
    assert torch.isfinite(told).all()
    odds, sides = 3 * told[:, 0], 3 * told[:, 8:10]
    np.testing.assert_allclose(
        odds[0], 9.0
    )  # the limit; of the other the log of MASK_FLOOR is beyond
    np.testing.assert_allclose(odds[1], -9.0)
    assert (sides[0] > 1).all()


@pytest.mark.parametrize("times", [2.0, 0.5, 1.5, 1 / 3])
def test_a_multiple_of_a_frequency_is_found_between_bins(times):
    at = torch.arange(60.0)
    got = at_multiple(at[None, None, :, None], times, 60)[0, 0, :, 0]
    inside = at * times < 59
    # A ramp, between whose bins straight lines are exact but for rounding.
    np.testing.assert_allclose(got[inside], (at * times)[inside], rtol=1e-6)
    assert not got[~inside].any()
    lower = at_multiple(at[None, None, :, None], times, 25)[0, 0, :, 0]
    np.testing.assert_array_equal(lower, got[:25])


@pytest.mark.parametrize("frames", [7, 2 * STREAM_FRAMES + 5])
def test_fewer_corrected_bins_see_the_same_features(frames):
    mixture, estimates = spectra(2, 90, frames), spectra(3, 2, 90, frames, seed=2)
    network = filter_of(replace(SMALL, relatives=(2.0, 0.5)))
    whole, narrow = (filtered(mixture, estimates, n) for n in (network, network.narrowed(40)))
    # Kernels reach 1 + 2 bins across the highest corrected bin, and round differently.
    np.testing.assert_allclose(narrow[:, :, :37], whole[:, :, :37], rtol=0, atol=1e-4)
    assert np.abs(narrow - whole)[:, :, 40:60].max() > 0.1


def test_partials_that_stand_and_fall_together_are_looked_at():
    """A clue at one bin reaches half and twice its frequency, as far as no kernel does."""
    network = filter_of(replace(SMALL, relatives=(2.0, 0.5)))
    told = torch.zeros(2, FEATURES, 60, 7)
    with torch.inference_mode():
        before = network.corrections(told)
        told[0, 0, 28, 3] = 1.0
        changed = (network.corrections(told) != before).any(1).any(0).any(-1).numpy()
    reach = 1 + 2
    expected = [28 + i for i in range(-reach, reach + 1)]
    expected += [bin_ + i for bin_ in (14, 55, 56, 57) for i in range(-reach, reach + 1)]
    assert set(np.flatnonzero(changed)) == {bin_ for bin_ in expected if bin_ < 60}


def test_one_that_begins_like_another_is_no_filter_yet_and_has_its_layers():
    other = filter_of()
    network = Postfilter(replace(SMALL, bins=50, relatives=(2.0,)))
    network.begin_like(other)
    told = torch.randn(2, FEATURES, 50, 7, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert not network.corrections(told).any()
        network.last.load_state_dict(other.last.state_dict())
        got, expected = network.corrections(told), other.corrections(told)
    # Sums of float32 with some zeros more.
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    # Training the one is not to change the other.
    owned = {parameter.data_ptr() for parameter in other.parameters()}
    assert not owned & {parameter.data_ptr() for parameter in network.parameters()}


def test_one_of_another_size_is_nothing_to_begin_with():
    with pytest.raises(ValueError, match="channels differ: 4, expected 5"):
        Postfilter(replace(SMALL, channels=5)).begin_like(filter_of())
    more = replace(SMALL, dilations=(*SMALL.dilations, (1, 1)))
    with pytest.raises(ValueError, match="dilations differ"):
        Postfilter(more).begin_like(filter_of())


def test_a_shallower_one_begins_like_the_first_blocks_of_a_deeper_one():
    other = filter_of()
    network = Postfilter(replace(SMALL, dilations=SMALL.dilations[:1]))
    network.begin_like(other)
    assert len(network.blocks) == 1 < len(other.blocks)
    for key, value in network.blocks.state_dict().items():
        assert torch.equal(value, other.blocks.state_dict()[key])


def test_its_file_brings_it_back(tmp_path):
    network = filter_of(replace(SMALL, relatives=(2.0, 1 / 3)))
    save_checkpoint(tmp_path / "a.safetensors", MODEL, network, torch.float16)
    read = load_postfilter(tmp_path / "a.safetensors")
    assert read.arguments == network.arguments
    for key, value in network.state_dict().items():
        # Half precision has eleven bits.
        np.testing.assert_allclose(read.state_dict()[key], value, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("multichannel_unet_small", "header key 'model' is 'multichannel_unet', expected postf"),
        ("nmf_kl_small", "header key 'model' is None"),
    ],
)
def test_files_of_something_else_are_refused(name, message):
    path = Path(__file__).parents[2] / f"cmss/weights/{name}.safetensors"
    with pytest.raises(InputError, match=f"{path.name}.*{message}"):
        load_postfilter(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "cut.safetensors"
    save_checkpoint(path, MODEL, filter_of())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"cut\.safetensors: not a readable"):
        load_postfilter(path)
