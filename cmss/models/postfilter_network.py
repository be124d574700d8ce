"""Post-filter: a small network that corrects the masks of a separator.

It is used after the separator whose estimates it was trained on, and does not depend on
instruments. Windows are long, so that partials are resolved. For each source and bin, its inputs
are the log-odds of the source's estimate and of its directions. It corrects the log-odds,
separately for each channel. The same weights serve every source, and sources interact only through
the mean of their hidden features. So the number and the order of sources are arbitrary.

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
from cmss.transforms.angular_gaussian import (
    direction_moments,
    direction_parts,
    directions_near_and_far,
    sums_around,
)
from cmss.transforms.masks import (
    MASK_FLOOR,
    channel_log_masks,
    log_masks,
    log_odds,
    silent_sources,
)

MODEL = "postfilter"
"""Its name in checkpoints."""

LIMIT = 9.0
"""Largest log-odds, about -log(:data:`MASK_FLOOR`)."""

CLUES = 11
"""Number of features of :func:`clues`."""

ODDS, LEVEL = 0, 7
"""Indices of the features log-odds of the mask and level of the mixture."""

LONG_TERM = (3, 40)
"""Bins on either side over which power is summed: a partial, and half an octave at 600 Hz."""

PIECE = 128
"""Frames processed at once, so that memory does not grow with the length of the signal."""


Dilation = Annotated[
    Sequence[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=2, max_length=2)
]
Multiple = Annotated[float, Field(ge=0.01, le=100)]


@dataclass(frozen=True)
class PostfilterArguments:
    """Arguments of :class:`Postfilter`.

    Args:
        samplerate: sampling rate of the signals in Hz.
        window: length of the Hann window of the spectra in samples.
        bins: number of bins that are filtered, from the lowest; masks of higher bins do not change.
        channels: of each layer.
        dilations: of the 3 x 3 kernel of each block, in bins and frames.
        relatives: multiples of a bin's frequency whose features are additional inputs, because the
            partials of a note begin and end together.
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
    """Statistics over all frames of a recording, from which :func:`clues` are computed.

    Args:
        silent: (S,), whether a source is silent throughout.
        directions: (S, F, 4), moments of each source's directions.
        power: (S, F, 1), power of each source in each bin.
        level: (F, 1), mean power of the mixture in each bin.
    """

    silent: Tensor
    directions: Tensor
    power: Tensor
    level: Tensor


def long_term(mixture: Tensor, estimates: Tensor) -> LongTerm:
    """Compute statistics over all frames.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).
    """
    silent = silent_sources(estimates)
    mask = _share(log_masks(estimates, silent))  # (S, F, K)
    power = mixture.abs().square().sum(0)  # (F, K)
    # Weights of bins as in cmss.transforms.angular_gaussian: level times the square of the mask.
    weight = power.sqrt() * mask.square()
    return LongTerm(
        silent,
        direction_moments(direction_parts(mixture), weight),
        (mask * power).sum(-1, keepdim=True),
        power.mean(-1, keepdim=True),
    )


def clues(mixture: Tensor, estimates: Tensor, over_all: LongTerm | None = None) -> Tensor:
    """Compute the input features of each source and bin, which do not depend on the level.

    The features are: log-odds of the source's mask; of its directions, for each neighbourhood; and
    of its power over the recording, for each of :data:`LONG_TERM`; level of the mixture relative to
    its mean at this frequency; level difference of the source between left and right; frequency.

    Args:
        mixture: complex (2, F, K).
        estimates: complex (S, 2, F, K).
        over_all: statistics of all frames, if the inputs hold only some frames; None if the inputs
            hold all frames.

    Returns:
        (S, :data:`CLUES`, F, K).
    """
    over_all = over_all or long_term(mixture, estimates)
    masks = log_masks(estimates, over_all.silent).clamp(min=math.log(MASK_FLOOR))  # (S, F, K)
    power = mixture.abs().square().sum(0)  # (F, K)
    likelihoods, sides = directions_near_and_far(direction_parts(mixture), over_all.directions)
    # Features 0: mask, and 1 to 4: directions.
    planes = [log_odds(masks, LIMIT), *log_odds(likelihoods, LIMIT).unbind(1)]
    # Features 5 and 6: power over the recording.
    for neighbours in LONG_TERM:
        around = sums_around(over_all.power, neighbours)  # (S, F, 1)
        total = around.sum(0)
        relative = around / total.where(total > 0, 1)
        planes.append(log_odds((relative + MASK_FLOOR).log(), LIMIT).expand_as(masks))
    # Feature 7: level of the mixture.
    mean = sums_around(over_all.level, LONG_TERM[-1]) / (2 * LONG_TERM[-1] + 1)
    level = (power / mean.where(mean > 0, 1) + 1e-6).log() / 2
    planes.append(level.expand_as(masks))
    # Features 8 and 9: level differences for the two middle neighbourhoods.
    planes += [side.unsqueeze(-1).expand_as(masks) / 2 for side in sides[:, 1:3].unbind(1)]
    # Feature 10: frequency, on a logarithmic axis.
    frequency = torch.linspace(0, 1, len(level), device=level.device)
    planes.append(3 * (frequency + 0.02).log()[:, None].expand_as(masks) / 2)
    return torch.stack(planes, 1) / 3  # scaled to an order of magnitude of 1


def _share(logarithms: Tensor) -> Tensor:
    """Return masks, at least :data:`MASK_FLOOR`, from their logarithms."""
    return logarithms.clamp(min=math.log(MASK_FLOOR)).exp()


