"""Pitches that sound together, frame by frame, and their tracks over time."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cmss.casa.units import SAMPLE_RATE_HZ, Units

SHORTEST_LAG = SAMPLE_RATE_HZ // 1600
"""Of the highest pitch, 1600 Hz."""
AGREES = 0.85
"""Periodicity, at the lag of a pitch, of a unit that belongs to it."""
FEWEST = 4
"""Channels that a pitch needs."""
PROMINENT = 0.4
"""Height of a peak that may be a pitch, by that of the highest."""
SEMITONES = 0.7
"""Furthest step of a track from frame to frame."""
LONGEST_GAP, SHORTEST_TRACK = 3, 5
"""Frames."""


@dataclass
class PitchTrack:
    """One note, or several without a break at one pitch.

    Args:
        lags: frame -> period in samples.
    """

    lags: dict[int, int] = field(default_factory=dict)

    @property
    def onset(self) -> int:
        """Its first frame."""
        return min(self.lags)

    @property
    def last(self) -> int:
        """Its last frame."""
        return max(self.lags)


def pitches(periodicity: NDArray[np.float32], active: NDArray[np.bool_], most: int) -> list[int]:
    """Periods of the pitches in one frame, the most prominent first.

    The largest peak of the summary, the mean over channels, is a pitch; channels that agree with it
    are taken away, and what is left may have another (Meddis and Hewitt 1992, "Modeling the
    identification of concurrent vowels with different fundamental frequencies", JASA 91).

    Args:
        periodicity: (channels, lags).
        active: (channels,).
        most: how many to look for.

    Returns:
        lags in samples.
    """
    left, found = active.copy(), []
    for _ in range(most):
        if left.sum() < FEWEST:
            break
        lag = _peak(periodicity[left].mean(0))
        if lag is None:
            break
        claimed = left & (periodicity[:, lag] > AGREES)
        if claimed.sum() < FEWEST:
            break
        found.append(lag)
        left &= ~claimed
    return found


def _peak(summary: NDArray[np.float32]) -> int | None:
    """Lag of the most prominent peak; None without a peak.

    The highest is often at a lag of some periods, common to several tones, and so height counts by
    lag. Fractions of a period are no rivals: half of the harmonics are at a minimum there.
    """
    inner = summary[SHORTEST_LAG:-1]
    rises = inner >= summary[SHORTEST_LAG - 1 : -2]
    peaks = SHORTEST_LAG + np.flatnonzero(rises & (inner > summary[SHORTEST_LAG + 1 :]))
    if not len(peaks):
        return None
    heights = summary[peaks]
    rivals = heights >= PROMINENT * heights.max()
    return int(peaks[np.argmax(np.where(rivals, heights / peaks, -np.inf))])


def _step(lag: int, before: int) -> float:
    """Semitones from one period to another; none for one sample, which high pitches differ by."""
    return 0.0 if abs(lag - before) <= 1 else abs(12 * float(np.log2(lag / before)))


def track_pitches(units: Units, most: int) -> list[PitchTrack]:
    """Pitches of all frames, linked while they step by less than a semitone.

    Args:
        units: what is heard.
        most: pitches in a frame.

    Returns:
        by onset; short ones are left out.
    """
    tracks: list[PitchTrack] = []
    for frame in range(units.frames):
        alive = [track for track in tracks if frame - track.last <= LONGEST_GAP]
        for lag in pitches(units.periodicity[:, frame], units.active[:, frame], most):
            steps = [_step(lag, track.lags[track.last]) for track in alive]
            if steps and min(steps) < SEMITONES:
                alive.pop(int(np.argmin(steps))).lags[frame] = lag
            else:
                tracks.append(PitchTrack({frame: lag}))
    return [track for track in tracks if len(track.lags) >= SHORTEST_TRACK]
