"""Computation in tiles equals computation on the full excerpt."""

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
    """Tiles of 5 frames with one thread; the taps of a convolution are up to 16 frames apart."""
    monkeypatch.setattr(temporal_conv_net, "TILE_FRAMES", 5)


@EVERY
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("frames", [1, 4, 5, 6, 33, 100])
@pytest.mark.parametrize("P", [1, 3])
def test_tiles_equal_the_full_excerpt(norm_type, causal, frames, P):
    model, x = blocks(norm_type, causal, P).double(), noise(2, frames, 6).double()
    kept = x.clone()
    whole = model(x).detach()
    with torch.no_grad():
        assert len(tiles(x)) == -(-frames // 5)
        # Tolerance: sums are computed in another order.
        torch.testing.assert_close(model(x), whole, rtol=0, atol=1e-9 * float(whole.abs().max()))
    torch.testing.assert_close(x, kept, rtol=0, atol=0)


def test_a_large_offset_costs_few_digits():
    """Variances are differences of moments; here the mean is a hundred times the deviation."""
    model, x = blocks("gLN"), noise(1, 400, 6)
    with torch.no_grad():
        model[0][0].net[0].weight.copy_(1.0)  # all channels of u are slightly above 100
        x = x + 100 / 6
        exact = model.double()(x.double())
        # Of the 7 digits of float32, the offset costs 2, and its square as many again.
        found = model.float()(x)
    assert (found - exact).abs().max() < 2e-3 * exact.std()


@EVERY
def test_only_products_are_bfloat16(norm_type):
    """Only matrix products are rounded to 8 bits, and the output is float32."""
    model, x = blocks(norm_type), noise(1, 100, 6)
    with torch.no_grad():
        whole = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(x.bfloat16())
    assert found.dtype == torch.float32
    # Eight residual blocks, each with two roundings of a part in 256.
    assert 1e-4 < float((found - whole).std() / whole.std()) < 8 * 2 / 256
