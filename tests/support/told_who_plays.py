"""What must hold of every network with four outputs that is told who plays."""

import torch
from hypothesis import strategies as st

from cmss.models.network import Network


def assert_examples_apart(model: Network, mixture: torch.Tensor) -> None:
    """Three examples (3, 2, samples) give together what each gives alone, however loud another."""
    mixture[1] *= 20
    present = torch.tensor([[True] * 4, [True, False] * 2, [False, True] * 2])
    together = model(mixture, present)
    for row in range(3):
        alone = model(mixture[row : row + 1], present[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)


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
