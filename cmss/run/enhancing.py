"""Plans the work of enhance.py: which tracks to separate and which files to write."""

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
    """Settings for the enhanced files and the stems of a run.

    Args:
        rate_hz: sampling rate of the enhanced files.
        soft_clip: whether to apply tanh to each signal before it is written.
        stems: whether to keep the estimated stems as well.
        on_change: what to do with existing results that were produced with different inputs or
            settings: "redo" replaces these results, "error" raises an error.
        references: whether the separator reads the ground truth stems.
        stem_settings: settings that affect the stems, for the fingerprints of the stems.
        enhanced_settings: settings that affect the enhanced files, including all `stem_settings`,
            for the fingerprints of the enhanced files.
    """

    rate_hz: int
    soft_clip: bool
    stems: bool
    on_change: str
    references: bool
    stem_settings: Mapping[str, Any]
    enhanced_settings: Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """Lists the results that enhance.py must compute, and the fingerprints of these results.

    Args:
        pairs: dict from the name of a track to the pairs of this track whose enhanced file is
            missing.
        tracks: tracks to separate, because an enhanced file or the stems of the track are missing.
        prints: dict from the name of a pair to the fingerprint of its enhanced file.
        stem_prints: dict from the name of a track to the fingerprint of its stems. The dict
            contains only tracks whose stems must be stored but do not exist yet.
    """

    pairs: Mapping[str, Sequence[Pair]]
    tracks: Sequence[Track]
    prints: Fingerprints
    stem_prints: Fingerprints

    @property
    def number_of_pairs(self) -> int:
        """The number of pairs to enhance."""
        return sum(map(len, self.pairs.values()))

    def warnings(self, sounds: SoundFiles) -> Iterator[str]:
        """Yield a warning for each mixture, audiogram or hearing aid with unusual values.

        All mixtures of the plan are decoded.

        Args:
            sounds: cache that reads the mixtures.

        Raises:
            InputError: mixtures cannot be decoded; the message has a line for each of these
                mixtures.
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
    """Find the results that are missing or outdated, and delete the outdated results.

    Args:
        folder: the run's folder.
        pairs: pairs of scene and listener of this job.
        sounds: cache that opens the mixtures and the enhanced files.
        settings: settings of the results.
        weights: dict from an instrument to the digests of the weight files that are used to
            estimate this instrument.

    Raises:
        InputError: results are outdated, and `settings.on_change` is "error".
    """
    references, on_change = settings.references, settings.on_change
    prints = of_enhanced(pairs, sounds, references, settings.enhanced_settings, weights)
    todo = enhanced_files(folder, pairs, sounds).missing(prints, on_change)
    remaining = [pair for pair in pairs if pair.name in todo]
    groups = {track.name: group for track, group in by_track(remaining)}
    tracks = [track for track, _ in by_track(pairs)]
    stem_prints: dict[str, str] = {}
    if settings.stems:
        wanted = of_stems(tracks, sounds, references, settings.stem_settings, weights)
        without = stem_files(folder, tracks).missing(wanted, on_change)
        stem_prints = {name: wanted[name] for name in without}
    tracks = [track for track in tracks if track.name in groups or track.name in stem_prints]
    return Plan(groups, tracks, prints, stem_prints)
