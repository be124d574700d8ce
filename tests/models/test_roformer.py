import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.models.outputs import OUTPUTS
from cmss.models.roformer import (
    BandsIn,
    BandsOut,
    Block,
    Roformer,
    RoformerArguments,
    band_groups,
    rotate,
    rotations,
)
from tests.support.conditioning import assert_examples_independent, assert_sums_to_mixture, rows
from tests.support.tensors import quiet_noise as noise

SMALL = {"L": 256, "hop": 64, "bands": ((8, 2), (5, 8)), "D": 16, "hidden": 24, "heads": 2}
ARGUMENTS = RoformerArguments(("Cello", "Viola", "Violin", "Violin_2"), layers=2, **SMALL)


@pytest.fixture(scope="module")
def model() -> Roformer:
    """A network whose masks are far from equal."""
    torch.manual_seed(0)
    network = Roformer(ARGUMENTS).eval()
    with torch.no_grad():
        network.presence.weight *= 3
        for weight in network.out_of.weights:
            weight *= 60
    return network


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 1500), present=rows(4))
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(model, samples, present):
    # Masks reach some tens, and their sum of 1 has the precision of float32.
    assert_sums_to_mixture(model, noise(2, 2, samples), torch.tensor(present), 1e-5)


@torch.no_grad()
def test_estimates_of_the_fixture_differ_between_sources(model):
    """Precondition of the other tests: with equal masks, they would find no error."""
    mixture = noise(1, 2, 4000)
    estimates = model(mixture)
    assert (estimates[0, 0] - mixture[0] / 4).square().mean() > 0.1 * mixture.square().mean()


@torch.no_grad()
def test_all_sources_by_default(model):
    mixture = noise(1, 2, 700)
    assert torch.equal(model(mixture), model(mixture, torch.ones(1, 4, dtype=torch.bool)))


@torch.no_grad()
def test_examples_of_a_batch_are_independent(model):
    assert_examples_independent(model, noise(3, 2, 900))


@torch.no_grad()
def test_estimates_scale_with_the_mixture(model):
    mixture = noise(1, 2, 900)
    for gain in (1e-3, 1e3):  # 60 dB quieter and louder
        torch.testing.assert_close(
            model(gain * mixture) / gain, model(mixture), rtol=1e-3, atol=1e-5
        )


@torch.no_grad()
def test_silence_gives_silence(model):
    assert (model(torch.zeros(1, 2, 500)) == 0).all()


def test_an_example_without_sources_is_refused(model):
    with pytest.raises(ValueError, match="present: an example without any source"):
        model(noise(1, 2, 500), torch.zeros(1, 4, dtype=torch.bool))


def test_every_weight_has_a_gradient(model):
    estimates = model(noise(2, 2, 2000), torch.ones(2, 4, dtype=torch.bool))
    estimates.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    model.zero_grad()


def test_bands_in_is_a_matrix_for_each_band():
    bands = band_groups(11, ((2, 2), (1, 4)))
    assert bands == [(2, 2), (1, 4), (1, 3)]
    layer, x = BandsIn(bands, 3, 5), noise(2, 4, 11, 3)
    torch.nn.init.normal_(layer.bias)
    edges = [(0, 2), (2, 4), (4, 8), (8, 11)]
    matrices = [matrix for weight in layer.weights for matrix in weight]
    expected = [
        x[:, :, low:high].flatten(2) @ matrix + bias
        for (low, high), matrix, bias in zip(edges, matrices, layer.bias, strict=True)
    ]
    torch.testing.assert_close(layer(x), torch.stack(expected, 2))


def test_bands_out_is_a_matrix_for_each_band():
    layer, x = BandsOut([(2, 2), (1, 3)], 5, 6), noise(2, 4, 3, 5)
    for bias in layer.bias:
        torch.nn.init.normal_(bias)
    rows = [(w, b) for ws, bs in zip(layer.weights, layer.bias, strict=True)
            for w, b in zip(ws, bs, strict=True)]  # fmt: skip
    expected = [
        (x[:, :, band] @ weight + bias).unflatten(-1, (-1, 6))
        for band, (weight, bias) in enumerate(rows)
    ]
    torch.testing.assert_close(layer(x), torch.cat(expected, 2))


def test_bands_with_too_many_bins_are_refused():
    with pytest.raises(ValueError, match="bands: have 12 bins, expected at most 11"):
        band_groups(11, ((2, 2), (1, 8)))


def test_rotations_keep_norms_and_products_depend_on_the_distance():
    query, key = noise(2, 1, 8).expand(2, 9, 8)
    turned = [rotate(x, rotations(9, 8, x.device)) for x in (query, key)]
    torch.testing.assert_close(turned[0].norm(dim=-1), query.norm(dim=-1))
    products = turned[0] @ turned[1].T
    for distance in range(-8, 9):
        alike = products.diagonal(distance)
        torch.testing.assert_close(alike, alike[:1].expand_as(alike))
    assert products[0].std() > 1e-3


@torch.no_grad()
def test_a_block_is_attention_and_a_feed_forward_part():
    torch.manual_seed(0)
    block, x = Block(8, 12, 2).eval(), noise(3, 5, 8)
    q, k, v = block.qkv(block.attention_norm(x)).unflatten(-1, (3, 2, 4)).unbind(2)
    turns = rotations(5, 4, x.device)
    heads = []
    for head in range(2):
        scores = rotate(q[:, :, head], turns) @ rotate(k[:, :, head], turns).mT / 2
        heads.append(scores.softmax(-1) @ v[:, :, head])
    y = x + block.joined(torch.cat(heads, -1))
    y = y + block.down(torch.nn.functional.gelu(block.up(block.norm(y))))
    torch.testing.assert_close(block(x), y, rtol=1e-5, atol=1e-6)


def test_the_small_size_has_3_6_million_parameters():
    network = Roformer(RoformerArguments(OUTPUTS))
    assert sum(parameter.numel() for parameter in network.parameters()) == 3_634_438
