"""What must hold of every network with four outputs that is told who plays."""

import torch

from cmss.models.network import Network


def assert_examples_apart(model: Network, mixture: torch.Tensor) -> None:
    """Three examples (3, 2, samples) give together what each gives alone, however loud another."""
    mixture[1] *= 20
    present = torch.tensor([[True] * 4, [True, False] * 2, [False, True] * 2])
    together = model(mixture, present)
    for row in range(3):
        alone = model(mixture[row : row + 1], present[row : row + 1])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=1e-5)
