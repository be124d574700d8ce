"""Finds the separators and networks that other installed packages provide by entry points.

A separator or a network is imported when it is used. The pyproject.toml of a package declares the
entry points, see docs/add_a_separator.md.
"""

from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cmss.errors import InputError


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, such as `cmss.separators`; nothing is imported."""
    return tuple(entry_points(group=group))


def additions(group: str, taken: Collection[str]) -> dict[str, EntryPoint]:
    """Return the entry points of a group as a dict from name to entry point.

    Args:
        group: name of the group.
        taken: names that exist in this package.

    Raises:
        InputError: two packages use the same name, or another package uses a name in `taken`.
    """
    found: dict[str, EntryPoint] = {}
    for entry in installed(group):
        # A package that is found twice on the path is one package.
        if entry.name in taken or found.get(entry.name, entry).value != entry.value:
            raise InputError(
                f"{entry.name}: the name of this entry point of {_package(entry)} ({group}) is "
                "already in use; uninstall one of the packages that use it"
            )
        found[entry.name] = entry
    return found


def load(entry: EntryPoint) -> Any:
    """Import the object that an entry point names.

    Raises:
        InputError: the package that has this entry point cannot be imported.
    """
    if entry.dist is None:  # of this package, where an error is a bug
        return entry.load()
    try:
        return entry.load()
    except Exception as error:  # A package of others may raise any exception.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{entry.name}: cannot import {entry.value} of {_package(entry)}: {reason}"
        ) from error


def _package(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else "an unknown package"
