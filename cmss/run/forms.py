"""Checks the structure of a configuration: sections, lists, single values and paths.

Each recipe has a configuration with default values. If the default is a section or a list, the
command line must also give a section or a list. Without this check, the program would fail later,
with an unclear message. The types and the ranges of values are checked by
:func:`cmss.settings.from_settings`.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from cmss.errors import one_of

MISSING = "???"
"""OmegaConf writes this text in place of a value that the user must give."""

PATH_LISTS = ("compare", "more", "notes", "scores")
"""Keys whose value is a list of paths; the value of every other key for a path is a single path."""

OPTIONAL_PATHS = ("pack",)
"""Keys of the section `path` whose value may be null."""


def is_path(key: str) -> bool:
    """Return whether a key accepts a path; some of these keys also accept other values.

    Args:
        key: full key of a value or of an item of a list, such as `path.root` or
            `ensemble.members.0.weights_from`.
    """
    section, *names = [name for name in key.split(".") if not name.isdigit()] or [""]
    if section == "path":
        return bool(names)
    # These keys outside the section `path` accept paths.
    paths = ("cache", "checkpoint", "compare", "init_from", "begin_like", "pairs", "weights_from")
    return [section, *names][-1] in paths


def without_folders(value: Any, key: str = "") -> Any:
    """Replace each path in a configuration by the name of its file.

    The header of published weights contains the result, so that it does not show the folders of the
    author's machine.

    Args:
        value: value of `key`; the sections of a configuration are dicts.
        key: full key of the value; "" for an entire configuration.
    """
    if isinstance(value, Mapping):
        return {name: without_folders(v, f"{key}.{name}".lstrip(".")) for name, v in value.items()}
    if isinstance(value, list):
        return [without_folders(item, f"{key}.{number}") for number, item in enumerate(value)]
    return PurePath(value).name if isinstance(value, str) and is_path(key) else value


def problems_of_form(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, str]:
    """Compare the structure of a configuration with the structure of the default configuration.

    Args:
        given: the configuration, with references resolved; values that are not known yet are
            :data:`MISSING`.
        defaults: the default configuration, with references resolved. If a default is None,
            :data:`MISSING` or an empty section, any structure is allowed.

    Returns:
        Dict from the full key of a value to the description of its problem; empty if there are no
        problems.
    """
    unknown = {key: f"no such key, {one_of(defaults, key)}" for key in given if key not in defaults}
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
    # The values of these keys may be single values or lists.
    either = key.rpartition(".")[2] in ("attack", "release", "threshold", "weights_from")
    wrong = isinstance(value, dict) or (
        not either and isinstance(value, list) != isinstance(default, list)
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
        single = key.startswith("path.") and name not in PATH_LISTS
        if isinstance(value, dict | list) and not single:
            yield from _of_paths(f"{key}.", value)
        elif value == "" and is_path(key):
            # For example path.exp_folder=$FOLDER if the variable FOLDER is not set. An empty path
            # would mean the current folder.
            yield key, "empty, expected a path"
        elif value is None and name in OPTIONAL_PATHS:
            continue
        elif single and (isinstance(value, bool) or not isinstance(value, str | int | float)):
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
