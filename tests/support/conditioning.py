"""Checks of networks with four outputs that are conditioned on the sources that are present."""

import pytest
import torch
from hypothesis import strategies as st

from cmss.models.network import Network


def assert_examples_independent(model: Network, mixture: torch.Tensor, atol: float = 1e-5) -> None:
    """Check that an example (2, samples) of a batch of three does not depend on the others."""
    mixture[1] *= 20
    present = torch.tensor([[True] * 4, [True, False] * 2, [False, True] * 2])
    together = model(mixture, present)
    for row in range(3):
        alone = model(mixture[row : row + 1], present[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=atol)


def assert_aligned(model: Network, at: int, window: int) -> None:
    """Check that a click stays at its sample; masks spread it by at most a window."""
    mixture = torch.zeros(1, 2, 999)
    mixture[0, :, at] = torch.tensor([1.0, -0.5])
    only = model(mixture, torch.tensor([[False, True, False, False]]))
    torch.testing.assert_close(only[:, 1], mixture, rtol=0, atol=1e-6)
    far = (torch.arange(999) - at).abs() >= window
    assert (model(mixture)[..., far].abs() < 1e-6).all()


def assert_all_present_by_default(model: Network, mixture: torch.Tensor) -> None:
    """Check that all sources are present by default, and that a mixture without any is refused."""
    everyone = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(model(mixture), model(mixture, everyone))
    with pytest.raises(ValueError, match="without any source"):
        model(mixture, ~everyone)


def assert_scales(model: Network, mixture: torch.Tensor, gain: float) -> None:
    """Check that a gain of the mixture is a gain of the estimates."""
    expected = model(mixture)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(model(gain * mixture) / gain, expected, rtol=0, atol=tolerance)


def rows(sources: int) -> st.SearchStrategy[list[list[bool]]]:
    """Present sources of two examples, at least one in each."""
    row = st.lists(st.booleans(), min_size=sources, max_size=sources).filter(any)
    return st.lists(row, min_size=2, max_size=2)


@torch.no_grad()
def assert_sums_to_mixture(
    model: Network, mixture: torch.Tensor, present: torch.Tensor, atol: float
) -> None:
    """Check that estimates of present sources sum to the mixture (2, 2, samples); others are 0."""
    estimates = model(mixture, present)
    assert estimates.shape == (2, len(model.sources), 2, mixture.shape[-1])
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=atol)
    assert (estimates[~present] == 0).all()
