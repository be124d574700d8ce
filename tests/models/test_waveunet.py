from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.models.waveunet import WaveUNet, WaveUNetArguments
from tests.support.conditioning import (
    assert_all_present_by_default,
    assert_examples_independent,
    assert_scales,
    assert_sums_to_mixture,
    rows,
)
from tests.support.tensors import quiet_noise as noise

PUBLISHED = WaveUNetArguments(("bass", "drums", "other", "vocals"))
ALL = WaveUNetArguments(
    ("Cello", "Viola", "Violin", "Violin_2"), levels=4, filters=5, down_kernel=7, up_kernel=3,
    difference=False, conditioned=True,
)  # fmt: skip
DIFFERENCE = replace(ALL, difference=True, conditioned=False)
BOTH = pytest.mark.parametrize("arguments", [ALL, DIFFERENCE], ids=["shared", "difference"])


def network(arguments: WaveUNetArguments) -> WaveUNet:
    torch.manual_seed(0)
    return WaveUNet(arguments).eval()


@pytest.fixture(scope="module")
def model() -> WaveUNet:
    return network(ALL)


# As published.


def test_published_size():
    with torch.device("meta"):
        model = WaveUNet(PUBLISHED)
        assert sum(p.numel() for p in model.parameters()) == 10_263_498
        # For 16,384 samples, the shortest possible output has 16,389.
        assert model.lengths(16_384) == model.lengths(16_389) == (147_443, 16_389)
        output = model._layers(torch.empty(1, 147_443, 2), torch.ones(1, 4, dtype=torch.bool))
    assert output.shape == (1, 16_389, 2 * 3)


def published_layers(model: WaveUNet, mixture: torch.Tensor) -> torch.Tensor:
    """Apply the authors' graph, operation by operation: (B, 2, input) -> (B, channels, output)."""

    def layer(convolution: torch.nn.Conv1d, x: torch.Tensor) -> torch.Tensor:
        y = F.conv1d(x, convolution.weight, convolution.bias)
        return torch.maximum(0.2 * y, y)

    def crop_and_concatenate(x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
        difference = x1.shape[-1] - x2.shape[-1]
        assert difference % 2 == 0  # otherwise the authors' code warns
        return torch.cat((x1[..., difference // 2 : difference // 2 + x2.shape[-1]], x2), 1)

    x, skips = mixture, []
    for convolution in model.down:
        x = layer(convolution, x)
        skips.append(x)
        x = x[..., ::2]
    x = layer(model.bottom, x)
    for convolution in model.up:
        x = F.interpolate(x, 2 * x.shape[-1] - 1, mode="linear", align_corners=True)
        x = layer(convolution, crop_and_concatenate(skips.pop(), x))
    x = crop_and_concatenate(mixture, x)
    return F.conv1d(x, model.output.weight.unsqueeze(-1), model.output.bias)


@pytest.mark.parametrize("change", [{}, {"levels": 1}, {"down_kernel": 1, "up_kernel": 5}])
@torch.no_grad()
def test_layers_are_the_published_ones(change):
    model = network(replace(DIFFERENCE, **change))
    needed, given = model.lengths(300)
    mixture = noise(2, 2, needed)
    expected = published_layers(model, mixture)
    assert expected.shape[-1] == given
    got = model._layers(mixture.mT.contiguous(), torch.ones(2, 4, dtype=torch.bool)).mT
    # Sums are computed in another order.
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())


@torch.no_grad()
def test_output_is_the_published_one_except_for_the_level():
    """The mixture has an RMS of 1, and its peak is the full scale that bounds the estimates."""
    model = network(DIFFERENCE)
    mixture = noise(1, 2, 400)
    mixture /= mixture.square().mean().sqrt()
    peak = mixture.abs().max()
    needed, given = model.lengths(400)
    before = (needed - given) // 2
    raw = published_layers(model, F.pad(mixture, (before, needed - before - 400)))[..., :400]
    others = peak * torch.tanh(raw.unflatten(1, (3, 2)) / peak)
    expected = torch.cat((others, (mixture - others.sum(1)).unsqueeze(1)), 1)
    torch.testing.assert_close(model(mixture), expected, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=100)
@given(
    samples=st.integers(1, 3000),
    levels=st.integers(1, 8),
    kernels=st.tuples(st.integers(0, 7), st.integers(0, 3)),
)
def test_lengths_are_the_shortest_possible(samples, levels, kernels):
    down, up = (2 * half + 1 for half in kernels)
    with torch.device("meta"):
        model = WaveUNet(replace(ALL, levels=levels, filters=1, down_kernel=down, up_kernel=up))
        needed, given = model.lengths(samples)
        assert given >= samples
        assert given == samples or model.lengths(given - 1) == (needed, given)
        assert (needed - given) % 2 == 0
        output = model._layers(torch.empty(1, needed, 2), torch.ones(1, 4, dtype=torch.bool))
    assert output.shape == (1, given, 8)


# Alignment.


@torch.no_grad()
def test_a_straight_line_passes_the_lowest_level_unchanged():
    """Decimation and interpolation do not change a straight line, but a shift would."""
    model = network(replace(ALL, conditioned=False))
    for parameter in model.parameters():
        parameter.zero_()
    for layer in (*model.down, model.bottom):
        middle = layer.weight.shape[-1] // 2
        layer.weight[0, 0, middle] = layer.weight[1, 1, middle] = 1
    for level, layer in zip(reversed(range(ALL.levels)), model.up, strict=True):
        skipped = ALL.filters * (level + 1)
        layer.weight[0, skipped, 1] = layer.weight[1, skipped + 1, 1] = 1  # not the skip connection
    model.output.weight[:2, 2:4] = torch.eye(2)
    mixture = torch.stack((torch.arange(1.0, 801.0), torch.arange(800.0, 0.0, -1.0)))[None]
    estimates = model(mixture)
    # Not at the ends, where zeros are padded. A shift by one sample would be an error of 1.
    inside = slice(2**ALL.levels, 800 - 2**ALL.levels)
    expected = torch.cat((mixture.unsqueeze(1), torch.zeros(1, 3, 2, 800)), 1)
    torch.testing.assert_close(estimates[..., inside], expected[..., inside], rtol=0, atol=1e-3)


@BOTH
@torch.no_grad()
def test_a_delayed_mixture_gives_delayed_estimates(arguments):
    """A delay by multiples of the coarsest step, with silence longer than the receptive field."""
    model, step = network(arguments), 2**ALL.levels
    sound = noise(1, 2, 200)
    early, late = (F.pad(sound, (400 + shift, 800 - shift)) for shift in (0, 7 * step))
    expected = model(early).roll(7 * step, -1)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(model(late), expected, rtol=0, atol=1e-6)


# Properties of the estimates.


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 700), present=rows(4))
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(model, samples, present):
    assert_sums_to_mixture(model, noise(2, 2, samples), torch.tensor(present), 1e-5)


@pytest.mark.parametrize("samples", [1, 2, 77, 500])
@torch.no_grad()
def test_with_difference_all_sum_to_the_mixture_and_others_are_bounded(samples):
    model = network(DIFFERENCE)
    model.output.weight.mul_(50)  # estimates that would far exceed the mixture
    mixture = noise(2, 2, samples)
    estimates = model(mixture)
    assert estimates.shape == (2, 4, 2, samples)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-6)
    largest = estimates[:, :-1].abs().amax((1, 2, 3)) / mixture.abs().amax((1, 2))
    assert (largest <= 1 + 1e-6).all()
    assert (largest > 0.99).all()


