"""A post-filter: a small network that looks once more at who has how much of each bin.

It stands behind the separator that it was trained behind, and knows nothing of instruments. For
each source it is told the odds of its estimate and of its directions in every bin, in long windows
in which partials are resolved, and corrects the odds, for either channel of its own: one network
for every source, which hears of the others by the mean over all sources. So the order of the
sources does not matter, nor how many there are.

Shapes: S sources, F bins, K frames, C channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import relu

from cmss.models import checkpoint  # not its names: it may be importing this module
from cmss.settings import Rate
from cmss.transforms.directions import (
    direction_moments,
    direction_parts,
    directions_near_and_far,
    sums_around,
)
from cmss.transforms.shares import (
    DOUBT,
    channel_log_shares,
    log_odds,
    log_shares,
    silent_sources,
)

MODEL = "postfilter"
"""Its name in checkpoints."""

LIMIT = 9.0
"""Largest logarithm of odds, some that of :data:`DOUBT`."""

CLUES = 11
"""Planes of :func:`clues`."""

ODDS, LEVEL = 0, 7
"""Of these the odds of the source's share, and the level of the mixture."""

LONG_TERM = (3, 40)
"""Bins on either side whose powers count as one: a partial, and half an octave at 600 Hz."""

PIECE = 128
"""Frames that are filtered at once; memory does not grow with a signal's length."""


Dilation = Annotated[
    Sequence[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)
]
Multiple = Annotated[float, Field(ge=0.01, le=100)]


@dataclass(frozen=True)
class PostfilterArguments:
    """Arguments of :class:`Postfilter`.

    Args:
        samplerate: sampling rate of the signals in Hz.
        window: samples of the Hann window of the spectra.
        bins: lowest bins that are filtered; higher ones keep their shares.
        channels: of each layer.
        dilations: of each block's kernel of 3 x 3, in bins and frames.
        relatives: frequencies that are looked at too, as multiples of a bin's own, since the
            partials of a note stand and fall together.
    """

    samplerate: Rate = 44100
    window: Annotated[int, Field(ge=512, le=2**20, multiple_of=4)] = 8192
    # To 8.3 kHz; HAAQI's highest band is at 8 kHz.
    bins: Annotated[int, Field(ge=64)] = 1536
    channels: Annotated[int, Field(ge=1, le=4096)] = 32
    dilations: Annotated[Sequence[Dilation], Field(max_length=100)] = (
        (1, 1),
        (2, 2),
        (1, 4),
        (4, 1),
        (1, 8),
        (8, 2),
        (1, 1),
    )
    relatives: Annotated[Sequence[Multiple], Field(max_length=100)] = ()

    def __post_init__(self) -> None:
        if self.bins > self.window // 2 + 1:
            raise ValueError(
                f"bins: {self.bins}, expected at most {self.window // 2 + 1}, half of the window "
                "and one"
            )
        pairs = tuple((int(bins), int(frames)) for bins, frames in self.dilations)
        object.__setattr__(self, "dilations", pairs)
        object.__setattr__(self, "relatives", tuple(map(float, self.relatives)))


@dataclass(frozen=True)
class LongTerm:
    """What the clues need of all frames of a recording.

    Args:
        silent: which sources are silent throughout, (S,).
        directions: moments of each source's directions, (S, F, 4).
        power: of each source in each bin, (S, F, 1).
        level: mean power of the mixture in each bin, (F, 1).
    """

    silent: Tensor
    directions: Tensor
    power: Tensor
    level: Tensor


def long_term(mixture: Tensor, estimates: Tensor) -> LongTerm:
    """Collect over all frames what the clues need: complex (2, F, K) and (S, 2, F, K)."""
    silent = silent_sources(estimates)
    share = _share(log_shares(estimates, silent))
    power = mixture.abs().square().sum(0)  # (F, K)
    weight = power.sqrt() * share.square()
    return LongTerm(
        silent,
        direction_moments(direction_parts(mixture), weight),
        (share * power).sum(-1, keepdim=True),
        power.mean(-1, keepdim=True),
    )


