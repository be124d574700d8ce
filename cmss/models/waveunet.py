"""Implements Wave-U-Net (Stoller, Ewert and Dixon 2018).

The paper is "Wave-U-Net: A Multi-Scale Neural Network for End-to-End Audio Source Separation",
ISMIR. The network is a U-Net on the waveform. By default, the arguments have the values of the
published configuration M6. The input and the output have the same lengths as in the authors' code,
f90/Wave-U-Net (MIT licence; see NOTICE).

In shapes, B is the batch size, T the number of samples, S the number of sources, and C the number
of channels. Inside the network, the channels are the last axis.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import mixture_consistent, presence
from cmss.models.record import NetworkRecord, Size
from cmss.scenes import INSTRUMENTS

SLOPE = 0.2
"""Slope of LeakyReLU for negative inputs, from the authors' code."""


@dataclass(frozen=True)
class WaveUNetArguments:
    """Arguments of :class:`WaveUNet`.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate of the network in Hz.
        levels: number of times that the sampling rate is halved.
        filters: number of channels of the first level; the i-th level has i times as many channels.
        down_kernel: kernel size of the encoder's convolutions, an odd number.
        up_kernel: kernel size of the decoder's convolutions, an odd number.
        difference: whether the last source is the mixture minus the sum of the other sources; True
            in the paper. If `difference` is false, the difference between the mixture and the sum
            of all estimates is distributed equally among the sources that are present.
        conditioned: whether the network is conditioned on the presence of the sources.
    """

    sources: tuple[str, ...]
    samplerate: int = 22050
    levels: int = 12
    filters: int = 24
    down_kernel: int = 15
    up_kernel: int = 5
    difference: bool = True
    conditioned: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.levels < 1:
            raise ValueError(f"levels: expected at least 1, got {self.levels}")
        for name in ("down_kernel", "up_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(
                    f"{name}: expected an odd number, so that outputs align with inputs"
                )


