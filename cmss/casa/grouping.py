"""Groups time-frequency units into segments, and segments into notes.

A segment is a region of channels and frames that a single sound dominates. Segments with a common
pitch or onset form a note.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cmss.casa.correlogram import similarity
from cmss.casa.pitch import MIN_PERIODICITY, PitchTrack, track_pitches
from cmss.casa.units import Units, compute_units

NO_NOTE = -1
"""Value for time-frequency units that belong to no note."""
MIN_SIMILARITY = 0.985
"""Smallest correlation between the autocorrelations of two units of the same partial."""
PART_FRAMES = 5
"""Number of frames of a segment that are assigned to the same note together, 50 ms."""


def find_notes(
    signal: NDArray[np.floating], players: int
) -> tuple[NDArray[np.int64], list[PitchTrack]]:
    """Compute the time-frequency units of a signal, and group the units into notes.

    Args:
        signal: the signal, an array of shape (samples,), sampled at
            :data:`cmss.casa.units.SAMPLE_RATE_HZ`.
        players: largest number of simultaneous players.

    Returns:
        An array of shape (channels, frames) with the index of each unit's note, and the pitch track
        of each note. A unit without a note has the value :data:`NO_NOTE`.
    """
    units = compute_units(signal)
    tracks = track_pitches(units, players)
    return group(units, find_segments(units), tracks), tracks


def find_segments(units: Units) -> NDArray[np.int64]:
    """Form segments by connecting neighbouring time-frequency units of similar periodicity.

    Two units in neighbouring channels are similar if the same partial dominates both channels, or
    if both channels show the beats of the same partials. Two units in neighbouring frames are
    similar if the sound is stationary.

    Returns:
        An array of shape (channels, frames) with the index of each unit's segment. The first index
        is 0; inactive units have the value -1.
    """
    active = units.active
    number = np.arange(active.size).reshape(active.shape)
    periods = units.periodicity
    upward = (similarity(periods[:-1], periods[1:]) > MIN_SIMILARITY) & active[:-1] & active[1:]
    onward = (
        (similarity(periods[:, :-1], periods[:, 1:]) > MIN_SIMILARITY)
        & active[:, :-1]
        & active[:, 1:]
    )
    # The units are the nodes of a graph, and similar neighbours are its edges. The segments are the
    # connected components of this graph.
    first = np.concatenate([number[:-1][upward], number[:, :-1][onward]])
    second = np.concatenate([number[1:][upward], number[:, 1:][onward]])
    links = coo_array((np.ones(len(first)), (first, second)), (active.size, active.size))
    _, labels = connected_components(links, directed=False)
    labels = labels.reshape(active.shape)
    result = np.full(active.shape, -1)
    result[active] = np.unique(labels[active], return_inverse=True)[1]
    return result


def group(
    units: Units, segments: NDArray[np.int64], tracks: Sequence[PitchTrack]
) -> NDArray[np.int64]:
    """Assign each time-frequency unit to a pitch track.

    Segments are cut into short pieces, because a channel can pass from one harmonic to the next
    when the pitch glides. A unit agrees with a track if the unit is periodic at the lag of the
    track. For each piece of a segment, the function computes the fraction of the units that agree
    with each pitch track, and chooses the track with the largest fraction. If this fraction is at
    least one half, the piece is assigned to the chosen track. Otherwise, the piece is assigned to a
    track whose onset coincides with the onset of the segment.

    Args:
        units: the time-frequency units of the signal.
        segments: result of :func:`find_segments`, an array of shape (channels, frames).
        tracks: pitch tracks with at least one frame.

    Returns:
        An array of shape (channels, frames) with the index of each unit's track. A unit without a
        track has the value :data:`NO_NOTE`.
    """
    owners = np.full(segments.shape, NO_NOTE)
    best = np.zeros(segments.shape)
    onsets = _onsets(segments)
    parts = _parts(segments)
    count = int(parts.max(initial=-1)) + 1
    for number, track in enumerate(tracks):
        frames = np.fromiter(track.lags, int)
        lags = np.fromiter(track.lags.values(), int)
        # Periodicity at the lag of the track in each frame, (channels, frames of the track).
        agrees = units.periodicity[:, frames, lags] > MIN_PERIODICITY
        within = parts[:, frames]
        active = within >= 0
        size = np.bincount(within[active], minlength=count)
        votes = np.bincount(within[active & agrees], minlength=count)
        # This is the fraction of the units of each piece that agree with the track.
        fraction = (votes / np.maximum(size, 1))[within] if count else 0.0
        fraction = np.where(active, fraction, 0.0)
        # Onsets that differ by at most 3 frames (30 ms) count as simultaneous. Scores from
        # periodicity, 1.5 to 2, exceed the score from a common onset, 0.5.
        common = np.abs(onsets[:, frames] - track.onset) <= 3
        score = np.where(fraction >= 0.5, 1 + fraction, np.where(active & common, 0.5, 0.0))
        better = score > best[:, frames]
        owners[:, frames] = np.where(better, number, owners[:, frames])
        best[:, frames] = np.maximum(best[:, frames], score)
    return owners


def _onsets(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first frame of each unit's segment.

    The result has the shape (channels, frames).
    """
    count = int(segments.max(initial=-1)) + 1
    # Units without a segment have index -1, which reads the additional last entry.
    onsets = np.full(count + 1, segments.shape[1])
    channels, frames = np.nonzero(segments >= 0)
    np.minimum.at(onsets, segments[channels, frames], frames)
    return onsets[segments]


def _parts(segments: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut segments into pieces of :data:`PART_FRAMES` frames, and number the pieces.

    Returns:
        An array of shape (channels, frames) with the index of each unit's piece. The first index is
        0; inactive units have the value -1.
    """
    blocks = np.arange(segments.shape[1]) // PART_FRAMES
    keys = segments * (blocks[-1] + 1) + blocks
    parts = np.full(segments.shape, -1)
    active = segments >= 0
    parts[active] = np.unique(keys[active], return_inverse=True)[1]
    return parts
