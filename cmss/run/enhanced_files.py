"""The enhanced files of a run: which are there, and whether they would come out the same now."""

from collections.abc import Sequence
from pathlib import Path

from cmss.errors import InputError
from cmss.fingerprint import ORIGIN, Fingerprints, changes, mixed, outdated, told
from cmss.scenes import Pair, SoundFiles

FOLDER = "enhanced_signals"


def made_from(
    folder: Path, pairs: Sequence[Pair], sounds: SoundFiles, digest: bool = False
) -> dict[str, str]:
    """Fingerprints of the enhanced files that are there and whole; empty for one without.

    Args:
        folder: the run's folder.
        pairs: whose files are looked at.
        sounds: opens them.
        digest: compute their digests in the same opening.
    """
    found = {}
    for pair in pairs:
        try:
            found[pair.name] = sounds.header(folder / pair.enhanced_file, digest).comment
        except InputError:
            continue
    return found


def missing(
    folder: Path, pairs: Sequence[Pair], sounds: SoundFiles, wanted: Fingerprints, on_change: str
) -> list[Pair]:
    """The pairs that are to be enhanced: those without a whole file.

    Files that would come out otherwise now are deleted first, so that old and new ones never lie
    side by side.

    Args:
        folder: the run's folder.
        pairs: what the run is about.
        sounds: opens the files.
        wanted: their fingerprints, see :func:`cmss.fingerprint.of_enhanced`.
        on_change: "redo" deletes such files, "error" stops.

    Raises:
        InputError: there are such files, and one has to choose.
    """
    found = made_from(folder, pairs, sounds)
    stale = outdated(folder / FOLDER, changes(found, wanted), on_change)
    for pair in pairs:
        if pair.name in stale:
            (folder / pair.enhanced_file).unlink(missing_ok=True)
    return [pair for pair in pairs if pair.name not in found or pair.name in stale]


def check_files(
    folder: Path, pairs: Sequence[Pair], sounds: SoundFiles, inputs: Fingerprints
) -> None:
    """See that every pair has an enhanced file, before hours go into those that have.

    Files that say what they were made from must all come from one system and from the inputs as
    they are now; those that something else made say nothing.

    Args:
        folder: the run's folder.
        pairs: what the run is about.
        sounds: opens the files, and takes their digests.
        inputs: fingerprints without the system, see :func:`cmss.fingerprint.of_enhanced`.

    Raises:
        InputError: the files that are missing, or what they differ in.
    """
    absent = [path for pair in pairs if not (path := folder / pair.enhanced_file).is_file()]
    if absent:
        raise InputError(f"{path}: no such enhanced file" for path in absent)
    found = made_from(folder, pairs, sounds, digest=True)
    changed = {**changes(found, inputs), **mixed(found)}
    changed.pop(ORIGIN, None)
    if changed:
        raise InputError(
            f"{folder / FOLDER}: produced with different inputs or settings: {told(changed)}; "
            "enhance.py with on_change=redo makes these anew"
        )