@BOTH
@torch.no_grad()
def test_all_sources_by_default(arguments):
    model, mixture = network(arguments), noise(1, 2, 300)
    assert_all_present_by_default(model, mixture)
    absent = torch.tensor([[True, False, True, True]])
    assert (model(mixture, absent)[:, 1] == 0).all()


@torch.no_grad()
def test_presence_of_a_source_changes_the_other_estimates(model):
    """Not only the distribution of the residual changes: presence is an input of the network."""
    mixture = noise(1, 2, 500)
    two = model(mixture, torch.tensor([[True, True, False, False]]))
    three = model(mixture, torch.tensor([[True, True, True, False]]))
    # The residual is equal for all sources present, so it cancels in their difference.
    change = (two[:, 0] - two[:, 1]) - (three[:, 0] - three[:, 1])
    assert change.abs().max() > 1e-3


@BOTH
@pytest.mark.parametrize("gain", [1e-3, 0.03, 30.0])
@torch.no_grad()
def test_estimates_scale_with_the_mixture(arguments, gain):
    assert_scales(network(arguments), noise(1, 2, 600), gain)


@BOTH
@torch.no_grad()
def test_silence_gives_silence(arguments):
    assert (network(arguments)(torch.zeros(1, 2, 300)) == 0).all()


@BOTH
@pytest.mark.parametrize("bfloat16", [False, True])
def test_gradients_are_finite_and_reach_every_parameter(arguments, bfloat16):
    model = network(arguments)
    mixture = noise(3, 2, 500)
    mixture[1] = 0
    mixture[2, 0] = 0
    mixture.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        estimates = model(mixture)
    assert estimates.dtype == torch.float32
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-5)
    (estimates * noise(*estimates.shape, seed=2)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
    assert mixture.grad is not None
    assert mixture.grad.isfinite().all()


@BOTH
@torch.no_grad()
def test_examples_of_a_batch_are_independent(arguments):
    assert_examples_independent(network(arguments), noise(3, 2, 400))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"down_kernel": 4}, "down_kernel"),
        ({"up_kernel": 2}, "up_kernel"),
        ({"levels": 0}, "levels"),
    ],
)
def test_invalid_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(ALL, **wrong)


def test_sources_are_named_in_order():
    model = network(replace(ALL, sources=["Oboe", "Flute"]))
    assert model.sources == ("Oboe", "Flute")
    assert model.sample_rate_hz == 22050
