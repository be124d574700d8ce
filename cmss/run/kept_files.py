"""Finds, checks, writes and reads the results that a run keeps: enhanced files and stems.

Each result has a fingerprint (:mod:`cmss.fingerprint`). An enhanced file
enhanced_signals/<split>/<scene>_<listener>_remix.flac contains its fingerprint as a FLAC comment.
The folder stems/<track>/ contains a file made_from.txt with the fingerprint of all stems of the
track. An enhanced file or a folder of stems is either complete or absent, so that an interrupted
run can continue.
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
    """Lists the results of one type, enhanced files or stems, in the folder of a run.

    Args:
        folder: folder that contains all these results. The folder is named in error messages.
        paths: dict from the name of a pair or track to the path of the result. A result is a file
            or a folder.
        read: function that reads the fingerprint from a file, and returns None if the file is
            missing or damaged.
        stated_in: name of the file with the fingerprint, if each result is a folder. If each result
            is a file that contains its own fingerprint, `stated_in` is empty.
        if_absent: error message for a missing result.
        unstated: whether :meth:`check` accepts results without a fingerprint. Another program has
            written such results.
    """

    folder: Path
    paths: Mapping[str, Path]
    read: Callable[[Path], str | None]
    stated_in: str
    if_absent: str
    unstated: bool

    def missing(self, wanted: Fingerprints, on_change: str) -> set[str]:
        """Return the names of the results that are absent, damaged or outdated.

        Outdated results are deleted, so that the folder never has both old and new results.

        Args:
            wanted: fingerprints for the present inputs and settings.
            on_change: what to do if results are outdated: "redo" deletes these results, "error"
                raises an error.

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
        """Check that all results exist and were produced by one system from the present inputs.

        Args:
            inputs: fingerprints of the present inputs, without the settings of the system.

        Raises:
            InputError: results are missing, or fingerprints differ. The message has a line for each
                missing result, or names the inputs and settings that differ.
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
        pairs: pairs of scene and listener of the run.
        sounds: cache that opens the files.
        digest: whether to compute the digest of each file when the fingerprint of the file is read.
            If `digest` is True, a later call of :meth:`SoundFiles.digest` does not open the file
            again.
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
    """Return the stems of a run; each track has a folder with its stems.

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
    """Write the stems of a track, and replace existing stems of this track.

    If the separator returned no stems, the folder contains only the file with the fingerprint.

    Args:
        folder: the run's folder.
        track: the separated track.
        stems: dict from the id of a source to its stem (2, samples).
        sample_rate_hz: sampling rate of the stems.
        fingerprint: fingerprint of the stems.
    """
    with atomic_folder(_stem_folder(folder, track)) as files:
        for source_id, stem in stems.items():
            write_flac(files / f"{source_id}.flac", stem, sample_rate_hz)
        write_text(files / FINGERPRINT_FILE, f"{fingerprint}\n")


def read_stems(folder: Path, track: Track, sounds: SoundFiles) -> Stems:
    """Read the stems of a track.

    Args:
        folder: the run's folder.
        track: the separated track.
        sounds: cache that reads the files.

    Returns:
        Dict from the id of a source to its stem (2, samples) at the sampling rate of the mixture;
        empty if the run has kept no stems of this track.

    Raises:
        InputError: a file cannot be read.
    """
    paths = sorted(_stem_folder(folder, track).glob("*.flac"))
    return {path.stem: sounds.read(path)[0] for path in paths}


def _stem_folder(folder: Path, track: Track) -> Path:
    # The name of a track may have characters that are not allowed in the name of a folder.
    return folder / STEMS / quote(track.name, safe=" ").replace(".", "%2E")
