"""Stems of a data set in the challenge's layout, decoded once and held in memory."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt, resample
from cmss.errors import InputError
from cmss.models.outputs import output_name
from cmss.scenes import Track


@dataclass(frozen=True)
class StemTrack:
    """One piece of music in memory.

    Args:
        name: the track's name.
        stems: name of the network's output (see :mod:`cmss.models.outputs`) -> int16 (2, samples).
    """

    name: str
    stems: dict[str, NDArray[np.int16]]

    @property
    def samples(self) -> int:
        """Length of the shortest stem."""
        return min(stem.shape[-1] for stem in self.stems.values())


def load_stems(
    tracks: Iterable[Track], sample_rate_hz: int, progress: Callable = lambda tracks, **_: tracks
) -> list[StemTrack]:
    """Decode all stems of some tracks at a network's sampling rate.

    Memory is 4 bytes per second and hertz: 88 kB for a second of stem at 22.05 kHz.

    Args:
        tracks: the tracks.
        sample_rate_hz: rate to resample to.
        progress: wraps the sequence of tracks, such as tqdm.

    Raises:
        InputError: two sources of a track that cannot be told apart by their names.
    """
    with ThreadPoolExecutor() as pool:
        tracks = list(tracks)
        loaded = pool.map(lambda track: _load(track, sample_rate_hz), tracks)
        return list(progress(loaded, total=len(tracks)))


def _load(track: Track, sample_rate_hz: int) -> StemTrack:
    stems: dict[str, NDArray[np.int16]] = {}
    for source in track.sources.values():
        name = output_name(source.instrument, source.voice)
        if name in stems:
            raise InputError(
                f"{track.name}.{source.id}.instrument: a second {source.instrument}, expected "
                f"{source.instrument}_1 and {source.instrument}_2"
            )
        signal = resample(read_excerpt(source.excerpt, 44100), 44100, sample_rate_hz)
        stems[name] = np.rint(np.clip(signal, -1, 1) * 32767).astype(np.int16)
    return StemTrack(track.name, stems)
