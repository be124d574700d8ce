"""What is left to enhance in a run: :mod:`cmss.run.scoring` is the counterpart for scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from cmss.fingerprint import Fingerprints, of_enhanced, of_stems
from cmss.run.kept_files import enhanced_files, stem_files
from cmss.scenes import Pair, SoundFiles, Track, by_track, level_warnings, unusual_hearing


@dataclass(frozen=True)
class EnhanceSettings:
    """How the enhanced files of a run are written, and what shapes them.

    Args:
        rate_hz: sampling rate of the files.
        soft_clip: bend each signal by tanh before it is written.
        stems: keep the estimated stems as well.
        on_change: "redo" replaces results made with different inputs or settings, "error" stops.
        references: whether the separator reads the true stems.
        shaping_stems: settings that shape the stems, for their fingerprints.
        shaping_files: settings that shape the enhanced files, those of the stems included.
    """

    rate_hz: int
    soft_clip: bool
    stems: bool
    on_change: str
    references: bool
    shaping_stems: Mapping[str, Any]
    shaping_files: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is left to do, and what the results will be made from.

    Args:
        pairs: without an enhanced file, by the name of their track.
        tracks: to be separated, for these pairs or for stems to be kept.
        prints: fingerprints of the enhanced files, by the name of the pair.
        stem_prints: fingerprints of the stems that are to be kept, by the name of the track.
    """

    pairs: Mapping[str, Sequence[Pair]]
    tracks: Sequence[Track]
    prints: Fingerprints
    stem_prints: Fingerprints

    @property
    def number_of_pairs(self) -> int:
        """How many pairs are to be enhanced."""
        return sum(map(len, self.pairs.values()))

    def warnings(self, sounds: SoundFiles) -> Iterator[str]:
        """Yield a line for each unusual level or hearing; decodes the mixtures.

        Raises:
            InputError: mixtures that cannot be decoded.
        """
        listeners = (pair.listener for group in self.pairs.values() for pair in group)
        yield from chain(level_warnings(self.tracks, sounds), unusual_hearing(listeners))


def plan(
    folder: Path,
    pairs: Sequence[Pair],
    sounds: SoundFiles,
    settings: EnhanceSettings,
    weights: Mapping[str, Sequence[str]],
) -> Plan:
    """Find what is not there yet, or would come out differently now, which is deleted.

    Args:
        folder: of the run.
        pairs: of this job.
        sounds: opens mixtures and enhanced files.
        settings: of the run.
        weights: instrument -> digests of the weights that its estimates come from.

    Raises:
        InputError: results were made with different inputs or settings, and are not to be replaced.
    """
    references, on_change = settings.references, settings.on_change
    prints = of_enhanced(pairs, sounds, references, settings.shaping_files, weights)
    todo = enhanced_files(folder, pairs, sounds).missing(prints, on_change)
    remaining = [pair for pair in pairs if pair.name in todo]
    groups = {track.name: group for track, group in by_track(remaining)}
    tracks = [track for track, _ in by_track(pairs)]
    stem_prints: dict[str, str] = {}
    if settings.stems:
        wanted = of_stems(tracks, sounds, references, settings.shaping_stems, weights)
        without = stem_files(folder, tracks).missing(wanted, on_change)
        stem_prints = {name: wanted[name] for name in without}
    tracks = [track for track in tracks if track.name in groups or track.name in stem_prints]
    return Plan(groups, tracks, prints, stem_prints)