def clues(mixture: Tensor, estimates: Tensor, over_all: LongTerm | None = None) -> Tensor:
    """What the network is told of each source in each bin, none of it dependent on the level.

    Log odds of the source's share; of its directions, with few to many neighbours; and of its
    power in the whole signal. The mixture's level against its mean there. The source's level left
    against right. The frequency.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).
        over_all: of all frames, where these are some of them; None: these are all.

    Returns:
        (S, :data:`CLUES`, F, K).
    """
    over_all = over_all or long_term(mixture, estimates)
    shares = log_shares(estimates, over_all.silent).clamp(min=math.log(DOUBT))
    power = mixture.abs().square().sum(0)  # (F, K)
    likelihoods, sides = directions_near_and_far(direction_parts(mixture), over_all.directions)
    planes = [log_odds(shares, LIMIT), *log_odds(likelihoods, LIMIT).unbind(1)]
    for neighbours in LONG_TERM:
        around = sums_around(over_all.power, neighbours)
        total = around.sum(0)
        of_all = around / total.where(total > 0, 1)
        planes.append(log_odds((of_all + DOUBT).log(), LIMIT).expand_as(shares))
    mean = sums_around(over_all.level, LONG_TERM[-1]) / (2 * LONG_TERM[-1] + 1)
    level = (power / mean.where(mean > 0, 1) + 1e-6).log() / 2
    planes.append(level.expand_as(shares))
    planes += [side.unsqueeze(-1).expand_as(shares) / 2 for side in sides[:, 1:3].unbind(1)]
    frequency = torch.linspace(0, 1, len(level), device=level.device)
    planes.append(3 * (frequency + 0.02).log()[:, None].expand_as(shares) / 2)
    return torch.stack(planes, 1) / 3  # around one


def _share(logarithms: Tensor) -> Tensor:
    """Shares, none below :data:`DOUBT`, from their logarithms."""
    return logarithms.clamp(min=math.log(DOUBT)).exp()


