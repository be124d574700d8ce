from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cmss.models.arunet import (
    ARUNet,
    ARUNetArguments,
    AttentionGate,
    AttentiveMultiResUNet,
    signed_power,
)
from cmss.models.presence import listed
from tests.support.conditioning import assert_sums_to_mixture, rows
from tests.support.tensors import quiet_noise as noise

# L is not a power of two and not a multiple of the hop, so that confused sizes are found.
PUBLISHED = ARUNetArguments(L=72, hop=20, filters=(6, 8, 10), bottleneck=12)
SHARED = replace(
    PUBLISHED,
    sources=("Cello", "Viola", "Violin"),
    fold=4,
    compression=0.5,
    conditioned=True,
    consistent=True,
)
MASKS = replace(SHARED, consistent=False, masks=True)
EACH = {"published": PUBLISHED, "shared": SHARED, "masks": MASKS}
BOTH = pytest.mark.parametrize("arguments", EACH.values(), ids=EACH)


def network(arguments: ARUNetArguments) -> ARUNet:
    """Return a network in evaluation mode, with values of parameters as after training."""
    torch.manual_seed(0)
    model = ARUNet(arguments).eval()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                change = 0.1 * torch.randn(value.shape)
                value += change.abs() if name.endswith("var") else change
    return model


@pytest.fixture(scope="module", params=EACH.values(), ids=EACH)
def model(request) -> ARUNet:
    return network(request.param)


@pytest.fixture(scope="module")
def shared() -> ARUNet:
    return network(SHARED)


@pytest.fixture(scope="module")
def masking() -> ARUNet:
    return network(MASKS)


# Parameters.


@pytest.mark.parametrize(("outputs", "expected"), [(1, 8_629_922), (2, 8_629_977)])
def test_number_of_parameters_is_the_published_one(outputs, expected):
    """The count of the authors' code with a mono output; a second channel adds 55 parameters."""
    a = ARUNetArguments()
    with torch.device("meta"):
        model = AttentiveMultiResUNet(2, outputs, a.filters, a.bottleneck, a.alpha)
    assert sum(p.numel() for p in model.parameters()) == expected


def test_the_published_size_is_the_default():
    with torch.device("meta"):
        model = ARUNet(ARUNetArguments())
    assert sum(p.numel() for p in model.parameters()) == 8_629_977
    assert (model.sample_rate_hz, model.sources) == (16000, ("target",))


def test_additional_parameters_of_a_network_for_all_instruments():
    """Additional: an embedding of each source, and channels for the bins that are folded."""
    with torch.device("meta"):
        alone, shared = ARUNet(PUBLISHED), ARUNet(SHARED)
    count = sum(p.numel() for p in shared.parameters()) - sum(p.numel() for p in alone.parameters())
    # F 6: parts 1, 3, 5. F 10: parts 2, 5, 8.
    wide, deepest, first = 9, 15, 1
    more_inputs, more_outputs = 2 * 4 - 2, 2 * 4 * 3 - 2
    assert shared.unet.presence.weight.numel() == 3 * deepest
    assert count == 3 * deepest + more_inputs * (wide + 9 * first) + more_outputs * (wide + 1)


# Shapes and alignment.


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(1, 700))
@torch.no_grad()
def test_any_length(model, samples):
    estimates = model(noise(2, 2, samples))
    assert estimates.shape == (2, len(model.sources), 2, samples)
    assert estimates.isfinite().all()


