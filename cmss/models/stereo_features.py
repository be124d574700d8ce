"""Where the energy of a stereo mixture lies and which way it comes from."""

import torch
from torch import Tensor


def stereo_features(power: Tensor, cross: Tensor) -> Tensor:
    """Level of each channel, and the direction of arrival.

    Levels are in bels relative to the excerpt's mean; the direction is the normalised
    cross-spectrum, its real and its imaginary part.

    Args:
        power: of both channels, (B, 2, ...) with two more axes, frames and bins or bands.
        cross: real and imaginary part of the first channel times the second's conjugate, as power.

    Returns:
        (B, 4, ...).
    """
    mean = power.mean((1, 2, 3), keepdim=True) + 1e-12
    level = torch.log10(power / mean + 1e-7)
    direction = cross / (power.prod(1, keepdim=True).sqrt() + 1e-7 * mean)
    return torch.cat((level, direction), 1)
