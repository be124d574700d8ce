"""Audiograms of a listener from a user's file, with the keys of the challenge's listeners.json."""

from pathlib import Path

from cmss.errors import InputError
from cmss.scenes import files
from cmss.scenes.files import MetadataFile
from cmss.scenes.records import Audiogram


def load_audiograms(path: Path, listener: str | None = None) -> tuple[Audiogram, Audiogram]:
    """Read the audiograms of the left and the right ear.

    Args:
        path: a JSON file, either with audiogram_cfs, audiogram_levels_l and audiogram_levels_r of a
            single listener, or with several listeners by id, as in the challenge's listeners.json.
        listener: id of the listener, if there are several.

    Raises:
        InputError: all problems, one line each.
    """
    problems: list[str] = []
    file = MetadataFile(path, "audiogram", problems)
    if "audiogram_cfs" in file.entries:
        entry = file.validate("audiogram", file.entries, files.LISTENER)
    elif file.entries:
        entry = None
        name = listener or (next(iter(file.entries)) if len(file.entries) == 1 else None)
        if name in file.entries:
            entry = file.validate(str(name), file.entries[str(name)], files.LISTENER)
        else:
            found = ", ".join(list(file.entries)[:8])
            problems.append(f"{path}: expected a listener of this file ({found}), got {name}")
    elif not problems:
        problems.append(f"{path}: audiogram_cfs: key missing")
    if problems:
        raise InputError(problems)
    assert entry
    frequencies_hz = tuple(entry.audiogram_cfs)
    return (
        Audiogram(frequencies_hz, tuple(entry.audiogram_levels_l)),
        Audiogram(frequencies_hz, tuple(entry.audiogram_levels_r)),
    )
