"""Explains why hydra refuses a command line, in a message for each mistake.

The messages show how to quote a value that hydra would misread (:mod:`cmss.run.quoting`).
"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from typing import Any, NoReturn

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.errors import (
    CompactHydraException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cmss.errors import did_you_mean, one_of
from cmss.run.choices import COMMON_FILES
from cmss.run.forms import is_path
from cmss.run.quoting import as_text, parsed, split, suggestion


def problem_of_options() -> str | None:
    """Return an error message if hydra does not know an option of the command line."""
    parser = get_args_parser()
    problems: list[str] = []

    def note(message: str) -> NoReturn:
        problems.append(message)
        raise ValueError(message)

    parser.error = note  # type: ignore[method-assign]  # it would print hydra's options and exit
    with suppress(ValueError):
        parser.parse_args(sys.argv[1:])
    if not problems:
        return None
    unknown = problems[0].removeprefix("unrecognized arguments: ").split(" ")[0]
    if unknown == problems[0].split(" ")[0]:
        return problems[0]
    if not unknown.startswith("-"):
        return f"{unknown}: expected options such as -m before the first KEY=VALUE"
    known = [option for option in (*parser._option_string_actions, "--help-all") if "--" in option]
    return f"{unknown}: no such option{did_you_mean(unknown.partition('=')[0], known)}"


def unreadable(error: CompactHydraException | ValueError | TypeError, name: str) -> list[str]:
    """Return an error message for each argument of the command line that hydra refuses.

    Args:
        error: exception that hydra raised.
        name: name of the configuration file in cmss/conf.
    """
    if isinstance(error, OverrideParseException):
        return [_misread(error.override)]
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        options = [option for option in error.options if option not in COMMON_FILES]
        return [f"{group}: no {choice!r}, {one_of(options, choice)}"]
    read = [(word, override) for word in sys.argv[1:] if (override := parsed(word))]
    if str(error).startswith("Ambiguous value"):
        return [
            f"{override.key_or_group}: several values, but no -m, which runs one job for each; "
            f"for a single value type {suggestion(word)}"
            for word, override in read
            if override.is_sweep_override()
        ]
    if isinstance(error, ValueError | TypeError):
        groups = files("cmss.conf")
        return [
            f"{override.key_or_group}: expected the name of a choice, got {split(word)[2] or '``'}"
            for word, override in read
            if (groups / override.key_or_group).is_dir() and not isinstance(override.value(), str)
        ] or [str(error)]
    text, cause = str(error).splitlines()[0], error.__cause__
    if unknown := re.match(r"Could not (?:override|delete from config\.) '(.*?)'", text):
        # A value that is a section may contain the unknown key.
        inner = str(cause.full_key) if isinstance(cause, OmegaConfBaseException) else ""
        return _unknown_keys(max(inner, unknown[1], key=len), name)
    if no_file := re.match(r"Cannot find primary config '(.*?)'", text):
        return [f"--config-name: no configuration {no_file[1]!r}"]
    if no_folder := re.match(r"Additional config directory '(.*)' not found", text):
        return [f"--config-dir: {no_folder[1]}: no such folder"]
    why = str(cause.msg).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else ""
    if merging := re.match(r"Error merging override (.*)", text):
        key = split(merging[1])[1]
        hint = f"; for a path of this name type {suggestion(merging[1])}" if is_path(key) else ""
        return [f"{key}: {why}{hint}"]
    return [f"{text}: {why}" if why else text]


def _unknown_keys(refused: str, name: str) -> list[str]:
    """Return an error message for each key of the command line that does not exist.

    Args:
        refused: first key that hydra does not know.
        name: name of the configuration file in cmss/conf.
    """
    if not refused:
        return ["=...: expected KEY=VALUE"]
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    read = [override for word in words if (override := parsed(word))]
    groups = [o for o in read if (files("cmss.conf") / o.key_or_group).is_dir()]
    try:
        with initialize_config_module("cmss.conf", version_base=None):
            choices = [str(o.input_line) for o in groups if isinstance(o.value(), str)]
            config = compose(name, choices, return_hydra_config=refused.startswith("hydra"))
    except (HydraException, OmegaConfBaseException):
        return [f"{refused}: no such key"]  # Another choice is wrong as well.
    content = OmegaConf.to_container(config, resolve=False)
    known = [*_keys(content), *(o.key_or_group for o in groups)]
    unknown = [refused]
    unknown += [
        override.key_or_group
        for override in read
        # Hydra knows its own keys, and a key with + is new on purpose.
        if not override.is_add() and not re.match(r"hydra[./]", override.key_or_group)
        and override.key_or_group not in known
    ]  # fmt: skip
    return [
        f"{key}: no such key; to add it type +{key}=VALUE"
        if OmegaConf.select(config, key.rpartition(".")[0] or "path", default=None) == {}
        else f"{key}: no such key{did_you_mean(key, known)}"
        for key in dict.fromkeys(unknown)
    ]


def _keys(section: Any, prefix: str = "") -> Iterator[str]:
    """Yield the full keys of all sections and values of a section, in order."""
    if isinstance(section, dict):
        for name, value in section.items():
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")


def _misread(word: str) -> str:
    """Return the error message for an argument that hydra cannot parse as KEY=VALUE."""
    if "=" not in word:
        # The shell splits an unquoted value at its spaces, and hydra reports only a later part of
        # the value. Join the parts again, from the word with "=" to the next key or option.
        before, after = sys.argv[1 : sys.argv.index(word)], sys.argv[sys.argv.index(word) :]
        parts = [before[-1]] if before and "=" in before[-1] else []
        for part in after if parts else []:
            if "=" in part or part.startswith("-"):
                break
            parts.append(part)
        hint = f"; for a space in a value type {suggestion(' '.join(parts))}" if parts else ""
        return f"{word}: expected KEY=VALUE{hint}"
    _, key, text = split(word)
    if not key or not parsed(as_text(word)):
        return f"{word}: expected KEY=VALUE, and {key!r} cannot be a key"
    return f"{key}: {text} contains characters with a special meaning; type {suggestion(word)}"
