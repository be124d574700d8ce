"""Defines frozen records of scenes, listeners and tracks, independent of file formats."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cmss.audio import Excerpt

INSTRUMENTS = ("Bassoon", "Cello", "Clarinet", "Flute", "Oboe", "Sax", "Viola", "Violin")
DOUBLED = ("Flute", "Sax", "Viola", "Violin")
"""Instruments with up to two players in a track, for example `Violin_1` and `Violin_2`."""
STRINGS = ("Cello", "Viola", "Violin")

Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Source:
    """Describes a musician who plays in a track.

    Args:
        id: id of the player, such as "source_1"; also the key of the player's gain in a scene.
        instrument: instrument that the player plays, without a number.
        voice: number of the player, 1 or 2, if two players play the same instrument; otherwise
            None.
        excerpt: ground truth stem of the player.
    """

    id: str
    instrument: str
    voice: int | None
    excerpt: Excerpt


@dataclass(frozen=True)
class Track:
    """Describes a piece of music.

    Args:
        name: name of the track; also the key of the track in the music file.
        sources: dict from the id of a source to the source, in the order of the music file.
        mixture: mixture of all sources.
    """

    name: str
    sources: dict[str, Source]
    mixture: Excerpt

    @property
    def ensemble(self) -> Literal["string", "wind", "mixed"]:
        """Type of ensemble: "mixed" if the track has both string and wind instruments."""
        strings = {source.instrument in STRINGS for source in self.sources.values()}
        if len(strings) > 1:
            return "mixed"
        return "string" if True in strings else "wind"


@dataclass(frozen=True)
class Audiogram:
    """Holds the hearing thresholds of an ear, in dB HL, at ascending frequencies."""

    frequencies_hz: tuple[float, ...]
    levels_db: tuple[float, ...]


@dataclass(frozen=True)
class Compression:
    """Holds centre frequency, compression ratio and make-up gain of each band of a compressor."""

    frequencies_hz: tuple[float, ...]
    ratios: tuple[float, ...]
    gains_db: tuple[float, ...]


@dataclass(frozen=True)
class Ear:
    """Holds the audiogram and the compressor of an ear."""

    audiogram: Audiogram
    compression: Compression


@dataclass(frozen=True)
class Listener:
    """Holds the id of a listener, and the audiograms and compressors of both ears."""

    id: str
    left: Ear
    right: Ear


@dataclass(frozen=True)
class Scene:
    """Defines a remix of a track; the remix applies a gain to each source.

    Args:
        id: id of the scene, such as "S50001".
        track: track of the scene.
        gains_db: dict from the id of a source to its gain in dB.
    """

    id: str
    track: Track
    gains_db: dict[str, float]

    @property
    def split(self) -> Split:
        """Split of the scene: train up to S49999, valid from S50000 to S59999, test above."""
        number = int(self.id[1:])
        if 0 < number < 50000:
            return "train"
        return "valid" if 50000 <= number < 60000 else "test"


@dataclass(frozen=True)
class Pair:
    """A pair of a scene and a listener; each pair has one enhanced file and one score."""

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
    """Group pairs by track.

    Returns:
        List of tracks, each with the list of its pairs. Tracks are in the order in which they first
        appear in `pairs`, and the pairs of a track are in the same order as in `pairs`.
    """
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.scene.track.name, []).append(pair)
    return [(group[0].scene.track, group) for group in groups.values()]


def shard(pairs: Sequence[Pair], batch: int, batch_size: int) -> list[Pair]:
    """Return the pairs of scene and listener of a job, in the order of `pairs`.

    The separation of a pair depends only on the track of the pair. All pairs of a track therefore
    belong to the same job, so that no track is separated twice. If there are fewer tracks than
    jobs, some jobs have no pairs.

    Args:
        pairs: pairs of scene and listener of all jobs.
        batch: index of the job, from 0.
        batch_size: number of jobs (the official name of this setting).
    """
    tracks = {track.name for track, _ in by_track(pairs)[batch::batch_size]}
    return [pair for pair in pairs if pair.scene.track.name in tracks]
