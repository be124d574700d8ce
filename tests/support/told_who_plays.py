"""What must hold of every network with four outputs that is told who plays."""

import pytest
import torch
from hypothesis import strategies as st

from cmss.models.network import Network


def assert_examples_apart(model: Network, mixture: torch.Tensor, atol: float = 1e-5) -> None:
    """Three examples (3, 2, samples) give together what each gives alone, however loud another."""
    mixture[1] *= 20
    present = torch.tensor([[True] * 4, [True, False] * 2, [False, True] * 2])
    together = model(mixture, present)
    for row in range(3):
        alone = model(mixture[row : row + 1], present[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=atol)


def assert_aligned(model: Network, at: int, window: int) -> None:
    """A click at a sample stays there; masks smear it by no more than a window to either side."""
    mixture = torch.zeros(1, 2, 999)
    mixture[0, :, at] = torch.tensor([1.0, -0.5])
    only = model(mixture, torch.tensor([[False, True, False, False]]))
    torch.testing.assert_close(only[:, 1], mixture, rtol=0, atol=1e-6)
    far = (torch.arange(999) - at).abs() >= window
    assert (model(mixture)[..., far].abs() < 1e-6).all()


def assert_everyone_by_default(model: Network, mixture: torch.Tensor) -> None:
    """Whoever is not named plays; a mixture of nobody is refused."""
    everyone = torch.ones(1, 4, dtype=torch.bool)
    assert torch.equal(model(mixture), model(mixture, everyone))
    with pytest.raises(ValueError, match="without any source"):
        model(mixture, ~everyone)


def assert_scales(model: Network, mixture: torch.Tensor, gain: float) -> None:
    """A louder mixture gives louder estimates, and no others."""
    expected = model(mixture)
    tolerance = 1e-4 * expected.abs().max().item()
    torch.testing.assert_close(model(gain * mixture) / gain, expected, rtol=0, atol=tolerance)


def rows(sources: int) -> st.SearchStrategy[list[list[bool]]]:
    """Who plays in two examples, in each at least one."""
    row = st.lists(st.booleans(), min_size=sources, max_size=sources).filter(any)
    return st.lists(row, min_size=2, max_size=2)


@torch.no_grad()
def assert_shares_the_mixture(
    model: Network, mixture: torch.Tensor, present: torch.Tensor, atol: float
) -> None:
    """Estimates of sources that are present sum to the mixture (2, 2, samples); others are zero."""
    estimates = model(mixture, present)
    assert estimates.shape == (2, len(model.sources), 2, mixture.shape[-1])
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=atol)
    assert (estimates[~present] == 0).all()
