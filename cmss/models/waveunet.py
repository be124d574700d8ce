"""Wave-U-Net (Stoller, Ewert and Dixon 2018).

"Wave-U-Net: A Multi-Scale Neural Network for End-to-End Audio Source Separation", ISMIR: a U-Net
on the waveform. The defaults are the published configuration M6, and the arithmetic of lengths that
of the authors' code, f90/Wave-U-Net (MIT; see NOTICE).

Shapes: B batch, T samples, S sources, C channels. Inside, channels come last.
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

SLOPE = 0.2  # of LeakyReLU
QUIETEST = 1e-8  # RMS below which a mixture is not raised to the level of others


@dataclass(frozen=True)
class WaveUNetArguments:
    """Arguments of :class:`WaveUNet`.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate in Hz that the network works at.
        levels: how often the sampling rate is halved.
        filters: channels of the first level; level i has i times as many.
        down_kernel: length of the convolutions on the way down, odd.
        up_kernel: length of those on the way up, odd.
        difference: as published, the last source is what the others leave of the mixture, and a
            tanh bounds those; otherwise none is special, and what all leave of the mixture is
            shared equally among the ones that are present.
        conditioned: whether the network is told who is present.
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
            raise ValueError(f"levels must be at least 1, not {self.levels}")
        for name in ("down_kernel", "up_kernel"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, or outputs fall between samples")


class WaveUNet(Network):
    """Waveforms of the sources from that of the mixture, by convolutions that do not pad.

    A valid convolution needs more input than it gives output, so the mixture gets zeros at both
    ends (:meth:`lengths` says how many). It is brought to an RMS of one before the network and
    estimates back after it, so that only its form matters.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T), aligned with the mixture to the sample; absent sources are zero, and
          present ones sum to the mixture unless `difference` and the last one is absent
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
        """(B, 2, T) -> (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        samples = mixture.shape[-1]
        needed, given = self.lengths(samples)
        before = (needed - given) // 2
        level = torch.linalg.vector_norm(mixture, dim=(1, 2), keepdim=True) / (2 * samples) ** 0.5
        mixture = mixture / level.clamp(min=QUIETEST)
        padded = F.pad(mixture, (before, needed - before - samples))
        estimates = self._layers(padded.mT.contiguous(), present)[:, :samples]
        estimates = estimates.unflatten(-1, (-1, 2)).permute(0, 2, 3, 1).contiguous().float()
        if self.arguments.difference:
            estimates = _with_difference(estimates, mixture) * present[..., None, None]
        else:
            estimates = mixture_consistent(estimates, mixture, present)
        return estimates * level.unsqueeze(1)

    def lengths(self, samples: int) -> tuple[int, int]:
        """Samples of input that the convolutions need to give so many, and what they then give.

        What they give is the middle of the input, and the least that is possible and enough.
        """
        a = self.arguments
        needed = samples
        for _ in range(a.levels):  # of an interpolation's input: its output is 2 n - 1 long
            needed = (needed + a.up_kernel + 1) // 2
        given = needed
        needed += a.down_kernel - 1
        for _ in range(a.levels):
            given = 2 * given - a.up_kernel
            needed = 2 * needed - 1 + a.down_kernel - 1
        return needed, given

    def _layers(self, mixture: Tensor, present: Tensor) -> Tensor:
        """(B, T + context, 2), bool (B, S) -> (B, T, 2 S), or 2 (S - 1) with `difference`."""
        x, skips = mixture, []
        for convolution in self.down:
            skips.append(F.leaky_relu(convolution(x), SLOPE))
            x = skips[-1][:, ::2].contiguous()  # else the next one has its channels first
        x = self.bottom(x)
        if self.presence is not None:
            x = x + self.presence(present.to(x.dtype)).unsqueeze(1)
        x = F.leaky_relu(x, SLOPE)
        for convolution, skip in zip(self.up, reversed(skips), strict=True):
            x = F.leaky_relu(convolution(_beside(skip, _interpolate(x))), SLOPE)
        return self.output(_beside(mixture, x))


class Convolution(nn.Conv1d):
    """A convolution without padding, channels last: (B, T, C) -> (B, T - kernel + 1, filters).

    Its weights start so that signals keep their variance (He et al. 2015) through twice as many
    layers as levels, since no normalisation would restore it.
    """

    def __init__(self, channels: int, filters: int, kernel: int) -> None:
        super().__init__(channels, filters, kernel)
        nn.init.kaiming_normal_(self.weight, SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T - kernel + 1, filters)."""
        # Two dimensions, since only those may have their channels last.
        image = x.mT.unsqueeze(2)
        return F.conv2d(image, self.weight.unsqueeze(2), self.bias).squeeze(2).mT


def _interpolate(x: Tensor) -> Tensor:
    """Put the mean of each two neighbours between them: (B, T, C) -> (B, 2 T - 1, C)."""
    twice = x.repeat_interleave(2, dim=1)
    return (twice[:, 1:] + twice[:, :-1]) / 2


def _beside(skip: Tensor, x: Tensor) -> Tensor:
    """The middle of a longer signal in the channels before those of `x`."""
    start = (skip.shape[1] - x.shape[1]) // 2
    return torch.cat((skip[:, start : start + x.shape[1]], x), -1)


def _with_difference(estimates: Tensor, mixture: Tensor) -> Tensor:
    """Bound estimates (B, S - 1, 2, T), and append what they leave of the mixture (B, 2, T).

    By the mixture's peak, that is: full scale as published, for a mixture that just reaches it.
    """
    peak = mixture.abs().amax((1, 2), keepdim=True).clamp(min=1).unsqueeze(1)  # at least the RMS
    estimates = peak * torch.tanh(estimates / peak)
    rest = mixture.unsqueeze(1) - estimates.sum(1, keepdim=True)
    return torch.cat((estimates, rest), 1)


# fmt: off
RECORD = NetworkRecord(
    name="waveunet",
    network=WaveUNet,
    arguments=WaveUNetArguments,
    summary="a U-Net on waveforms",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "levels": 10, "filters": 12,
                "down_kernel": 9, "difference": False, "conditioned": True,
            },
            "estimates_remix",
        ),
        # M6 of its paper, one output per instrument.
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 2}),
    },
    licence="mit",
)
# fmt: on
