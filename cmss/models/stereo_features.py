"""Input features of networks for stereo mixtures: level and direction of arrival."""

import torch
from torch import Tensor


def stereo_features(power: Tensor, cross: Tensor) -> Tensor:
    """Compute the level of each channel and the direction of arrival.

    Levels are in bels relative to the mean of the excerpt. The direction is the cross-spectrum,
    normalised by the geometric mean of both powers, with real and imaginary part.

    Args:
        power: of both channels, (B, 2, ...) with two more axes, frames and bins or bands.
        cross: real and imaginary part of left * conj(right), of the same shape.

    Returns:
        (B, 4, ...).
    """
    mean = power.mean((1, 2, 3), keepdim=True) + 1e-12
    level = torch.log10(power / mean + 1e-7)
    direction = cross / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)
    return torch.cat((level, direction), 1)
