"""The results that a run keeps: enhanced files and stems, each with its fingerprint.

The fingerprint (:mod:`cmss.fingerprint`) of enhanced_signals/<split>/<scene>_<listener>_remix.flac
is in the comment of this file, and that of stems/<track>/<source>.flac is in made_from.txt beside
it. Each file or folder is complete or absent, so that an interrupted run can continue.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder, write_text
from cmss.fingerprint import ORIGIN, Fingerprints, changes, described, mixed, outdated
from cmss.scenes import Pair, SoundFiles, Track
from cmss.separators import Stems

STEMS = "stems"
FINGERPRINT_FILE = "made_from.txt"


@dataclass(frozen=True)
class KeptFiles:
    """Results of one type in the folder of a run, by the name of their pair or track.

    Args:
        folder: contains all results; named in messages.
        paths: name -> file or folder of the result.
        read: reads the fingerprint from a file; None if the file is missing or damaged.
        stated_in: name of the file with the fingerprint, in the folder of a result; empty if the
            result is itself this file.
        if_absent: message for a missing result.
        unstated: whether :meth:`check` accepts results without a fingerprint, which another
            program has written.
    """

    folder: Path
    paths: Mapping[str, Path]
    read: Callable[[Path], str | None]
    stated_in: str
    if_absent: str
    unstated: bool

    def missing(self, wanted: Fingerprints, on_change: str) -> set[str]:
        """Return the names of the results that are absent, damaged or outdated.

        Outdated results are deleted, so that a folder never has both old and new results.

        Args:
            wanted: fingerprints for the present inputs and settings.
            on_change: "redo" deletes outdated results, "error" stops.

        Raises:
            InputError: results are outdated, and `on_change` is "error".
        """
        found = self._fingerprints()
        stale = outdated(self.folder, changes(found, wanted), on_change)
        for name in stale:
            path = self.paths[name]
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return (self.paths.keys() - found.keys()) | stale

    def check(self, inputs: Fingerprints) -> None:
        """Check that all results exist, and come from one system and from the present inputs.

        Args:
            inputs: fingerprints of the inputs alone, without the settings of the system.

        Raises:
            InputError: the missing results, or the parts in which fingerprints differ.
        """
        absent = [p for p in self.paths.values() if not (p / self.stated_in).is_file()]
        if absent:
            raise InputError(f"{path}: {self.if_absent}" for path in absent)
        found = self._fingerprints()
        changed = {**changes(found, inputs), **mixed(found)}
        if self.unstated:
            changed.pop(ORIGIN, None)
        if changed:
            raise InputError(
                f"{self.folder}: produced with different inputs or settings: {described(changed)}; "
                "run enhance.py with on_change=redo to replace these results"
            )

    def _fingerprints(self) -> dict[str, str]:
        lines = {name: self.read(path / self.stated_in) for name, path in self.paths.items()}
        return {name: line for name, line in lines.items() if line is not None}


def enhanced_files(
    folder: Path, pairs: Iterable[Pair], sounds: SoundFiles, digest: bool = False
) -> KeptFiles:
    """Return the enhanced files of a run.

    Args:
        folder: the run's folder.
        pairs: pairs of the run.
        sounds: opens the files.
        digest: compute the digests as well, for :meth:`SoundFiles.digest`, so that each file is
            opened once.
    """

    def read(path: Path) -> str | None:
        try:
            return sounds.header(path, digest).comment
        except InputError:
            return None

    paths = {pair.name: folder / pair.enhanced_file for pair in pairs}
    where = folder / "enhanced_signals"
    return KeptFiles(where, paths, read, "", "no such enhanced file", unstated=True)


def stem_files(folder: Path, tracks: Iterable[Track]) -> KeptFiles:
    """Return the stems of a run, a folder for each track.

    Args:
        folder: the run's folder.
        tracks: tracks of the run.
    """

    def read(path: Path) -> str | None:
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None

    paths = {track.name: _stem_folder(folder, track) for track in tracks}
    advice = "no stems; enhance.py with stems=true keeps them"
    return KeptFiles(folder / STEMS, paths, read, FINGERPRINT_FILE, advice, unstated=False)


def keep_stems(
    folder: Path, track: Track, stems: Stems, sample_rate_hz: int, fingerprint: str
) -> None:
    """Write the stems of a track; existing stems are replaced.

    If a separator returns no stems, the folder has only the fingerprint.

    Args:
        folder: the run's folder.
        track: the separated track.
        stems: source id -> (2, samples).
        sample_rate_hz: of the stems.
        fingerprint: of the stems.
    """
    with atomic_folder(_stem_folder(folder, track)) as files:
        for source_id, stem in stems.items():
            write_flac(files / f"{source_id}.flac", stem, sample_rate_hz)
        write_text(files / FINGERPRINT_FILE, f"{fingerprint}\n")


def read_stems(folder: Path, track: Track, sounds: SoundFiles) -> Stems:
    """Read the stems of a track: source id -> (2, samples) at the mixture's rate; may be empty.

    Raises:
        InputError: a file cannot be read.
    """
    paths = sorted(_stem_folder(folder, track).glob("*.flac"))
    return {path.stem: sounds.read(path)[0] for path in paths}


def _stem_folder(folder: Path, track: Track) -> Path:
    # Names of tracks may have characters that names of files cannot have.
    return folder / STEMS / quote(track.name, safe=" ").replace(".", "%2E")