@pytest.mark.parametrize("samples", [1, 19, 20, 333, 1000])
@pytest.mark.parametrize(("fold", "compression"), [(1, 1), (4, 1), (4, 0.5), (1, 0.7)])
@torch.no_grad()
def test_a_network_that_returns_its_input_returns_the_mixture(fold, compression, samples):
    class Same(nn.Module):
        def forward(self, image: torch.Tensor, present: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
            return image

    model = ARUNet(replace(PUBLISHED, fold=fold, compression=compression))
    model.unet = Same()
    mixture = noise(2, 2, samples)
    # Tolerance: the 1e-6 of the mixture's RMS that `signed_power` adds.
    torch.testing.assert_close(model(mixture)[:, 0], mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("frames", "bins"), [(1, 1), (7, 8), (8, 7), (9, 40)])
@torch.no_grad()
def test_output_is_aligned_with_the_input(frames, bins):
    """Nothing is shifted by a bin or a frame: with mirrored weights, the output is mirrored too.

    Only for sizes that need no padding, because padding is added at one end alone.
    """
    a = PUBLISHED
    model = network(a).unet
    image = noise(1, 2, 8 * frames, 8 * bins)
    expected = model(image)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.weight.data = module.weight.data.flip(2, 3)
    mirrored = model(image.flip(2, 3)).flip(2, 3)
    torch.testing.assert_close(mirrored, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_pooling_and_upsampling_are_aligned():
    """A shift of the input by the lowest level's step shifts the output equally."""
    model = network(PUBLISHED).unet
    image = torch.zeros(1, 2, 8, 400)
    image[..., 180:220] = noise(1, 2, 8, 40)
    here, there = model(image), model(image.roll(16, -1))
    # Away from both ends, where padding has an effect.
    torch.testing.assert_close(here.roll(16, -1)[..., 150:250], there[..., 150:250])
    assert (here - here.roll(8, -1)).abs().amax() > 1e-2


def test_folded_bins_are_neighbours_and_return_to_their_positions():
    model, images = ARUNet(replace(PUBLISHED, fold=4)), []
    model.unet.forward = lambda image, _: images.append(image) or image
    coefficients, everyone = noise(2, 2, 72, 5), torch.ones(2, 1, dtype=torch.bool)
    estimates = model.estimate(coefficients, everyone, *listed(everyone))
    torch.testing.assert_close(estimates.squeeze(1), coefficients)
    (image,) = images
    assert image.shape == (2, 8, 18, 5)
    scaled = coefficients / coefficients.square().mean((1, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(image[:, 4:, 3], scaled[:, 1, 12:16])


# Level.


def test_powers_keep_signs_and_an_exponent_of_one_is_the_identity():
    x = torch.tensor([-4.0, -1e-9, 0.0, 0.25, 1e6])
    assert torch.equal(signed_power(x, 1), x)
    torch.testing.assert_close(
        signed_power(x, 0.5), x.sign() * x.abs().sqrt(), rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0, 1.4, 2.0])
def test_powers_have_a_gradient_at_zero(exponent):
    x = torch.zeros(3, requires_grad=True)
    signed_power(x, exponent).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("gain", [1e-2, 0.1, 0.7, 10.0])
@torch.no_grad()
def test_estimates_scale_with_the_mixture(model, gain):
    mixture = noise(2, 2, 800)
    expected = model(mixture)
    torch.testing.assert_close(model(gain * mixture) / gain, expected, rtol=1e-3,
                               atol=1e-5 * expected.abs().max().item())  # fmt: skip


@torch.no_grad()
def test_silence_gives_silence(model):
    mixture = noise(2, 2, 500)
    mixture[0] = 0
    estimates = model(mixture)
    assert (estimates[0] == 0).all()
    assert estimates[1].abs().max() > 1e-3


@torch.no_grad()
def test_examples_of_a_batch_are_independent(model):
    mixture = noise(3, 2, 500)
    mixture[1] *= 30
    together = model(mixture)
    for row in range(3):
        alone = model(mixture[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)


# Who is present.


@settings(deadline=None, max_examples=25)
@given(samples=st.integers(1, 700), present=rows(3), masks=st.booleans())
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(
    shared, masking, samples, present, masks
):
    model = masking if masks else shared
    assert_sums_to_mixture(model, noise(2, 2, samples), torch.tensor(present), 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("arguments", [SHARED, MASKS], ids=["shared", "masks"])
def test_the_residual_is_distributed_equally(arguments):
    model = network(arguments)
    model.unet.output.weight.zero_()
    model.unet.output.bias.zero_()
    mixture = noise(1, 2, 400)
    estimates = model(mixture, torch.tensor([[True, False, True]]))
    torch.testing.assert_close(estimates[:, 0], mixture / 2)
    torch.testing.assert_close(estimates[:, 2], mixture / 2)


@torch.no_grad()
def test_without_consistency_absent_sources_are_zero_and_others_unchanged():
    model = network(replace(SHARED, consistent=False, conditioned=False))
    mixture, everyone = noise(1, 2, 400), torch.ones(1, 3, dtype=torch.bool)
    present = torch.tensor([[True, False, True]])
    assert torch.equal(model(mixture), model(mixture, everyone))
    assert torch.equal(model(mixture, present), model(mixture) * present[..., None, None])


@torch.no_grad()
def test_presence_of_a_source_changes_the_other_estimates():
    model = network(replace(SHARED, consistent=False))
    mixture = noise(1, 2, 800)
    two = model(mixture, torch.tensor([[True, True, False]]))
    three = model(mixture, torch.tensor([[True, True, True]]))
    assert (two - three)[:, :2].abs().max() > 1e-3


def test_an_example_without_sources_is_refused(shared):
    with pytest.raises(ValueError, match="without any source"):
        shared(noise(1, 2, 400), torch.zeros(1, 3, dtype=torch.bool))


# The gates.


@torch.no_grad()
def test_weights_of_a_gate_sum_to_one_over_the_channels():
    """Equal scores weight each channel by 1 / C; one large score selects its channel."""
    gate = AttentionGate(4, 3).eval()
    gate.mix = nn.Identity()
    skip, signal = noise(1, 4, 8, 6).abs(), noise(1, 3, 4, 3)
    convolution, norm = gate.score
    convolution.weight.zero_()
    convolution.bias.zero_()
    torch.testing.assert_close(gate(skip, signal), skip / 4)
    norm.bias[2] = 50
    expected = torch.zeros_like(skip)
    expected[:, 2] = skip[:, 2]
    torch.testing.assert_close(gate(skip, signal), expected)


# Training.


@BOTH
@pytest.mark.parametrize("bfloat16", [False, True])
def test_gradients_are_finite_and_reach_every_parameter(arguments, bfloat16):
    torch.manual_seed(0)
    model = ARUNet(arguments)
    mixture = noise(3, 2, 900)
    mixture[0, 0] = 0
    mixture[1] = 0
    present = torch.ones(3, len(arguments.sources), dtype=torch.bool)
    present[2, 1:] = False
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        estimates = model(mixture, present)
    assert estimates.dtype == torch.float32
    (estimates - mixture.unsqueeze(1) / 3).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        # A bias before batch normalisation or before a softmax over all its outputs has no effect.
        if not name.endswith("0.bias"):
            assert parameter.grad.abs().max() > 0, name


@torch.no_grad()
def test_bfloat16_differs_by_its_rounding(model):
    mixture = noise(2, 2, 900)
    expected = model(mixture)
    with torch.autocast("cpu", torch.bfloat16):
        estimates = model(mixture)
    error = (estimates - expected).square().sum() / expected.square().sum()
    assert error < 1e-3  # -30 dB: 8 significant bits, through about forty layers


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hop": 40}, r"1 to 36 \(half of L\), got 40"),
        ({"fold": 5}, "a multiple of fold 5, got 72"),
        ({"compression": 0.0}, "above 0 and at most 1, got 0.0"),
        ({"compression": 2.0}, "above 0 and at most 1, got 2.0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(PUBLISHED, **wrong)


def test_only_parameters_and_statistics_are_stored(shared):
    assert "window" not in shared.state_dict()
