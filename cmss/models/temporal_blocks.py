"""Defines the residual blocks of Conv-TasNet and their normalisation layers.

The paper is Luo and Mesgarani 2019, "Conv-TasNet: Surpassing Ideal Time-Frequency Magnitude Masking
for Speech Separation", IEEE/ACM TASLP 27(8). Tensors have the shape (batch, K, channels), with K
frames. Channels are the last axis, so that a 1x1 convolution is a matrix product and the other
operations read memory contiguously.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("gLN", "cLN", "id")
"""Types of :class:`Norm`, with their names in the published files."""

EPSILON = 1e-8
"""Constant that is added to variances, the same as in the published code."""


class TemporalBlock(nn.Module):
    """Applies a residual block with a depthwise dilated convolution in H channels.

    Before the dilated convolution, a 1x1 convolution converts B channels to H channels. After the
    dilated convolution, another 1x1 convolution converts H channels to B channels.
    """

    def __init__(self, B: int, H: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        self.net = nn.Sequential(
            Pointwise(B, H),
            PReLU(),
            Norm(H, norm_type),
            DepthwiseSeparableConv(H, B, P, dilation, norm_type, causal),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block; the shape (batch, K, B) does not change."""
        up, prelu, norm, down = self.net
        assert isinstance(norm, Norm)
        hidden = norm.normalise(prelu(up(x)))  # (batch, K, H)
        # Scale and offset of the norm are merged into the weights of the next convolution.
        return x + down(hidden, norm)  # (batch, K, B)


class DepthwiseSeparableConv(nn.Module):
    """Convolves each channel with a dilated kernel, then applies a 1x1 convolution."""

    def __init__(self, H: int, B: int, P: int, dilation: int, norm_type: str, causal: bool) -> None:
        super().__init__()
        # In the published causal networks, a module at this place trims the output. The identity
        # replaces this module, so that the indices in the names of later parameters are the same.
        trim = [nn.Identity()] if causal else []
        self.net = nn.Sequential(
            Depthwise(H, P, dilation, causal), *trim, PReLU(), Norm(H, norm_type), Pointwise(H, B)
        )

    def forward(self, x: Tensor, norm: "Norm") -> Tensor:
        """Apply both convolutions to hidden features (batch, K, H); return features (batch, K, B).

        The input is already normalised. This method applies the scale and the offset of `norm`.
        """
        depthwise, *_, prelu, own, pointwise = self.net
        assert isinstance(own, Norm)
        hidden = own.normalise(prelu(depthwise(x, norm)))  # (batch, K, H)
        return pointwise(hidden, own)  # (batch, K, B)


class Pointwise(nn.Conv1d):
    """Applies a 1x1 convolution to tensors whose last axis is the channel axis."""

    def __init__(self, channels: int, filters: int, bias: bool = False) -> None:
        super().__init__(channels, filters, 1, bias=bias)

    def forward(self, x: Tensor, norm: "Norm | None" = None) -> Tensor:
        """Apply the scale and the offset of `norm`, then the convolution.

        The scale and the offset are merged into the weights: W (gamma x + beta) = (W gamma) x + W
        beta. Merged weights save two passes over the data and four passes over the gradients.
        """
        weight, bias = self.weight.squeeze(-1), self.bias  # (filters, channels), (filters,)
        if norm is not None and norm.gamma is not None:
            weight, bias = weight * norm.gamma.flatten(), weight @ norm.beta.flatten()
        return F.linear(x, weight, bias)


class Depthwise(nn.Conv1d):
    """Applies a dilated kernel to each channel; the shape (batch, K, channels) does not change."""

    def __init__(self, channels: int, P: int, dilation: int, causal: bool) -> None:
        super().__init__(channels, channels, P, dilation=dilation, groups=channels, bias=False)
        context = (P - 1) * dilation
        self.before = context if causal else context // 2
        self.after = context - self.before

    def forward(self, x: Tensor, norm: "Norm | None" = None) -> Tensor:
        """Apply the scale and the offset of `norm`, then the convolution."""
        weight = self.weight.squeeze(1).T  # (P, channels)
        if norm is None or norm.gamma is None:
            return self._convolve(x, weight)
        scaled = self._convolve(x, weight * norm.gamma.flatten())
        # The zero padding is inserted after the norm, so the padding has no offset. Therefore, the
        # contribution of the offset depends on time near both ends.
        ones = x.new_ones(1, x.shape[1], 1)
        return scaled + self._convolve(ones, weight * norm.beta.flatten())

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        # The convolution is a sum of shifted products, because nn.Conv1d requires channels first.
        padded = F.pad(x, (0, 0, self.before, self.after))  # (batch, K + before + after, channels)
        (step,), frames = self.dilation, x.shape[1]
        y = padded[:, :frames] * weight[0]
        for tap in range(1, len(weight)):
            y = y + padded[:, tap * step : tap * step + frames] * weight[tap]
        return y  # (batch, K, channels)


class PReLU(nn.PReLU):
    """Computes nn.PReLU with a single slope, by a formula with a faster gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation; the shape does not change."""
        return torch.where(x > 0, x, self.weight * x)


class Norm(nn.Module):
    """Normalises features and applies a scale and an offset to each channel.

    The scale and the offset have the same shape (1, channels, 1) as in the published weights.

    Args:
        channels: number of channels.
        norm_type: type of normalisation. The type `gLN` normalises each excerpt over channels and
            frames together. The type `cLN` normalises each frame over the channels. The type `id`
            has no normalisation, no scale and no offset.
    """

    gamma: nn.Parameter | None
    beta: nn.Parameter

    def __init__(self, channels: int, norm_type: str) -> None:
        super().__init__()
        self.norm_type = norm_type
        if norm_type == "id":
            self.register_parameter("gamma", None)
        else:
            self.gamma = nn.Parameter(torch.ones(1, channels, 1))
            self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def normalise(self, x: Tensor) -> Tensor:
        """Normalise a tensor (batch, K, channels), with neither scale nor offset."""
        if self.norm_type == "id":
            return x
        first = 1 if self.norm_type == "gLN" else 2  # first axis over which x is normalised
        return F.layer_norm(x, x.shape[first:], eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise a tensor (batch, K, channels), and apply the scale and the offset."""
        x = self.normalise(x)
        # (1, channels, 1) -> (1, 1, channels)
        return x if self.gamma is None else torch.addcmul(self.beta.mT, x, self.gamma.mT)