class Postfilter(nn.Module):
    """Shares of the mixture, corrected.

    Shape:
        - mixture: complex (2, F, K); estimates: complex (S, 2, F, K)
        - output: as the estimates; they sum to the mixture, and a source that is silent in the
          estimates stays silent
    """

    def __init__(self, arguments: PostfilterArguments) -> None:
        super().__init__()
        self.arguments = arguments
        planes = CLUES + 2 * len(arguments.relatives)
        self.first = nn.Conv2d(planes, arguments.channels, 1)
        self.blocks = nn.ModuleList(
            _Block(arguments.channels, dilation) for dilation in arguments.dilations
        )
        self.last = nn.Conv2d(arguments.channels, 2, 1)
        # It begins as no filter at all.
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @property
    def context(self) -> int:
        """Frames on either side that the correction of a frame depends on."""
        return sum(frames for _, frames in self.arguments.dilations)

    def long_term(self, mixture: Tensor, estimates: Tensor) -> LongTerm:
        """What it needs of all frames: complex (2, F, K) and (S, 2, F, K)."""
        bins = self.arguments.bins
        low = long_term(mixture[:, :bins], estimates[:, :, :bins])
        # A source may be silent in the bins that are filtered, and nowhere else.
        return replace(low, silent=silent_sources(estimates))

    def forward(
        self,
        mixture: Tensor,
        estimates: Tensor,
        alike: Sequence[Sequence[int]] = (),
        over_all: LongTerm | None = None,
    ) -> Tensor:
        """Complex (2, F, K) and (S, 2, F, K) -> (S, 2, F, K).

        `alike` are sources that play one instrument: what they have together is corrected, and how
        they share it is left as estimated, since which of two equals is which no bin can tell.
        """
        bins = self.arguments.bins
        over_all = over_all or self.long_term(mixture, estimates)
        told = clues(mixture[:, :bins], estimates[:, :, :bins], over_all)
        logarithms = channel_log_shares(estimates, over_all.silent)
        corrections = torch.zeros_like(logarithms)
        corrections[:, :, :bins] = self._in_pieces(told)
        return corrected(logarithms, corrections, alike) * mixture

    def corrections(self, told: Tensor) -> Tensor:
        """What is added to the logarithms of shares: clues (S, CLUES, F, K) -> (S, 2, F, K)."""
        relatives = self.arguments.relatives
        related = [at_multiple(told[:, (ODDS, LEVEL)], times) for times in relatives]
        told = torch.cat([told, *related], 1)
        hidden = self.first(told.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(relu(hidden)).float()

    def begin_like(self, other: "Postfilter") -> None:
        """Take another one's layers, but for the last, so that this one is no filter at all yet.

        Args:
            other: with as many channels and blocks; what it looks at comes first here, too.

        Raises:
            ValueError: its channels or dilations are others.
        """
        for name in ("channels", "dilations"):
            if getattr(other.arguments, name) != getattr(self.arguments, name):
                theirs, own = getattr(other.arguments, name), getattr(self.arguments, name)
                raise ValueError(f"{name} differ: {theirs}, expected {own}")
        theirs = other.first.state_dict()
        weight = torch.zeros_like(self.first.weight)
        weight[:, : theirs["weight"].shape[1]] = theirs["weight"]
        self.first.load_state_dict({**theirs, "weight": weight})
        self.blocks.load_state_dict(other.blocks.state_dict())

    def _in_pieces(self, told: Tensor) -> Tensor:
        """:meth:`corrections` of as many frames as there are, some at once."""
        frames = told.shape[-1]
        reach = self.context
        pieces = []
        for start in range(0, frames, PIECE):
            before, end = min(start, reach), min(start + PIECE, frames)
            piece = self.corrections(told[..., start - before : end + reach])
            pieces.append(piece[..., before : before + end - start])
        return torch.cat(pieces, -1)


def corrected(logarithms: Tensor, corrections: Tensor, alike: Sequence[Sequence[int]]) -> Tensor:
    """Shares whose logarithms are corrected, but for how those that are `alike` share their sum.

    Args:
        logarithms: of the estimates' shares, (S, 2, F, K).
        corrections: what is added to them.
        alike: numbers of sources that play one instrument.
    """
    shares = (logarithms + corrections).softmax(0)
    if not alike:
        return shares
    parts = list(shares.unbind(0))
    for group in map(list, alike):
        of_sum = logarithms[group].softmax(0).nan_to_num(0.0)
        total = shares[group].sum(0)
        for number, part in zip(group, of_sum, strict=True):
            parts[number] = part * total
    return torch.stack(parts)


def at_multiple(planes: Tensor, times: float) -> Tensor:
    """What stands at a multiple of each bin's frequency, zero beyond the last: (S, N, F, K)."""
    bins = planes.shape[-2]
    at = torch.arange(bins, device=planes.device) * times
    below = at.floor().long()
    part = (at - below)[:, None]
    inside = (below + 1 < bins)[:, None]
    lower, upper = (planes[:, :, (below + i).clamp(max=bins - 1)] for i in (0, 1))
    return torch.where(inside, (1 - part) * lower + part * upper, 0.0)


class _Block(nn.Module):
    """A residual block that hears each source and the mean of all."""

    def __init__(self, channels: int, dilation: Sequence[int]) -> None:
        super().__init__()
        bins, frames = dilation
        self.own, self.mean = (
            nn.Conv2d(channels, channels, 3, 1, (bins, frames), (bins, frames), bias=False)
            for _ in range(2)
        )
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.out.weight.data.mul_(0.3)  # near nothing at first, so that deep ones train

    def forward(self, hidden: Tensor) -> Tensor:
        """(S, C, F, K) -> the same."""
        # Sources are added up one by one: torch's sum over them, and its gradient, take as long as
        # all the rest.
        active = relu(hidden).split(1)
        mean = self.mean(sum(active[1:], active[0]) / len(active))
        own = self.own(torch.cat(active)).split(1)
        return hidden + self.out(relu(torch.cat([one + mean for one in own])))


def load_postfilter(path: Path) -> Postfilter:
    """Read a checkpoint of a post-filter, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, cut short, or something else.
    """
    return checkpoint.rebuild(path, {MODEL: (Postfilter, PostfilterArguments)})
