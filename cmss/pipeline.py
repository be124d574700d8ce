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
from cmss.errors import InputError, noting
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


def load_networks(separator: Separator, pairs: Iterable[Pair]) -> dict[str, list[str]]:
    """Load what separating these pairs takes, so that what is missing is found before the first.

    Returns:
        instrument -> digests of the weights that its estimates come from: those of all
        instruments, and those that were loaded for this one.

    Raises:
        InputError: something is missing.
    """
    sources = (source for pair in pairs for source in pair.scene.track.sources.values())
    players = {(source.instrument, source.voice): source for source in sources}
    common = set(separator.weights.values())
    own: dict[str, set[str]] = {}
    problems: list[str] = []
    for (instrument, _), player in players.items():
        loaded = set(separator.weights)
        with noting(problems):
            separator.prepare([player])
        new = {digest for name, digest in separator.weights.items() if name not in loaded}
        own.setdefault(instrument, set(common)).update(new)
    if problems:
        raise InputError(dict.fromkeys(problems))
    return {instrument: sorted(digests) for instrument, digests in own.items()}


def level_warnings(tracks: Iterable[Track], sample_rate_hz: int) -> Iterator[str]:
    """A line for each mixture that is far from the level that the compressor is designed for.

    Every mixture is decoded for it, and so seen to be whole.

    Raises:
        InputError: mixtures that cannot be decoded.
    """
    problems: list[str] = []
    for track in tracks:
        with noting(problems):
            mixture = read_excerpt(track.mixture, sample_rate_hz)
            if warning := level_warning(track, mixture, sample_rate_hz):
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
