"""Mixtures far from the level that the hearing aid is designed for."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs
from cmss.errors import InputError, noting
from cmss.scenes.records import Track
from cmss.scenes.sound_files import SoundFiles

EXPECTED_LUFS = -40.0
"""Loudness of the challenge's mixtures, which the compressor is designed for."""


def level_warnings(tracks: Iterable[Track], sounds: SoundFiles) -> Iterator[str]:
    """Yield a line for each mixture that is far from the level the compressor is designed for.

    Every mixture is decoded for it, so that damage is found here.

    Raises:
        InputError: mixtures that cannot be decoded, all of them.
    """
    problems: list[str] = []
    for track in tracks:
        with noting(problems):
            mixture = sounds.excerpt(track.mixture)
            if warning := level_warning(track, mixture, sounds.sample_rate_hz):
                yield warning
    if problems:
        raise InputError(problems)


def level_warning(track: Track, mixture: NDArray[np.float32], sample_rate_hz: int) -> str | None:
    """A line for a mixture that is far from the level that the compressor is designed for.

    None for one at that level, and for one too short to have a loudness.
    """
    if mixture.shape[-1] < SHORTEST_LOUDNESS_S * sample_rate_hz:
        return None
    lufs = loudness_lufs(mixture, sample_rate_hz)
    if abs(lufs - EXPECTED_LUFS) <= 3:
        return None
    return (
        f"{track.name}: the mixture has {lufs:.1f} LUFS, the compressor expects {EXPECTED_LUFS:g}"
    )