class WaveUNet(Network):
    """Estimates the waveforms of the sources from the waveform of the mixture.

    Convolutions have no padding, so the output of a convolution is shorter than the input.
    Therefore, the mixture is padded with zeros at both ends, see :meth:`lengths`. The mixture is
    scaled to an RMS of 1 before the U-Net, and the estimates are scaled back after the U-Net, so
    that the result does not depend on the level of the mixture.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T) and is
        exactly aligned with the mixture. Outputs of absent sources are zero. The sum of the sources
        is the mixture, unless `difference` is true and the last source is absent.
    """

    model_name = "waveunet"

    def __init__(self, arguments: WaveUNetArguments) -> None:
        super().__init__(arguments)
        a = arguments
        width = [a.filters * (level + 1) for level in range(a.levels + 1)]
        self.down = nn.ModuleList(
            Convolution(inputs, outputs, a.down_kernel)
            for inputs, outputs in pairwise((2, *width[:-1]))
        )
        self.bottom = Convolution(width[-2], width[-1], a.down_kernel)
        self.presence = nn.Linear(len(a.sources), width[-1], bias=False) if a.conditioned else None
        self.up = nn.ModuleList(
            Convolution(width[level] + width[level + 1], width[level], a.up_kernel)
            for level in reversed(range(a.levels))
        )
        self.output = nn.Linear(2 + width[0], 2 * (len(a.sources) - a.difference))

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        samples = mixture.shape[-1]
        needed, given = self.lengths(samples)
        before = (needed - given) // 2
        # The level is the RMS of both channels, (B, 1, 1).
        level = torch.linalg.vector_norm(mixture, dim=(1, 2), keepdim=True) / (2 * samples) ** 0.5
        mixture = mixture / level.clamp(min=1e-8)  # the limit prevents a division by zero
        padded = F.pad(mixture, (before, needed - before - samples))
        # (B, 2, needed) -> (B, needed, 2) -> (B, T, 2 S), with `difference` 2 (S - 1) channels
        estimates = self._layers(padded.mT.contiguous(), present)[:, :samples]
        # (B, T, 2 S) -> (B, T, S, 2) -> (B, S, 2, T)
        estimates = estimates.unflatten(-1, (-1, 2)).permute(0, 2, 3, 1).contiguous().float()
        if self.arguments.difference:
            # This is the "difference output layer", section 3.2.1 of the paper. In the paper, the
            # estimates are limited to full scale. Here the estimates are limited to the peak of the
            # mixture, because the mixture has been scaled. With an RMS of 1, the peak is at least
            # 1, except in silence.
            peak = mixture.abs().amax((1, 2), keepdim=True).clamp(min=1).unsqueeze(1)
            estimates = peak * torch.tanh(estimates / peak)  # (B, S - 1, 2, T)
            rest = mixture.unsqueeze(1) - estimates.sum(1, keepdim=True)
            estimates = torch.cat((estimates, rest), 1) * present[..., None, None]
        else:
            estimates = mixture_consistent(estimates, mixture, present)
        return estimates * level.unsqueeze(1)

    def lengths(self, samples: int) -> tuple[int, int]:
        """Return the lengths of the input and output; the output has at least `samples` samples.

        The output corresponds to the centre of the input. See section 3.2.2 of the paper,
        "Prediction with proper input context and resampling".
        """
        a = self.arguments
        # First, the length at the lowest level is computed from the length of the output.
        # Interpolation of n samples gives 2 n - 1 samples. A convolution drops kernel - 1 samples.
        needed = samples
        for _ in range(a.levels):
            needed = (needed + a.up_kernel + 1) // 2
        given = needed
        needed += a.down_kernel - 1
        # Second, the lengths of the output (given) and of the input (needed) are computed from the
        # length at the lowest level.
        for _ in range(a.levels):
            given = 2 * given - a.up_kernel
            needed = 2 * needed - 1 + a.down_kernel - 1  # decimation of 2 n - 1 samples gives n
        return needed, given

    def _layers(self, mixture: Tensor, present: Tensor) -> Tensor:
        """Apply the U-Net to a mixture (B, T + context, 2); return estimates (B, T, 2 S).

        If `difference` is true, the output has 2 (S - 1) channels instead of 2 S channels.
        """
        x, skips = mixture, []
        for convolution in self.down:
            skips.append(F.leaky_relu(convolution(x), SLOPE))  # (B, about T / 2^level, C of level)
            # The input must be contiguous. Otherwise, the output of the next convolution has
            # channels first.
            x = skips[-1][:, ::2].contiguous()
        x = self.bottom(x)  # (B, about T / 2^levels, C)
        if self.presence is not None:
            x = x + self.presence(present.to(x.dtype)).unsqueeze(1)
        x = F.leaky_relu(x, SLOPE)
        for convolution, skip in zip(self.up, reversed(skips), strict=True):
            # Linear interpolation between neighbours: (B, n, C) -> (B, 2 n - 1, C)
            twice = x.repeat_interleave(2, dim=1)
            x = (twice[:, 1:] + twice[:, :-1]) / 2
            x = F.leaky_relu(convolution(_beside(skip, x)), SLOPE)
        # As in the paper, the input of the last layer includes the mixture: (B, T, 2 + filters)
        return self.output(_beside(mixture, x))


class Convolution(nn.Conv1d):
    """Applies a convolution (without padding) to tensors whose last axis is the channel axis.

    With the initial weights, the output has the same variance as the input (He et al. 2015). The
    network has no normalisation layer that could restore the variance.
    """

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, kernel)
        nn.init.kaiming_normal_(self.weight, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve an input (B, T, C); return an output (B, T - kernel + 1, filters)."""
        # This is a 2-D convolution, because PyTorch does not support channels last in 1-D
        # convolutions.
        image = x.mT.unsqueeze(2)  # (B, C, 1, T), a view
        return F.conv2d(image, self.weight.unsqueeze(2), self.bias).squeeze(2).mT


def _beside(skip: Tensor, x: Tensor) -> Tensor:
    """Concatenate the centre of a skip connection (B, ..., C_skip) with x (B, T, C)."""
    start = (skip.shape[1] - x.shape[1]) // 2
    return torch.cat((skip[:, start : start + x.shape[1]], x), -1)


# fmt: off
RECORD = NetworkRecord(
    name="waveunet",
    network=WaveUNet,
    arguments=WaveUNetArguments,
    summary="Wave-U-Net: a U-Net on waveforms",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "levels": 10, "filters": 12,
                "down_kernel": 9, "difference": False, "conditioned": True,
            },
            "estimates_remix",
        ),
        # This is the configuration M6 of the paper, with an output for each instrument.
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 2}),
    },
    licence="mit",
    data=("SCORES", "NOTES", "SYNTHETIC_NOTES"),
)
# fmt: on
