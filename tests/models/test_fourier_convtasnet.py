import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.models.fourier_convtasnet import FourierConvTasNet, FourierConvTasNetArguments
from cmss.models.outputs import OUTPUTS
from tests.support.conditioning import (
    assert_aligned,
    assert_examples_independent,
    assert_sums_to_mixture,
    rows,
)
from tests.support.tensors import quiet_noise as noise

ARGUMENTS = FourierConvTasNetArguments(
    ("Cello", "Viola", "Violin", "Violin_2"), L=256, hop=64, Q=20, B=12, H=16, X=3, R=1
)


@pytest.fixture(scope="module")
def model() -> FourierConvTasNet:
    """A network with large scores, so that masks cover the range from zero to one."""
    torch.manual_seed(0)
    network = FourierConvTasNet(ARGUMENTS).eval()
    with torch.no_grad():
        network.scores.weight *= 10
        network.presence.weight *= 3
    return network


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 1500), present=rows(4))
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(model, samples, present):
    assert_sums_to_mixture(model, noise(2, 2, samples), torch.tensor(present), 1e-6)


@torch.no_grad()
def test_masks_of_the_fixture_differ_between_sources(model):
    """Precondition of the other tests: with equal masks, they would find no error."""
    masks = model.masks(model.analyse(noise(1, 2, 4000)), torch.ones(1, 4, dtype=torch.bool))
    assert masks.amax(1).mean() > 0.5
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


@torch.no_grad()
def test_all_sources_by_default(model):
    mixture = noise(1, 2, 700)
    everyone = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(model(mixture), model(mixture, everyone))


@torch.no_grad()
def test_presence_of_a_source_changes_the_other_estimates(model):
    mixture = noise(1, 2, 2000)
    two = model(mixture, torch.tensor([[True, True, False, False]]))
    three = model(mixture, torch.tensor([[True, True, True, False]]))
    assert (two - three)[:, :2].abs().max() > 1e-3


@pytest.mark.parametrize("present", [[[False] * 4], [[True] * 4, [False] * 4]])
def test_an_example_without_sources_is_refused(model, present):
    with pytest.raises(ValueError, match="without any source"):
        model(noise(len(present), 2, 500), torch.tensor(present))


@torch.no_grad()
def test_silence_gives_silence(model):
    assert (model(torch.zeros(1, 2, 3000)) == 0).all()


@torch.no_grad()
def test_silence_in_one_channel_or_for_a_while_is_finite(model):
    mixture = noise(2, 2, 3000)
    mixture[0, 1] = 0
    mixture[1, :, 500:2500] = 0
    estimates = model(mixture)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-6)
    assert (estimates[0, :, 1] == 0).all()


def test_gradients_are_finite_for_silence():
    torch.manual_seed(0)
    network = FourierConvTasNet(ARGUMENTS)
    mixture = torch.zeros(2, 2, 2000)
    mixture[1, 0] = noise(2000)
    network(mixture).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("at", [0, 1, 63, 64, 700, 998])
@torch.no_grad()
def test_estimates_are_aligned_with_the_mixture_to_the_sample(model, at):
    assert_aligned(model, at, ARGUMENTS.L)


@pytest.mark.parametrize("gain", [0.01, 0.3, 8.0])
@torch.no_grad()
def test_estimates_scale_with_the_mixture(model, gain):
    mixture = noise(1, 2, 3000)
    louder, expected = model(gain * mixture), gain * model(mixture)
    # The only absolute constant is 1e-12, added to the mean power of a bin, which is near 1.
    torch.testing.assert_close(louder, expected, rtol=0, atol=1e-4 * gain)


@torch.no_grad()
def test_examples_of_a_batch_are_independent(model):
    assert_examples_independent(model, noise(3, 2, 1200), atol=1e-6)


def test_only_parameters_are_stored(model):
    assert not {"window", "to_bands", "to_bins"} & set(model.state_dict())


def test_sources_are_named_in_order():
    assert FourierConvTasNetArguments(list(OUTPUTS)).sources == OUTPUTS
    assert OUTPUTS == (
        "Bassoon", "Cello", "Clarinet", "Flute", "Oboe", "Sax", "Viola", "Violin",
        "Flute_2", "Sax_2", "Viola_2", "Violin_2",
    )  # fmt: skip
