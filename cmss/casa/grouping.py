"""Simultaneous grouping: which segments belong to which pitch track."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cmss.casa.pitch import AGREES, PitchTrack
from cmss.casa.units import Units

NOBODY = -1
"""Number of the track that units have which belong to none."""
TOGETHER = 3
"""Frames between onsets that are heard as one: 30 ms."""
PART = 5
"""Frames of a segment that vote together: 50 ms."""


def group(
    units: Units, segments: NDArray[np.int64], tracks: Sequence[PitchTrack]
) -> NDArray[np.int64]:
    """Give each unit to a pitch track.

    Parts of a segment belong, while a track lasts, to the one that more of their units agree with
    than with any other, if half of them do; where none has that, to the one that begins when the
    segment begins. Parts are short, since harmonics that glide leave a filter to one another.

    Args:
        units: what is heard.
        segments: (channels, frames), -1 where nothing is.
        tracks: at least one frame each.

    Returns:
        (channels, frames): number of the track; :data:`NOBODY` where there is none.
    """
    owners = np.full(segments.shape, NOBODY)
    best = np.zeros(segments.shape)
    onsets = _onsets(segments)
    parts = _parts(segments)
    count = int(parts.max(initial=-1)) + 1
    for number, track in enumerate(tracks):
        frames = np.fromiter(track.lags, int)
        lags = np.fromiter(track.lags.values(), int)
        # Indexed by channel and by frame with its lag.
        agrees = units.periodicity[:, frames, lags] > AGREES
        within = parts[:, frames]
        heard = within >= 0
        size = np.bincount(within[heard], minlength=count)
        votes = np.bincount(within[heard & agrees], minlength=count)
        share = np.where(heard, (votes / np.maximum(size, 1))[within] if count else 0.0, 0.0)
        # Periodicity comes before onset, which counts where nothing agrees with any pitch.
        common = np.abs(onsets[:, frames] - track.onset) <= TOGETHER
        here = np.where(share >= 0.5, 1 + share, np.where(heard & common, 0.5, 0.0))
        better = here > best[:, frames]
        owners[:, frames] = np.where(better, number, owners[:, frames])
        best[:, frames] = np.maximum(best[:, frames], here)
    return owners


def _onsets(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """(channels, frames): the first frame of each unit's segment."""
    count = int(segments.max(initial=-1)) + 1
    # The last is of units without a segment, numbered -1.
    onsets = np.full(count + 1, segments.shape[1])
    channels, frames = np.nonzero(segments >= 0)
    np.minimum.at(onsets, segments[channels, frames], frames)
    return onsets[segments]


def _parts(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Segments cut every :data:`PART` frames, numbered from 0; -1 where nothing is."""
    blocks = np.arange(segments.shape[1]) // PART
    keys = segments * (blocks[-1] + 1) + blocks
    parts = np.full(segments.shape, -1)
    heard = segments >= 0
    parts[heard] = np.unique(keys[heard], return_inverse=True)[1]
    return parts
