"""Auditory scene of a signal: its units, grouped into notes."""

import numpy as np
from numpy.typing import NDArray

from cmss.casa.grouping import group
from cmss.casa.pitch import PitchTrack, track_pitches
from cmss.casa.segments import segments
from cmss.casa.units import hear


def scene(signal: NDArray[np.floating], players: int) -> tuple[NDArray[np.int64], list[PitchTrack]]:
    """Apply the auditory model to a signal, and group its units into notes.

    Args:
        signal: (samples,) at :data:`cmss.casa.units.SAMPLE_RATE_HZ`.
        players: largest number of simultaneous players.

    Returns:
        owners: (channels, frames), number of each unit's note, or
            :data:`cmss.casa.grouping.NOBODY`.
        tracks: pitch track of each note.
    """
    units = hear(signal)
    tracks = track_pitches(units, players)
    return group(units, segments(units), tracks), tracks
