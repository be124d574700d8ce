"""Implements the post-filter, a small network that corrects the masks of a separator.

A post-filter is trained on the estimates of a separator, and is used after the same separator. The
same post-filter is used for all instruments. The window of the STFT is long, so that partials are
resolved. The network computes a correction of each mask from the features of
:mod:`cmss.models.postfilter_features`, separately for each audio channel. The weights of the
network are the same for all sources, and sources interact only through the mean of the hidden
features over all sources. Therefore, the number and the order of sources are arbitrary.

In shapes, S is the number of sources, F the number of frequency bins, K the number of frames, and C
the number of channels.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from cmss.machine.threads import for_each
from cmss.models import checkpoint  # the names of this module may not be defined yet
from cmss.models.postfilter_features import (
    FEATURES,
    LEVEL,
    ODDS,
    LongTerm,
    features_of,
    long_term,
)
from cmss.models.postfilter_stream import STREAM_FRAMES, Block, Stream
from cmss.settings import Rate
from cmss.transforms.masks import channel_log_masks, channel_masks, silent_sources
from cmss.transforms.tiles import tiles

MODEL = "postfilter"
"""Name of the post-filter in checkpoints."""

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
        bins: number of corrected bins. The masks of the lowest `bins` bins are corrected, and the
            masks of higher bins do not change.
        channels: number of channels of each layer.
        dilations: dilations (bins, frames) of the 3 x 3 kernels of each block.
        relatives: factors such as 1/2 and 2. A bin with the frequency f also receives features of
            the bin with the frequency `factor` x f, for each factor, because the partials of a note
            begin and end together.
    """

    samplerate: Rate = 44100
    window: Annotated[int, Field(ge=512, le=2**20, multiple_of=4)] = 8192
    # The bins extend to 8.3 kHz, because HAAQI's highest band is at 8 kHz.
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
                f"bins: expected at most {self.window // 2 + 1}, half of the window plus one, got "
                f"{self.bins}"
            )
        pairs = tuple((int(bins), int(frames)) for bins, frames in self.dilations)
        object.__setattr__(self, "dilations", pairs)
        object.__setattr__(self, "relatives", tuple(map(float, self.relatives)))


