"""Simultaneous grouping: assigns segments to pitch tracks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cmss.casa.pitch import AGREES, PitchTrack
from cmss.casa.units import Units

NOBODY = -1
"""Track number of units that belong to no track."""
TOGETHER = 3
"""Largest difference in frames between simultaneous onsets: 30 ms."""
PART = 5
"""Frames of a segment whose units vote together: 50 ms."""


def group(
    units: Units, segments: NDArray[np.int64], tracks: Sequence[PitchTrack]
) -> NDArray[np.int64]:
    """Assign each unit to a pitch track.

    Segments are cut into short parts. A part is assigned to the track with which most of its units
    agree in periodicity, if at least half of them agree. Otherwise it is assigned to a track whose
    onset coincides with the onset of the segment. Parts are short, because one channel can pass
    from one harmonic to the next when the pitch glides.

    Args:
        units: of the signal.
        segments: (channels, frames), number of the segment; -1 for inactive units.
        tracks: pitch tracks of at least one frame each.

    Returns:
        (channels, frames): number of the track, or :data:`NOBODY`.
    """
    owners = np.full(segments.shape, NOBODY)
    best = np.zeros(segments.shape)
    onsets = _onsets(segments)
    parts = _parts(segments)
    count = int(parts.max(initial=-1)) + 1
    for number, track in enumerate(tracks):
        frames = np.fromiter(track.lags, int)
        lags = np.fromiter(track.lags.values(), int)
        # (channels, frames of the track): periodicity at the lag of the track in each frame.
        agrees = units.periodicity[:, frames, lags] > AGREES
        within = parts[:, frames]
        active = within >= 0
        size = np.bincount(within[active], minlength=count)
        votes = np.bincount(within[active & agrees], minlength=count)
        share = np.where(active, (votes / np.maximum(size, 1))[within] if count else 0.0, 0.0)
        # Scores from periodicity, 1.5 to 2, exceed the score from a common onset, 0.5.
        common = np.abs(onsets[:, frames] - track.onset) <= TOGETHER
        score = np.where(share >= 0.5, 1 + share, np.where(active & common, 0.5, 0.0))
        better = score > best[:, frames]
        owners[:, frames] = np.where(better, number, owners[:, frames])
        best[:, frames] = np.maximum(best[:, frames], score)
    return owners


def _onsets(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first frame of each unit's segment, (channels, frames)."""
    count = int(segments.max(initial=-1)) + 1
    # Index -1 reads the last entry, which is for units without a segment.
    onsets = np.full(count + 1, segments.shape[1])
    channels, frames = np.nonzero(segments >= 0)
    np.minimum.at(onsets, segments[channels, frames], frames)
    return onsets[segments]


def _parts(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut segments every :data:`PART` frames, and number the parts from 0; -1 if inactive."""
    blocks = np.arange(segments.shape[1]) // PART
    keys = segments * (blocks[-1] + 1) + blocks
    parts = np.full(segments.shape, -1)
    active = segments >= 0
    parts[active] = np.unique(keys[active], return_inverse=True)[1]
    return parts
