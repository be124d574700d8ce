"""What was given on the command line of a recipe: read by hydra, checked before anything runs."""

import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import (
    CompactHydraException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from cmss.errors import InputError
from cmss.run.forms import MISSING, problems_of_form
from cmss.run.words import as_text, is_path, split, suggestion, with_home

DEEPEST = 12
"""Sections within sections; more only where a reference leads to a section that it stands in."""


def words() -> list[str]:
    """The overrides of the running stage, as they were given."""
    given = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(given, list)
    return [str(word) for word in given]


def overrides() -> dict[str, Any]:
    """Key -> value of what the running stage was given on its command line."""
    parsed = OverridesParser.create().parse_overrides(words())
    return {override.key_or_group: override.value() for override in parsed}


def missing(config: DictConfig) -> list[str]:
    """A line for each key without a value; OmegaConf.missing_keys fails on what refers to one."""
    return [_missing(key) for key, value in _leaves(config).items() if value == MISSING]


def check(config: DictConfig) -> None:
    """Compare the configuration of the running stage with its defaults; expand ``~`` in its paths.

    Args:
        config: as hydra composed it; changed in place.

    Raises:
        InputError: values that cannot be resolved, or of another form than the defaults.
    """
    if not HydraConfig.initialized():
        return  # called by a program that has composed the configuration itself
    defaults = _defaults()
    problems: dict[str, str] = {}
    given = _resolved(config, problems)
    raw, before = _leaves(config), _leaves(defaults)
    # What refers to a value that cannot be resolved is not to blame.
    problems = {k: v for k, v in problems.items() if raw.get(k) != before.get(k)} or problems
    for key, value in raw.items():
        if value == MISSING != before.get(key):
            problems[key] = _missing(key).removeprefix(f"{key}: ")
    problems = problems or problems_of_form(given, _resolved(defaults, {}))
    if problems:
        raise InputError(f"{key}: {text}{_hint(key)}" for key, text in problems.items())


def run_folder(config: DictConfig) -> str:
    """path.exp_folder of a configuration that is not checked yet, without ``~``.

    Raises:
        InputError: there is none, or it is no path.
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
        raise InputError(
            "path.exp_folder: hydra cannot write into a folder whose name has ${ in it"
        )
    try:
        return with_home(str(section.exp_folder))
    except ValueError as error:
        raise InputError(f"path.exp_folder: {error}") from error


def _defaults() -> DictConfig:
    """The configuration of the running stage with the same choices of groups, but nothing else."""
    composed = HydraConfig.get()
    choices = [
        f"{group}=[{','.join(choice)}]" if isinstance(choice, ListConfig) else f"{group}={choice}"
        for group, choice in composed.runtime.choices.items()
        if choice is not None and not group.startswith("hydra/")
    ]
    # Without the user's own folders, choices from there would not be found.
    folders = [word for word in composed.overrides.hydra if word.startswith("hydra.searchpath=")]
    return compose(composed.job.config_name, [*choices, *folders])


def _leaves(config: DictConfig) -> dict[str, Any]:
    """Full key -> value of all that is not a section; references between values as they stand."""

    def walk(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, dict):
            yield prefix, node
            return
        for name, value in node.items():
            yield from walk(value, f"{prefix}.{name}" if prefix else str(name))

    return dict(walk(OmegaConf.to_container(config, resolve=False), ""))


def _resolved(node: DictConfig | ListConfig, problems: dict[str, str], prefix: str = "") -> Any:
    """The values of a section or list, :data:`MISSING` where there is none; paths have no ``~``.

    Args:
        problems: receives what is wrong with values that cannot be resolved, by key.
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
            if key.count(".") > DEEPEST:
                raise InputError(f"{key}: refers to a section that it stands in")
            value = _resolved(value, problems, f"{key}.")
        elif isinstance(value, str) and value.startswith("~") and is_path(key):
            try:
                value = node[name] = with_home(value)
            except ValueError as error:
                problems[key] = str(error)
        values[name] = value
    return values if isinstance(node, DictConfig) else list(values.values())


def _missing(key: str) -> str:
    return f"{key}: missing, expected {key}=VALUE on the command line"


def _hint(key: str) -> str:
    """How a path is written whose name means something else to hydra."""
    given = {split(word)[1]: word for word in words() if split(word)[2]}
    return (
        f"; for a path of this name type {suggestion(given[key])}"
        if is_path(key) and key in given
        else ""
    )


# What hydra finds wrong with the command line itself.


def with_paths_as_text(arguments: list[str]) -> list[str]:
    """The same words, so that paths which look like numbers stay as they were written.

    To hydra 2026_11_29 is the number 20261129.
    """
    return [_path_as_text(word) for word in arguments]


def _path_as_text(word: str) -> str:
    override = _parsed(word)
    if override is None or override.value_type is None or not is_path(override.key_or_group):
        return word
    value = override.value()
    return as_text(word) if isinstance(value, int | float) and not isinstance(value, bool) else word


def _parsed(word: str) -> Override | None:
    """A word as hydra reads it; None if it cannot."""
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return None
    return override


def unreadable(error: CompactHydraException | ValueError | TypeError) -> list[str]:
    """A line for each word of the command line that hydra refuses to make a configuration of.

    Args:
        error: what hydra raised.
    """
    if isinstance(error, OverrideParseException):
        return [_misread(error.override)]
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        return [f"{group}: no {name!r}, expected one of {', '.join(error.options)}"]
    parsed = [(word, override) for word in sys.argv[1:] if (override := _parsed(word))]
    if str(error).startswith("Ambiguous value"):
        return [
            f"{override.key_or_group}: several values, but no -m, which runs one job for each; "
            f"for a single one type {suggestion(word)}"
            for word, override in parsed
            if override.is_sweep_override()
        ]
    if isinstance(error, ValueError | TypeError):
        groups = files("cmss.conf")
        return [
            f"{override.key_or_group}: expected the name of a choice, got {split(word)[2] or '``'}"
            for word, override in parsed
            if (groups / override.key_or_group).is_dir() and not isinstance(override.value(), str)
        ] or [str(error)]
    text, cause = str(error).splitlines()[0], error.__cause__
    if unknown := re.match(r"Could not override '(.*)'", text):
        return [f"{unknown[1]}: no such key" if unknown[1] else "=...: expected KEY=VALUE"]
    why = str(cause.msg).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else ""
    if merging := re.match(r"Error merging override (.*)", text):
        key = split(merging[1])[1]
        hint = f"; for a path of this name type {suggestion(merging[1])}" if is_path(key) else ""
        return [f"{key}: {why}{hint}"]
    return [f"{text}: {why}" if why else text]


def _misread(word: str) -> str:
    """What to say about a word that is no KEY=VALUE to hydra."""
    if "=" not in word:
        # The shell splits where a space is, and hydra sees only the part after it.
        before, after = sys.argv[1 : sys.argv.index(word)], sys.argv[sys.argv.index(word) :]
        parts = [before[-1]] if before and "=" in before[-1] else []
        for part in after if parts else []:
            if "=" in part or part.startswith("-"):
                break
            parts.append(part)
        hint = f"; for a space in a value type {suggestion(' '.join(parts))}" if parts else ""
        return f"{word}: expected KEY=VALUE{hint}"
    _, key, text = split(word)
    if not key or not _parsed(as_text(word)):
        return f"{word}: expected KEY=VALUE, and {key!r} cannot be a key"
    return f"{key}: {text} holds characters with a special meaning; type {suggestion(word)}"
