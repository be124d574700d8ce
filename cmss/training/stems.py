"""Decodes the stems of a data set in the challenge's layout, and keeps them in memory."""

import math
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cmss.audio import read_excerpt, resample
from cmss.errors import InputError
from cmss.models.outputs import output_name
from cmss.scenes import Track
from cmss.separators.estimators import LEVEL

FULL_SCALE = 32767


@dataclass(frozen=True)
class StemTrack:
    """Holds the decoded stems of a track.

    Args:
        name: name of the track.
        stems: dict from the name of a network's output (see :mod:`cmss.models.outputs`) to a stem
            (2, samples) of type int16.
    """

    name: str
    stems: dict[str, NDArray[np.int16]]

    @property
    def samples(self) -> int:
        """The number of samples of the shortest stem."""
        return min(stem.shape[-1] for stem in self.stems.values())

    @property
    def level_db(self) -> float:
        """The RMS level of the sum of the stems, in dB relative to full scale."""
        mixture = sum(stem[:, : self.samples].astype(np.float32) for stem in self.stems.values())
        rms = np.sqrt(np.mean(np.square(mixture, dtype=np.float64))) / FULL_SCALE
        return 20 * math.log10(max(rms, 1e-10))


def load_stems(
    tracks: Iterable[Track], sample_rate_hz: int, progress: Callable = lambda tracks, **_: tracks
) -> list[StemTrack]:
    """Decode the stems of the tracks, and convert them to the sampling rate of a network.

    A stem takes 4 bytes of memory for each stereo sample, which is 88 kB per second at 22.05 kHz.

    Args:
        tracks: tracks whose stems are decoded; several tracks are decoded at the same time.
        sample_rate_hz: sampling rate of the network.
        progress: function that wraps the tracks with a progress bar, such as tqdm.

    Raises:
        InputError: a stem cannot be read, or two sources of a track have the same name.
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
                f"{track.name}.{source.id}.instrument: {source.instrument} occurs twice, expected "
                f"{source.instrument}_1 and {source.instrument}_2"
            )
        signal = resample(read_excerpt(source.excerpt, 44100), 44100, sample_rate_hz)
        stems[name] = np.rint(np.clip(signal, -1, 1) * FULL_SCALE).astype(np.int16)
    return StemTrack(track.name, stems)


def level_warning(tracks: Sequence[StemTrack]) -> str | None:
    """Return a warning about tracks whose level is far from the level of the challenge.

    Before a network separates a mixture, the mixture is scaled to the level of the challenge, see
    :data:`cmss.separators.estimators.LEVEL`. If no track is far from this level, the result is
    None.
    """
    usual_db = 20 * math.log10(LEVEL)
    offsets = {track.name: track.level_db - usual_db for track in tracks}
    # The RMS of music of -40 LUFS varies by up to 10 dB, because of its spectrum and its rests.
    far = [name for name, offset in offsets.items() if abs(offset) > 10]
    if not far:
        return None
    name = max(far, key=lambda name: abs(offsets[name]))
    return (
        f"{len(far)} of {len(tracks)} tracks are far from the level at which networks are used, "
        f"{usual_db:.0f} dB RMS: {name} has {offsets[name] + usual_db:.0f} dB"
    )
