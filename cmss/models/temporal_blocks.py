"""The residual blocks that Conv-TasNet is a stack of (Luo and Mesgarani 2019), and their norms.

Channels come last, (batch, K frames, channels): a 1x1 convolution is then a product of matrices,
and the others read along.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-8


class TemporalBlock(nn.Module):
    """1x1 convolution up to H channels, depthwise dilated convolution, 1x1 back, and the input."""

    def __init__(self, B: int, H: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Pointwise(B, H),
            PReLU(),
            NORMS[norm_type](H),
            DepthwiseSeparableConv(H, B, P, dilation, norm_type, causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, K, B) -> (batch, K, B)."""
        up, prelu, norm, down = self.net
        assert isinstance(norm, Norm | Identity)
        return x + down(norm.normalise(prelu(up(x))), norm)


class DepthwiseSeparableConv(nn.Module):
    """A dilated convolution per channel, then a 1x1 convolution: (batch, K, H) -> (batch, K, B)."""

    def __init__(self, H: int, B: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        # The published state_dicts count the causal networks' trimming as a member.
        trim = [nn.Identity()] if causal else []
        self.net = nn.Sequential(
            Depthwise(H, P, dilation, causal), *trim, PReLU(), NORMS[norm_type](H), Pointwise(H, B)
        )

    def forward(self, x: Tensor, norm: "Norm | Identity") -> Tensor:
        """(batch, K, H), normalised but for the scale and offset of `norm` -> (batch, K, B)."""
        depthwise, *_, prelu, own, pointwise = self.net
        assert isinstance(own, Norm | Identity)
        return pointwise(own.normalise(prelu(depthwise(x, norm))), own)


class Pointwise(nn.Conv1d):
    """1x1 convolution with channels last: (batch, K, channels) -> (batch, K, filters)."""

    def __init__(self, channels: int, filters: int, bias: bool = False) -> None:
        super().__init__(channels, filters, 1, bias=bias)

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """(batch, K, channels) -> (batch, K, filters), after the scale and offset of `norm`.

        Those are taken into the weights: two passes less over the data, four less over gradients.
        """
        weight, bias = self.weight.squeeze(-1), self.bias
        if isinstance(norm, Norm):
            weight, bias = weight * norm.gamma.flatten(), weight @ norm.beta.flatten()
        return F.linear(x, weight, bias)


class Depthwise(nn.Conv1d):
    """Dilated convolution of each channel, as many frames out as in: (batch, K, channels)."""

    def __init__(self, channels: int, P: int, dilation: int, causal: bool) -> None:
        super().__init__(channels, channels, P, dilation=dilation, groups=channels, bias=False)
        reach = (P - 1) * dilation
        self.before = reach if causal else reach // 2
        self.after = reach - self.before

    def forward(self, x: Tensor, norm: "Norm | Identity | None" = None) -> Tensor:
        """(batch, K, channels) -> the same shape, after the scale and offset of `norm`."""
        weight = self.weight.squeeze(1).T  # (P, channels)
        if not isinstance(norm, Norm):
            return self._convolve(x, weight)
        scaled = self._convolve(x, weight * norm.gamma.flatten())
        # The offset meets the padding's zeros at both ends, so it is a function of time.
        ones = x.new_ones(1, x.shape[1], 1)
        return scaled + self._convolve(ones, weight * norm.beta.flatten())

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        padded = F.pad(x, (0, 0, self.before, self.after))
        (step,), frames = self.dilation, x.shape[1]
        y = padded[:, :frames] * weight[0]
        for tap in range(1, len(weight)):
            y = y + padded[:, tap * step : tap * step + frames] * weight[tap]
        return y


class PReLU(nn.PReLU):
    """nn.PReLU, whose gradient for the one slope is slow, as one comparison."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return torch.where(x > 0, x, self.weight * x)


class Norm(nn.Module, ABC):
    """A scale and an offset per channel, kept as (1, channels, 1) as in the published weights."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    @abstractmethod
    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape."""
        return torch.addcmul(self.beta.mT, self.normalise(x), self.gamma.mT)


class ChannelwiseLayerNorm(Norm):
    """cLN: each frame is normalised over its channels."""

    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""
        return F.layer_norm(x, x.shape[2:], eps=EPSILON)


class GlobalLayerNorm(Norm):
    """gLN: each excerpt is normalised over channels and frames together."""

    def normalise(self, x: Tensor) -> Tensor:
        """(batch, K, channels) -> the same shape, before scale and offset."""
        return F.layer_norm(x, x.shape[1:], eps=EPSILON)


class Identity(nn.Identity):
    """No normalisation; takes the number of channels like the others."""

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        super().__init__()

    def normalise(self, x: Tensor) -> Tensor:
        """The same."""
        return x


NORMS: dict[str, type[nn.Module]] = {
    "gLN": GlobalLayerNorm,
    "cLN": ChannelwiseLayerNorm,
    "id": Identity,
}
