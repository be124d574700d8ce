"""A signal in, its notes out."""

import numpy as np
from numpy.typing import NDArray

from cmss.casa.grouping import group
from cmss.casa.pitch import PitchTrack, track_pitches
from cmss.casa.segments import segments
from cmss.casa.units import hear


def scene(signal: NDArray[np.floating], players: int) -> tuple[NDArray[np.int64], list[PitchTrack]]:
    """Hear a signal and group what is heard into notes.

    Args:
        signal: (samples,) at :data:`cmss.casa.units.SAMPLE_RATE_HZ`.
        players: how many play at most at once.

    Returns:
        owners, (channels, frames): number of each unit's note,
        :data:`cmss.casa.grouping.NOBODY` for none; tracks: the notes' pitches.
    """
    units = hear(signal)
    tracks = track_pitches(units, players)
    return group(units, segments(units), tracks), tracks
