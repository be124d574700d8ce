"""Frozen records of scenes, listeners and tracks, independent of file formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmss.audio import Excerpt

INSTRUMENTS = ("Bassoon", "Cello", "Clarinet", "Flute", "Oboe", "Sax", "Viola", "Violin")
DOUBLED = ("Flute", "Sax", "Viola", "Violin")
"""Instruments that may have two voices, written `Violin_1` and `Violin_2`."""
STRINGS = ("Cello", "Viola", "Violin")

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Source:
    """A player of a track.

    `id` ("source_1") is also the key of its gain. `voice` is 1 or 2 for players of a doubled
    instrument, else None. `excerpt` is the reference stem.
    """

    id: str
    instrument: str
    voice: int | None
    excerpt: Excerpt


@dataclass(frozen=True)
class Track:
    """A piece of music: its sources in the order of the file, and its mixture."""

    name: str
    sources: dict[str, Source]
    mixture: Excerpt

    @property
    def ensemble(self) -> Literal["string", "wind", "mixed"]:
        """Type of ensemble: strings, winds or both."""
        strings = {source.instrument in STRINGS for source in self.sources.values()}
        if len(strings) > 1:
            return "mixed"
        return "string" if True in strings else "wind"


@dataclass(frozen=True)
class Audiogram:
    """Hearing thresholds in dB HL at ascending frequencies."""

    frequencies_hz: tuple[float, ...]
    levels_db: tuple[float, ...]


@dataclass(frozen=True)
class Compression:
    """Compressor of an ear: centre frequency, ratio and make-up gain of six bands."""

    frequencies_hz: tuple[float, ...]
    ratios: tuple[float, ...]
    gains_db: tuple[float, ...]


@dataclass(frozen=True)
class Ear:
    """An ear: audiogram and compressor."""

    audiogram: Audiogram
    compression: Compression


@dataclass(frozen=True)
class Listener:
    """A listener's two ears."""

    id: str
    left: Ear
    right: Ear


@dataclass(frozen=True)
class Scene:
    """A track with a gain in dB for each of its sources."""

    id: str
    track: Track
    gains_db: dict[str, float]

    @property
    def split(self) -> Split:
        """Split by id: S00001-S49999 train, S50000-S59999 valid, others test."""
        number = int(self.id[1:])
        if 0 < number < 50000:
            return "train"
        return "valid" if 50000 <= number < 60000 else "test"


@dataclass(frozen=True)
class Pair:
    """A scene for a listener, the unit of enhancement and scoring."""

    scene: Scene
    listener: Listener

    @property
    def name(self) -> str:
        """Name of the pair, for instance `S50001_L5051`."""
        return f"{self.scene.id}_{self.listener.id}"

    @property
    def enhanced_file(self) -> Path:
        """Path of the enhanced signal, relative to the run's folder."""
        return Path("enhanced_signals", self.scene.split, f"{self.name}_remix.flac")


def by_track(pairs: Iterable[Pair]) -> list[tuple[Track, list[Pair]]]:
    """Group pairs by track, both in the order of their first appearance."""
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.scene.track.name, []).append(pair)
    return [(group[0].scene.track, group) for group in groups.values()]


def shard(pairs: Sequence[Pair], batch: int, batch_size: int) -> list[Pair]:
    """Return the pairs of a job, in the given order.

    Separation depends only on the track. Each track therefore belongs to a single job, so that no
    track is separated twice. If there are fewer tracks than jobs, some jobs have no pairs.

    Args:
        pairs: all pairs.
        batch: index of the job, from 0.
        batch_size: number of jobs (the official name of this setting).
    """
    tracks = {track.name for track, _ in by_track(pairs)[batch::batch_size]}
    return [pair for pair in pairs if pair.scene.track.name in tracks]
