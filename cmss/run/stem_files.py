"""The stems that a run keeps: stems/<track>/<source>.flac, the whole folder of a track or none.

Beside them lies what they were made from, see :mod:`cmss.fingerprint`. A separator that gives no
stems leaves the folder without any.
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.files.atomic import atomic_folder, write_text
from cmss.fingerprint import Fingerprints, changes, mixed, outdated, told
from cmss.scenes import SoundFiles, Track
from cmss.separators import Stems

STEMS = "stems"
MADE_FROM = "made_from.txt"


def place(folder: Path, track: Track) -> Path:
    """Where the stems of a track lie; names of tracks may hold what names of files may not."""
    return folder / STEMS / quote(track.name, safe=" ").replace(".", "%2E")


def keep(folder: Path, track: Track, stems: Stems, sample_rate_hz: int, made_from: str) -> None:
    """Write the stems of a track, replacing those that are there.

    Args:
        folder: the run's folder.
        track: whose they are.
        stems: source id -> (2, samples).
        sample_rate_hz: of the stems.
        made_from: their fingerprint.
    """
    with atomic_folder(place(folder, track)) as files:
        for source_id, stem in stems.items():
            write_flac(files / f"{source_id}.flac", stem, sample_rate_hz)
        write_text(files / MADE_FROM, f"{made_from}\n")


def kept(folder: Path, track: Track, sounds: SoundFiles) -> Stems:
    """The stems of a track by source id, at the sampling rate of the mixture; none without any.

    Raises:
        InputError: a file that cannot be read.
    """
    paths = sorted(place(folder, track).glob("*.flac"))
    return {path.stem: sounds.whole(path)[0] for path in paths}


def missing(
    folder: Path, tracks: Sequence[Track], wanted: Fingerprints, on_change: str
) -> list[Track]:
    """The tracks whose stems are to be made: those without, and those made from something else.

    Args:
        folder: the run's folder.
        tracks: of the run.
        wanted: name of a track -> fingerprint, see :func:`cmss.fingerprint.of_stems`.
        on_change: "redo" deletes those made from something else, "error" stops.

    Raises:
        InputError: there are such stems, and one has to choose.
    """
    found = _made_from(folder, tracks)
    stale = outdated(folder / STEMS, changes(found, wanted), on_change)
    for track in tracks:
        if track.name in stale:
            shutil.rmtree(place(folder, track))
    return [track for track in tracks if track.name not in found or track.name in stale]


def check(folder: Path, tracks: Sequence[Track], inputs: Fingerprints) -> None:
    """See that the run has kept the stems of all its tracks.

    Args:
        folder: the run's folder.
        tracks: of the run.
        inputs: fingerprints without the system, see :func:`cmss.fingerprint.of_stems`.

    Raises:
        InputError: those that are missing, or stems of other mixtures than there are now.
    """
    found = _made_from(folder, tracks)
    absent = [place(folder, track) for track in tracks if track.name not in found]
    if absent:
        raise InputError(
            f"{path}: no stems; enhance.py with stems=true keeps them" for path in absent
        )
    changed = {**changes(found, inputs), **mixed(found)}
    if changed:
        raise InputError(
            f"{folder / STEMS}: produced with different inputs or settings: {told(changed)}; "
            "enhance.py with on_change=redo makes these anew"
        )


def _made_from(folder: Path, tracks: Iterable[Track]) -> dict[str, str]:
    paths = {track.name: place(folder, track) / MADE_FROM for track in tracks}
    return {
        name: path.read_text(encoding="utf-8").strip()
        for name, path in paths.items()
        if path.is_file()
    }
