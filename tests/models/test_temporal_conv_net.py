"""Tile by tile the blocks give what they give as a whole."""

import pytest
import torch

from cmss.models import temporal_conv_net
from cmss.models.temporal_blocks import NORMS
from cmss.models.temporal_conv_net import TemporalConvNet, tiles
from tests.support.tensors import noise, randomised

EVERY = pytest.mark.parametrize("norm_type", sorted(NORMS))


def blocks(norm_type: str, causal: bool = False, P: int = 3) -> TemporalConvNet:
    return randomised(TemporalConvNet(B=6, H=10, P=P, X=4, R=2, norm_type=norm_type, causal=causal))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles of 5 frames for the one thread of tests: a block's taps lie up to 16 frames apart."""
    monkeypatch.setattr(temporal_conv_net, "TILE_FRAMES", 5)


@EVERY
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("frames", [1, 4, 5, 6, 33, 100])
@pytest.mark.parametrize("P", [1, 3])
def test_tiles_give_what_the_whole_gives(norm_type, causal, frames, P):
    model, x = blocks(norm_type, causal, P).double(), noise(2, frames, 6).double()
    kept = x.clone()
    whole = model(x).detach()
    with torch.no_grad():
        assert len(tiles(x)) == -(-frames // 5)
        # Sums in another order; one frame of one channel is no excerpt to normalise over.
        torch.testing.assert_close(model(x), whole, rtol=0, atol=1e-9 * float(whole.abs().max()))
    torch.testing.assert_close(x, kept, rtol=0, atol=0)


def test_an_offset_that_dwarfs_the_rest_costs_few_digits():
    """Variances are differences of moments: of inputs a hundred times as far as they are wide."""
    model, x = blocks("gLN"), noise(1, 400, 6)
    with torch.no_grad():
        model[0][0].net[0].weight.copy_(1.0)  # all channels of u are 100 and a little
        x = x + 100 / 6
        exact = model.double()(x.double())
        # Float32 keeps 7 digits, of which the offset takes 2 and their square as many.
        found = model.float()(x)
    assert (found - exact).abs().max() < 2e-3 * exact.std()


@EVERY
def test_products_alone_are_bfloat16(norm_type):
    """As near to float32 as products of 8 bits let it be, and of float32 again."""
    model, x = blocks(norm_type), noise(1, 100, 6)
    with torch.no_grad():
        whole = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(x.bfloat16())
    assert found.dtype == torch.float32
    # Eight residual blocks, each with two roundings of a part in 256.
    assert 1e-4 < float((found - whole).std() / whole.std()) < 8 * 2 / 256
