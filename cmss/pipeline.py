"""What enhance.py does with each scene and listener; :mod:`cmss.scoring` is its counterpart.

    mixture = read_excerpt(scene.track.mixture)
    stems = separator.separate(mixture, scene.track.sources)           once per track
    ears = hearing_aid(rebalance(mixture, stems, scene, remix), listener)

A signal is (2, samples) throughout, left ear first.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.audio import SHORTEST_LOUDNESS_S, loudness_lufs, read_excerpt
from cmss.hearing_aid import HearingAid
from cmss.remix import Remix, rebalance
from cmss.scenes import Listener, Pair, Scene, Track, by_track
from cmss.separators import Separator, Stems

Waveform = NDArray[np.float64]

EXPECTED_LUFS = -40.0
"""Loudness of the challenge's mixtures, which the compressor is designed for."""


@dataclass(frozen=True)
class System:
    """What is entered in the challenge.

    Args:
        separator: takes the mixture apart.
        remix: puts it together again.
        hearing_aid: amplifies it.
    """

    separator: Separator
    remix: Remix
    hearing_aid: HearingAid


def enhance(system: System, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Waveform]]:
    """Enhance each pair; a track is separated once, whatever number of pairs it has."""
    for track, group in by_track(pairs):
        mixture, stems = separate_track(system.separator, track)
        for pair in group:
            yield pair, enhance_scene(system, mixture, stems, pair.scene, pair.listener)


def separate_track(separator: Separator, track: Track) -> tuple[NDArray[np.float32], Stems]:
    """The mixture of a track and its estimated stems, by source id.

    Raises:
        FloatingPointError: an estimate is not finite.
    """
    mixture = read_excerpt(track.mixture, separator.sample_rate_hz)
    stems = separator.separate(mixture, track.sources)
    for source_id, stem in stems.items():
        if not np.isfinite(stem).all():
            raise FloatingPointError(f"{track.name}: the estimate of {source_id} is not finite")
    return mixture, stems


def enhance_scene(
    system: System, mixture: NDArray[np.float32], stems: Stems, scene: Scene, listener: Listener
) -> Waveform:
    """Remix for the scene, amplify for the listener: two ears at the mixture's sampling rate."""
    return system.hearing_aid(rebalance(mixture, stems, scene, system.remix), listener)


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
