"""The form of a configuration: where it has sections, lists, single values and paths.

Each recipe has a configuration with defaults. A section stays a section and a list a list, whatever
is given on the command line, or reading the configuration fails far from the mistake. Which values
a single key may have is for the dataclasses of :mod:`cmss.settings` and of what is built to say.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from cmss.run.words import LISTS, is_path

MISSING = "???"
"""What stands for a value that has to be given, in OmegaConf's files."""

ONE_OR_SEVERAL = ("attack", "release", "threshold", "weights_from")
"""Last parts of the keys whose value may be a list or a single one."""


def problems_of_form(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Compare the form of a configuration with that of its defaults.

    Args:
        given: the configuration, resolved; :data:`MISSING` for what cannot be known yet.
        defaults: the same without what was given. Where it has None, :data:`MISSING` or an empty
            section, any form will do.

    Returns:
        full key -> what is wrong with its value.
    """
    unknown = {
        key: f"no such key, expected one of {', '.join(defaults)}"
        for key in given
        if key not in defaults
    }
    return {**dict(_of_section("", given, defaults)), **unknown, **dict(_of_paths("", given))}


def _of_section(
    prefix: str, given: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for name, default in defaults.items():
        key = f"{prefix}{name}"
        if name not in given:
            yield key, f"missing, expected {_form(default)}"
            continue
        value = given[name]
        if value == MISSING and not isinstance(default, dict):
            continue
        if isinstance(default, dict):
            if not isinstance(value, dict):
                yield key, f"expected {_form(default)}, got {_shown(value)}"
            else:
                yield from _of_section(f"{key}.", value, default)
        elif default not in (None, MISSING):
            yield from _of_value(key, value, default)


def _of_value(key: str, value: Any, default: Any) -> Iterator[tuple[str, str]]:
    several = key.rpartition(".")[2] in ONE_OR_SEVERAL
    wrong = isinstance(value, dict) or (
        not several and isinstance(value, list) != isinstance(default, list)
    )
    if wrong:
        yield key, f"expected {_form(default)}, got {_shown(value)}"
    elif isinstance(value, list) and isinstance(default, list):
        sections = bool(default) and all(isinstance(item, dict) for item in default)
        for number, item in enumerate(value):
            if sections != isinstance(item, dict) and default:
                expected = "a section" if sections else "a single value"
                yield f"{key}.{number}", f"expected {expected}, got {_shown(item)}"


def _of_paths(prefix: str, node: Any) -> Iterator[tuple[str, str]]:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node):
        key = f"{prefix}{name}"
        one = key.startswith("path.") and name not in LISTS
        if isinstance(value, dict | list) and not one:
            yield from _of_paths(f"{key}.", value)
        elif value == "" and is_path(key):
            # As of path.exp_folder=$FOLDER where the variable is not set: the current folder.
            yield key, "empty, expected a path"
        elif one and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            yield key, f"expected a path, got {_shown(value)}"


def _form(default: Any) -> str:
    if isinstance(default, dict):
        return f"a section with {', '.join(map(str, default))}" if default else "a section"
    return "a list" if isinstance(default, list) else "a single value"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    return (
        f"a section with {', '.join(map(str, value))}" if isinstance(value, dict) else repr(value)
    )
