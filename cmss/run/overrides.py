"""Checks the arguments KEY=VALUE of a recipe against its configuration.

:mod:`cmss.run.refusals` explains the arguments that hydra itself refuses.
"""

import os
from collections.abc import Iterator
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cmss.errors import InputError
from cmss.run.composing import defaults_of
from cmss.run.forms import MISSING, is_path, problems_of_form
from cmss.run.quoting import split, suggestion


def words() -> list[str]:
    """Return the arguments KEY=VALUE of the command line, without changes."""
    given = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(given, list)
    return [str(word) for word in given]


def overrides() -> dict[str, Any]:
    """Parse the command line of the running program, and return a dict from keys to values."""
    parsed = OverridesParser.create().parse_overrides(words())
    return {override.key_or_group: override.value() for override in parsed}


def missing(config: DictConfig) -> list[str]:
    """Return an error message for each key that has no value but needs one.

    OmegaConf.missing_keys cannot be used, because this function fails if a value refers to a
    missing value.
    """
    return [_missing(key) for key, value in _leaves(config).items() if value == MISSING]


def check(config: DictConfig) -> None:
    """Compare the configuration of the running program with the defaults; expand ``~`` in paths.

    Args:
        config: configuration that hydra composed; changed in place.

    Raises:
        InputError: values are missing, cannot be resolved, or differ in structure from the default
            values; the message has a line for each of these values.
    """
    if not HydraConfig.initialized():
        return  # The caller composed the configuration without a command line.
    defaults = defaults_of(HydraConfig.get())
    problems: dict[str, str] = {}
    given = _resolved(config, problems)
    raw, before = _leaves(config), _leaves(defaults)
    # Report only the values that the user gave, and not the default values that refer to them.
    problems = {k: v for k, v in problems.items() if raw.get(k) != before.get(k)} or problems
    for key, value in raw.items():
        if value == MISSING != before.get(key):
            problems[key] = _missing(key).removeprefix(f"{key}: ")
    problems = problems or problems_of_form(given, _resolved(defaults, {}))
    if problems:
        raise InputError(f"{key}: {text}{_hint(key)}" for key, text in problems.items())


def run_folder(config: DictConfig) -> str:
    """Return path.exp_folder of a configuration, with ``~`` expanded.

    Hydra needs this folder before :func:`check` has checked the configuration.

    Raises:
        InputError: the value is missing or is not a path.
    """
    try:
        section = config.path
        given = {"exp_folder": section.exp_folder} if isinstance(section, DictConfig) else section
    except (MissingMandatoryValue, InterpolationToMissingValueError):
        raise InputError(_missing("path.exp_folder")) from None
    except OmegaConfBaseException as error:
        raise InputError(f"path.exp_folder: {str(error.msg).splitlines()[0]}") from error
    problems = problems_of_form({"path": given}, {"path": {"exp_folder": ""}})
    if problems:
        raise InputError(f"{key}: {text}{_hint(key)}" for key, text in problems.items())
    if "${" in str(section.exp_folder):
        raise InputError("path.exp_folder: hydra cannot write into a folder whose name contains ${")
    try:
        return _with_home(str(section.exp_folder))
    except ValueError as error:
        raise InputError(f"path.exp_folder: {error}") from error


def _leaves(config: DictConfig) -> dict[str, Any]:
    """Return a dict from full keys to values, without sections; references are not resolved."""

    def walk(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, dict):
            yield prefix, node
            return
        for name, value in node.items():
            yield from walk(value, f"{prefix}.{name}" if prefix else str(name))

    return dict(walk(OmegaConf.to_container(config, resolve=False), ""))


def _resolved(node: DictConfig | ListConfig, problems: dict[str, str], prefix: str = "") -> Any:
    """Resolve the values of a section or list, and expand ``~`` in paths.

    Args:
        node: the section or list. Expanded paths are also written to `node`.
        problems: dict from a key to its problem; an entry is added for each value that cannot be
            resolved.
        prefix: full key of `node` with a dot at the end; empty for the complete configuration.

    Returns:
        Dictionary or list of the values; missing and unresolved values are :data:`MISSING`.
    """
    values: dict[Any, Any] = {}
    names: Any = node if isinstance(node, DictConfig) else range(len(node))
    for name in names:
        key = f"{prefix}{name}"
        try:
            value = node[name]
        except (MissingMandatoryValue, InterpolationToMissingValueError):
            value = MISSING
        except OmegaConfBaseException as error:
            problems[key] = str(error.msg).splitlines()[0]
            value = MISSING
        if isinstance(value, DictConfig | ListConfig):
            # Such a deep key means that a section refers to itself, which would never end.
            if key.count(".") > 12:
                raise InputError(f"{key}: refers to a section that contains this key")
            value = _resolved(value, problems, f"{key}.")
        elif isinstance(value, str) and value.startswith("~") and is_path(key):
            try:
                value = node[name] = _with_home(value)
            except ValueError as error:
                problems[key] = str(error)
        values[name] = value
    return values if isinstance(node, DictConfig) else list(values.values())


def _missing(key: str) -> str:
    return f"{key}: missing, expected {key}=VALUE on the command line"


def _hint(key: str) -> str:
    """Return advice on how to quote the value of a key that is a path.

    Args:
        key: full key.

    Returns:
        The advice; empty if the key is not a path or is not on the command line.
    """
    given = {split(word)[1]: word for word in words() if split(word)[2]}
    return (
        f"; for a path of this name type {suggestion(given[key])}"
        if is_path(key) and key in given
        else ""
    )


def _with_home(path: str) -> str:
    """Replace ``~`` or ``~user`` at the beginning of a path by the path of the home folder.

    Raises:
        ValueError: there is no user of this name.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib drops "./"
    if expanded.startswith("~"):
        raise ValueError(
            f"there is no user with the home folder {path.split('/')[0]}; if the name of the file "
            f"or folder really begins with ~, type ./{path}"
        )
    return expanded
