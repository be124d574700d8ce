"""Itakura-Saito NMF whose activations change slowly from frame to frame.

To the divergence of the model comes, for each component, smoothness times the sum over frames of
d_IS(h[n - 1], h[n]); neither depends on the level. The minimum of what bounds both from above is
the root of a quadratic equation in each frame (Fevotte 2011, "Majorization-minimization algorithm
for smooth Itakura-Saito nonnegative matrix factorization", ICASSP, section 3).
"""

import torch.nn.functional as F
from torch import Tensor

from cmss.nmf.factors import TINY, gather, product


def update_smooth_activations(V: Tensor, W: Tensor, H: Tensor, smoothness: float) -> Tensor:
    """One step of the activations; the divergence and the penalty together never rise.

    Args:
        V: (bands, frames) spectrogram of powers.
        W: (lags, bands, components) templates.
        H: (components, frames) activations.
        smoothness: weight of the penalty; with 0 this is the step without it.

    Returns:
        as H.
    """
    L = product(W, H)
    # The bound on the divergence is falling / h + rising h.
    falling, rising = H**2 * gather(W, V / L**2), gather(W, 1 / L)
    H = H.clone()
    # Neighbours hold each other: first the even frames move, then the odd ones.
    for start in range(2):
        best = _minimum(falling, rising, H, smoothness)
        H[:, start::2] = best[:, start::2].clamp(min=TINY)
    return H


def _minimum(falling: Tensor, rising: Tensor, H: Tensor, smoothness: float) -> Tensor:
    """Minimum over each h of falling / h + rising h + the penalty, the neighbours given.

    The penalty adds h[n-1] / h + log h for the frame before and h / h[n+1] - log h for the one
    after: the logarithms are left over at the two ends alone.
    """
    falling = falling + smoothness * F.pad(H[:, :-1], (1, 0))
    rising = (rising + smoothness * F.pad(1 / H[:, 1:], (0, 1))).clamp(min=TINY)
    logarithm = H.new_zeros(H.shape[-1])
    logarithm[-1] += smoothness
    logarithm[0] -= smoothness
    return ((logarithm**2 + 4 * rising * falling).sqrt() - logarithm) / (2 * rising)


def roughness(H: Tensor) -> float:
    """The sum of d_IS(h[n - 1], h[n]) over components and frames."""
    ratio = H[:, :-1] / H[:, 1:]
    return float((ratio - ratio.log() - 1).sum())
