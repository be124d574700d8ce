"""Residual blocks of Conv-TasNet (Luo and Mesgarani 2019), and their norms.

Channels are the last axis, (batch, K frames, channels). So a 1x1 convolution is a matrix product,
and the other operations read memory contiguously.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-8


class TemporalBlock(nn.Module):
    """Residual block: 1x1 convolution to H channels, depthwise dilated convolution, 1x1 back."""

    def __init__(self, B: int, H: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Pointwise(B, H),
            PReLU(),
            NORMS[norm_type](H),
            DepthwiseSeparableConv(H, B, P, dilation, norm_type, causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: (batch, K, B) -> (batch, K, B)."""
        up, prelu, norm, down = self.net
        assert isinstance(norm, Norm | Identity)
        # Scale and offset of the norm are merged into the weights of the next convolution.
        return x + down(norm.normalise(prelu(up(x))), norm)


class DepthwiseSeparableConv(nn.Module):
    """A dilated convolution per channel, then a 1x1 convolution: (batch, K, H) -> (batch, K, B)."""

    def __init__(self, H: int, B: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        # In the published causal networks, the trimming of the output is a module here: the
        # identity keeps the indices in the names of later parameters.
        trim = [nn.Identity()] if causal else []
        self.net = nn.Sequential(
            Depthwise(H, P, dilation, causal), *trim, PReLU(), NORMS[norm_type](H), Pointwise(H, B)
        )

    def forward(self, x: Tensor, norm: "Norm | Identity") -> Tensor:
        """Apply both: (batch, K, H) -> (batch, K, B).

        The input is normalised, but without the scale and offset of `norm`, which are applied here.
        """
        depthwise, *_, prelu, own, pointwise = self.net
        assert isinstance(own, Norm | Identity)
        return pointwise(own.normalise(prelu(depthwise(x, norm))), own)


class Pointwise(nn.Conv1d):
    """1x1 convolution with channels last: (batch, K, channels) -> (batch, K, filters)."""

    def __init__(self, channels: int, filters: int, bias: bool = False) -> None:
        super().__init__(channels, filters, 1, bias=bias)

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """Apply scale and offset of `norm`, then convolve: (batch, K, channels) -> (..., filters).

        Scale and offset are merged into the weights, which saves two passes over the data and four
        over gradients: W (gamma x + beta) = (W gamma) x + W beta.
        """
        weight, bias = self.weight.squeeze(-1), self.bias
        if isinstance(norm, Norm):
            weight, bias = weight * norm.gamma.flatten(), weight @ norm.beta.flatten()
        return F.linear(x, weight, bias)


class Depthwise(nn.Conv1d):
    """Dilated convolution of each channel that keeps the number of frames: (batch, K, channels)."""

    def __init__(self, channels: int, P: int, dilation: int, causal: bool) -> None:
        super().__init__(channels, channels, P, dilation=dilation, groups=channels, bias=False)
        reach = (P - 1) * dilation
        self.before = reach if causal else reach // 2
        self.after = reach - self.before

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """Apply scale and offset of `norm`, then convolve: the shape does not change."""
        weight = self.weight.squeeze(1).T  # (P, channels)
        if not isinstance(norm, Norm):
            return self._convolve(x, weight)
        scaled = self._convolve(x, weight * norm.gamma.flatten())
        # Zero padding comes after the norm, so it has no offset: near both ends, the contribution
        # of the offset depends on time.
        ones = x.new_ones(1, x.shape[1], 1)
        return scaled + self._convolve(ones, weight * norm.beta.flatten())

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        # A sum of shifted products, because nn.Conv1d requires channels first.
        padded = F.pad(x, (0, 0, self.before, self.after))
        (step,), frames = self.dilation, x.shape[1]
        y = padded[:, :frames] * weight[0]
        for tap in range(1, len(weight)):
            y = y + padded[:, tap * step : tap * step + frames] * weight[tap]
        return y


class PReLU(nn.PReLU):
    """nn.PReLU with a single slope, written as a comparison because its gradient is then faster."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation; the shape does not change."""
        return torch.where(x > 0, x, self.weight * x)


class Norm(nn.Module, ABC):
    """Norm with a scale and an offset per channel, (1, channels, 1) as in the published weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """Normalise (batch, K, channels) without scale and offset."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (batch, K, channels), and apply scale and offset."""
        return torch.addcmul(self.beta.mT, self.normalise(x), self.gamma.mT)


class ChannelwiseLayerNorm(Norm):
    """cLN: normalises each frame over its channels."""

    def normalise(self, x: Tensor) -> Tensor:
        """Normalise (batch, K, channels) without scale and offset."""
        return F.layer_norm(x, x.shape[2:], eps=EPSILON)


class GlobalLayerNorm(Norm):
    """gLN: normalises each excerpt over channels and frames together."""

    def normalise(self, x: Tensor) -> Tensor:
        """Normalise (batch, K, channels) without scale and offset."""
        return F.layer_norm(x, x.shape[1:], eps=EPSILON)


class Identity(nn.Identity):
    """No normalisation, with the same interface as the norms."""

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        super().__init__()

    def normalise(self, x: Tensor) -> Tensor:
        """Return the input."""
        return x


NORMS: dict[str, type[nn.Module]] = {
    "gLN": GlobalLayerNorm,
    "cLN": ChannelwiseLayerNorm,
    "id": Identity,
}