class Postfilter(nn.Module):
    """Residual network that corrects masks.

    Shape:
        - mixture: complex (2, F, K); estimates: complex (S, 2, F, K)
        - output: complex (S, 2, F, K); the sources sum to the mixture, and a source that is silent
          in the estimates stays silent
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
        # Initially the correction is zero: masks do not change.
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    @property
    def context(self) -> int:
        """Number of frames on either side on which the correction of a frame depends."""
        return sum(frames for _, frames in self.arguments.dilations)

    def long_term(self, mixture: Tensor, estimates: Tensor) -> LongTerm:
        """Compute statistics over all frames: complex (2, F, K) and (S, 2, F, K)."""
        bins = self.arguments.bins
        low = long_term(mixture[:, :bins], estimates[:, :, :bins])
        # Silence is decided on all bins: a source may be silent only in those that are filtered.
        return replace(low, silent=silent_sources(estimates))

    def forward(
        self,
        mixture: Tensor,
        estimates: Tensor,
        alike: Sequence[Sequence[int]] = (),
        over_all: LongTerm | None = None,
    ) -> Tensor:
        """Correct estimates: complex (2, F, K) and (S, 2, F, K) -> (S, 2, F, K).

        Args:
            mixture: complex (2, F, K).
            estimates: complex (S, 2, F, K).
            alike: groups of sources that are players of the same instrument. The mask of their sum
                is corrected, and its division among them stays as estimated, because the features
                do not distinguish players of the same instrument.
            over_all: statistics of all frames, if the inputs hold only some frames.
        """
        bins = self.arguments.bins
        over_all = over_all or self.long_term(mixture, estimates)
        features = clues(mixture[:, :bins], estimates[:, :, :bins], over_all)
        logarithms = channel_log_masks(estimates, over_all.silent)  # (S, 2, F, K)
        corrections = torch.zeros_like(logarithms)
        corrections[:, :, :bins] = self._in_pieces(features)
        return corrected(logarithms, corrections, alike) * mixture

    def corrections(self, told: Tensor) -> Tensor:
        """Compute corrections of log masks from :func:`clues`: (S, CLUES, F, K) -> (S, 2, F, K)."""
        relatives = self.arguments.relatives
        related = [at_multiple(told[:, (ODDS, LEVEL)], times) for times in relatives]
        told = torch.cat([told, *related], 1)
        # Sources are the batch: (S, C, F, K)
        hidden = self.first(told.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(relu(hidden)).float()

    def begin_like(self, other: "Postfilter") -> None:
        """Copy all layers of another post-filter except the last, which stays zero.

        Args:
            other: with the same channels and dilations. Its inputs must be the first inputs of this
                post-filter.

        Raises:
            ValueError: channels or dilations differ.
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

    def _in_pieces(self, features: Tensor) -> Tensor:
        """Compute :meth:`corrections` for :data:`PIECE` frames at once, each with its context."""
        frames = features.shape[-1]
        context = self.context
        pieces = []
        for start in range(0, frames, PIECE):
            before, end = min(start, context), min(start + PIECE, frames)
            piece = self.corrections(features[..., start - before : end + context])
            pieces.append(piece[..., before : before + end - start])
        return torch.cat(pieces, -1)


def corrected(logarithms: Tensor, corrections: Tensor, alike: Sequence[Sequence[int]]) -> Tensor:
    """Return corrected masks; within a group of `alike` sources, only their sum is corrected.

    Args:
        logarithms: of the estimates' masks, (S, 2, F, K).
        corrections: added to the logarithms, (S, 2, F, K).
        alike: groups of indices of sources that are players of the same instrument.

    Returns:
        (S, 2, F, K), which sum to 1 over sources.
    """
    masks = (logarithms + corrections).softmax(0)
    if not alike:
        return masks
    parts = list(masks.unbind(0))
    for group in map(list, alike):
        # Fractions of the group's sum as estimated; NaN if all sources of the group are silent.
        fractions = logarithms[group].softmax(0).nan_to_num(0.0)
        total = masks[group].sum(0)
        for number, fraction in zip(group, fractions, strict=True):
            parts[number] = fraction * total
    return torch.stack(parts)


def at_multiple(planes: Tensor, times: float) -> Tensor:
    """Interpolate at a multiple of each bin's frequency, zero above the last bin: (S, N, F, K)."""
    bins = planes.shape[-2]
    at = torch.arange(bins, device=planes.device) * times
    below = at.floor().long()
    part = (at - below)[:, None]
    inside = (below + 1 < bins)[:, None]
    lower, upper = (planes[:, :, (below + i).clamp(max=bins - 1)] for i in (0, 1))
    return torch.where(inside, (1 - part) * lower + part * upper, 0.0)


class _Block(nn.Module):
    """Residual block on the features of each source and on their mean over sources."""

    def __init__(self, channels: int, dilation: Sequence[int]) -> None:
        super().__init__()
        bins, frames = dilation
        self.own, self.mean = (
            nn.Conv2d(channels, channels, 3, 1, (bins, frames), (bins, frames), bias=False)
            for _ in range(2)
        )
        self.out = nn.Conv2d(channels, channels, 1, bias=False)
        self.out.weight.data.mul_(0.3)  # small at first, so that deep networks train

    def forward(self, hidden: Tensor) -> Tensor:
        """Apply the block: (S, C, F, K) -> (S, C, F, K)."""
        # Sources are added in a loop: torch's sum over them and its gradient would take as long as
        # the rest of the block.
        active = relu(hidden).split(1)
        mean = self.mean(sum(active[1:], active[0]) / len(active))  # (1, C, F, K)
        own = self.own(torch.cat(active)).split(1)
        return hidden + self.out(relu(torch.cat([source + mean for source in own])))


def load_postfilter(path: Path) -> Postfilter:
    """Read a checkpoint of a post-filter, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, incomplete, or not a post-filter.
    """
    return checkpoint.rebuild(path, {MODEL: (Postfilter, PostfilterArguments)})