class Postfilter(nn.Module):
    """Corrects masks by a residual network.

    Shape:
        The mixture is a complex tensor of shape (2, F, K), and the estimates are a complex tensor
        of shape (S, 2, F, K). The output is a complex tensor of shape (S, 2, F, K). The sum of the
        sources is the mixture. A source that is silent in the estimates stays silent.
    """

    def __init__(self, arguments: PostfilterArguments) -> None:
        super().__init__()
        self.arguments = arguments
        self.bins = arguments.bins
        """Number of bins whose masks are corrected, at most `arguments.bins`."""
        planes = FEATURES + 2 * len(arguments.relatives)
        self.first = nn.Conv2d(planes, arguments.channels, 1)
        self.blocks = nn.ModuleList(
            Block(arguments.channels, dilation) for dilation in arguments.dilations
        )
        self.last = nn.Conv2d(arguments.channels, 2, 1)
        # Initially the correction is zero: masks do not change.
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def narrowed(self, bins: int) -> "Postfilter":
        """Return a post-filter with the same parameters that corrects fewer bins.

        The features of these bins do not change: features at multiples of a frequency may come from
        bins that are not corrected.

        Raises:
            ValueError: there are more bins than in the training.
        """
        if bins > self.arguments.bins:
            raise ValueError(f"expected at most {self.arguments.bins}")
        narrow = copy(self)
        narrow.bins = bins
        return narrow

    @property
    def context(self) -> int:
        """The correction of a frame depends on this number of frames before and after the frame."""
        return sum(frames for _, frames in self.arguments.dilations)

    def learn(self, mixture: Tensor, estimates: Tensor) -> tuple[Tensor, LongTerm]:
        """Compute statistics over all frames of a recording.

        Args:
            mixture: spectra of the mixture, a complex array of shape (2, F, K).
            estimates: spectra of the separator's estimates, a complex array of shape (S, 2, F, K).

        Returns:
            A bool array (S,) that is true for sources that are silent in all frames, and the
            statistics of the bins of the training.
        """
        # Silence is determined from all bins, because a source may be silent in the filtered bins
        # and audible in higher bins.
        bins = self.arguments.bins
        return silent_sources(estimates), long_term(mixture[:, :bins], estimates[:, :, :bins])

    @torch.inference_mode()
    def forward(
        self,
        mixture: Tensor,
        estimates: Tensor,
        learned: tuple[Tensor, LongTerm] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Correct the estimates of a separator without computing gradients.

        Args:
            mixture: spectra of the mixture, a complex array of shape (2, F, K).
            estimates: spectra of the separator's estimates, a complex array of shape (S, 2, F, K).
                The array is overwritten with the corrected estimates.
            learned: result of :meth:`learn` for all frames, if the spectra contain only some of the
                frames; None if the spectra contain all frames.
            dtype: data type of the weights and of the hidden values.

        Returns:
            The array `estimates` with the corrected values.
        """
        silent, over_all = learned or self.learn(mixture, estimates)
        trained, bins, frames = self.arguments.bins, self.bins, mixture.shape[-1]
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        stream = Stream(self.first, blocks, self.last, len(estimates), bins, frames, dtype)

        def features(part: slice) -> Tensor:
            X, Y = mixture[:, :trained, part], estimates[:, :, :trained, part]
            return self._inputs(features_of(X, Y, over_all))  # (S, features, bins, K)

        def correct(part: slice) -> None:
            X, Y = mixture[..., part], estimates[..., part]
            low, high = Y[:, :, :bins], Y[:, :, bins:]
            logarithms = channel_log_masks(low, silent)
            logarithms += corrections[..., part.start - first : part.stop - first]
            low[:] = logarithms.softmax(0) * X[:, :bins]
            high[:] = channel_masks(high, silent) * X[:, bins:]

        # A tile gives the corrections of the frames that are `delay` frames earlier.
        for tile in tiles(frames + stream.delay, STREAM_FRAMES):
            corrections, first = stream(features, tile).float(), tile.start - stream.delay
            for_each(correct, tiles(slice(max(first, 0), tile.stop - stream.delay)))
        return estimates

    def corrections(self, features: Tensor) -> Tensor:
        """Compute corrections (S, 2, F, K) of log masks from features (S, FEATURES, F, K)."""
        # The batch of the convolutions consists of the sources: (S, C, F, K).
        inputs = self._inputs(features).contiguous(memory_format=torch.channels_last)
        hidden = self.first(inputs)
        for block in self.blocks:
            hidden = block(hidden)
        return self.last(relu(hidden)).float()

    def _inputs(self, features: Tensor) -> Tensor:
        """Append features at multiples of the frequencies, and keep only the corrected bins."""
        planes = features[:, (ODDS, LEVEL)]
        related = [at_multiple(planes, times, self.bins) for times in self.arguments.relatives]
        # The bins of a frame stay contiguous in memory, as features_of returns them.
        return torch.cat([plane.mT for plane in (features[:, :, : self.bins], *related)], 1).mT

    def begin_like(self, other: "Postfilter") -> None:
        """Copy the layers of another post-filter; only the last layer is not copied and stays zero.

        Args:
            other: post-filter with the same channels. The dilations of `other` must begin with the
                dilations of this post-filter; further blocks of `other` are not copied. The
                multiples of this post-filter (`relatives`) must begin with those of `other`.

        Raises:
            ValueError: the channels, the dilations or the multiples differ.
        """
        theirs, own = other.arguments, self.arguments
        if theirs.channels != own.channels:
            raise ValueError(f"channels differ: {theirs.channels}, expected {own.channels}")
        blocks = len(own.dilations)
        if theirs.dilations[:blocks] != own.dilations:
            raise ValueError(
                f"dilations differ: {theirs.dilations}, expected a list that begins with "
                f"{own.dilations}"
            )
        if own.relatives[: len(theirs.relatives)] != theirs.relatives:
            raise ValueError(
                f"relatives differ: {theirs.relatives}, expected a beginning of {own.relatives}"
            )
        first = other.first.state_dict()
        weight = torch.zeros_like(self.first.weight)
        weight[:, : first["weight"].shape[1]] = first["weight"]
        self.first.load_state_dict({**first, "weight": weight})
        self.blocks.load_state_dict(other.blocks[:blocks].state_dict())


def at_multiple(planes: Tensor, times: float, bins: int) -> Tensor:
    """Interpolate features (S, N, F, K) at a multiple of the frequency of the lowest `bins` bins.

    Where the multiple is above the last bin, the interpolated features are zero.
    """
    at = torch.arange(bins, device=planes.device) * times
    at = at[at < planes.shape[-2] - 1]
    below = at.floor().long()
    inside = planes[:, :, below].lerp(planes[:, :, below + 1], (at - below)[:, None])
    return pad(inside, (0, 0, 0, bins - len(at)))


def load_postfilter(path: Path) -> Postfilter:
    """Read a checkpoint of a post-filter, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, incomplete, or not a checkpoint of a post-filter.
    """
    return checkpoint.rebuild(path, {MODEL: (Postfilter, PostfilterArguments)})
