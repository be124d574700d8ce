"""Detects the pitches in each frame, and links the pitches of successive frames into tracks."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmss.casa.units import SAMPLE_RATE_HZ, Units

SHORTEST_LAG = SAMPLE_RATE_HZ // 1600
"""Period in samples of the highest pitch, 1600 Hz."""
MIN_PERIODICITY = 0.85
"""A unit belongs to a pitch if its periodicity at the lag of the pitch exceeds this value."""
MIN_CHANNELS = 4
"""Smallest number of channels that support a pitch."""
MAX_STEP_SEMITONES = 0.7
"""Largest change of a track's pitch between two frames."""
SHORTEST_TRACK = 5
"""Smallest number of frames in a track."""


@dataclass
class PitchTrack:
    """Holds the pitch of a note over time.

    Successive notes with the same pitch and without a gap form a single track.

    Args:
        lags: dict from the index of a frame of the track to the period of the pitch in this frame,
            in samples.
    """

    lags: dict[int, int] = field(default_factory=dict)

    @property
    def onset(self) -> int:
        """First frame of the track."""
        return min(self.lags)

    @property
    def last(self) -> int:
        """Last frame of the track."""
        return max(self.lags)


def pitches(periodicity: NDArray[np.float32], active: NDArray[np.bool_], most: int) -> list[int]:
    """Find the periods of the pitches in one frame, beginning with the most prominent pitch.

    The summary correlogram is the mean of `periodicity` over the channels. The most prominent peak
    of the summary correlogram is a pitch. After a pitch has been found, the channels that agree
    with the pitch are removed, and the search is repeated on the remaining channels (Meddis and
    Hewitt 1992, "Modeling the identification of concurrent vowels with different fundamental
    frequencies", JASA 91).

    Args:
        periodicity: periodicity of the frame's time-frequency units, an array of shape (channels,
            lags).
        active: whether each time-frequency unit is active, an array of shape (channels,).
        most: largest number of pitches to find.

    Returns:
        The periods of the pitches in samples.
    """
    remaining, found = active.copy(), []  # channels without a pitch so far; lags of the pitches
    for _ in range(most):
        if remaining.sum() < MIN_CHANNELS:
            break
        lag = _peak(periodicity[remaining].mean(0))  # peak of the summary correlogram (lags,)
        if lag is None:
            break
        claimed = remaining & (periodicity[:, lag] > MIN_PERIODICITY)
        if claimed.sum() < MIN_CHANNELS:
            break
        found.append(lag)
        remaining &= ~claimed
    return found


def _peak(summary: NDArray[np.float32]) -> int | None:
    """Return the lag of the most prominent peak, or None if there is no peak.

    A peak is a candidate if its height is at least 0.4 times the largest height. Among the
    candidates, the peak with the largest ratio of height to lag is returned. The highest peak is
    often at a common multiple of the periods of several tones. Because of the division by the lag,
    a shorter lag is returned, which is the period of one of the tones. Peaks at fractions of a
    period are too low to be candidates, because half of the harmonics have a minimum there.
    """
    inner = summary[SHORTEST_LAG:-1]
    rises = inner >= summary[SHORTEST_LAG - 1 : -2]
    peaks = SHORTEST_LAG + np.flatnonzero(rises & (inner > summary[SHORTEST_LAG + 1 :]))
    if not len(peaks):
        return None
    heights = summary[peaks]
    candidates = heights >= 0.4 * heights.max()
    return int(peaks[np.argmax(np.where(candidates, heights / peaks, -np.inf))])


def _step(lag: int, before: int) -> float:
    """Return the interval between two periods in semitones.

    Two periods are treated as equal if they differ by one sample, because one sample is a large
    interval at high pitches.
    """
    return 0.0 if abs(lag - before) <= 1 else abs(12 * float(np.log2(lag / before)))


def track_pitches(units: Units, most: int) -> list[PitchTrack]:
    """Find the pitches of all frames, and link the pitches of successive frames into tracks.

    Pitches that differ by less than :data:`MAX_STEP_SEMITONES` are linked.

    Args:
        units: the time-frequency units of the signal.
        most: largest number of pitches in a frame.

    Returns:
        The tracks of at least :data:`SHORTEST_TRACK` frames, in order of onset.
    """
    tracks: list[PitchTrack] = []
    for frame in range(units.frames):
        # A track may have gaps of up to 3 frames.
        alive = [track for track in tracks if frame - track.last <= 3]
        for lag in pitches(units.periodicity[:, frame], units.active[:, frame], most):
            steps = [_step(lag, track.lags[track.last]) for track in alive]
            if steps and min(steps) < MAX_STEP_SEMITONES:
                alive.pop(int(np.argmin(steps))).lags[frame] = lag
            else:
                tracks.append(PitchTrack({frame: lag}))
    return [track for track in tracks if len(track.lags) >= SHORTEST_TRACK]
