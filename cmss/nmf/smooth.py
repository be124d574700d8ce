"""Implements Itakura-Saito NMF with activations that change slowly from frame to frame.

For each component, a penalty is added to the divergence. The penalty is smoothness times the sum
over frames of d_IS(h[n - 1], h[n]), where h is the activation of the component. Neither the
divergence nor the penalty depends on the level. An update minimises an upper bound of the sum of
the divergence and the penalty. In each frame, the best activation is the root of a quadratic
equation (Fevotte 2011, "Majorization-minimization algorithm for smooth Itakura-Saito nonnegative
matrix factorization", ICASSP, section 3).
"""

import torch.nn.functional as F
from torch import Tensor

from cmss.nmf.factors import TINY, correlate, product


def update_smooth_activations(V: Tensor, W: Tensor, H: Tensor, smoothness: float) -> Tensor:
    """Update the activations once; the sum of the divergence and the penalty never increases.

    Args:
        V: spectrogram of powers, an array of shape (bands, frames).
        W: templates, an array of shape (lags, bands, components).
        H: activations, an array of shape (components, frames).
        smoothness: weight of the penalty; 0 switches the penalty off.

    Returns:
        The new activations, an array of shape (components, frames).
    """
    L = product(W, H)
    # The bound on the divergence is `falling` / h + `rising` * h, up to a constant.
    falling, rising = H**2 * correlate(W, V / L**2), correlate(W, 1 / L)
    H = H.clone()
    # The penalty couples neighbouring frames. While the odd frames are fixed, the bound can be
    # minimised over all even frames at once, and vice versa.
    for start in range(2):
        best = _minimum(falling, rising, H, smoothness)
        H[:, start::2] = best[:, start::2].clamp(min=TINY)
    return H


def _minimum(falling: Tensor, rising: Tensor, H: Tensor, smoothness: float) -> Tensor:
    """Return the activations h that minimise `falling` / h + `rising` * h + penalty.

    The terms `falling` and `rising` are the coefficients of the bound on the divergence. For each
    frame, the activations in the previous and in the next frame are fixed.

    The penalty is `smoothness` times the sum of two terms: h[n-1] / h + log h for the previous
    frame, and h / h[n+1] - log h for the next frame. The logarithms cancel, except in the first and
    the last frame.
    """
    falling = falling + smoothness * F.pad(H[:, :-1], (1, 0))
    rising = (rising + smoothness * F.pad(1 / H[:, 1:], (0, 1))).clamp(min=TINY)
    logarithm = H.new_zeros(H.shape[-1])
    logarithm[-1] += smoothness
    logarithm[0] -= smoothness
    return ((logarithm**2 + 4 * rising * falling).sqrt() - logarithm) / (2 * rising)
