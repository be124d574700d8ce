"""Checks the arguments KEY=VALUE of a recipe, and explains each mistake in a message.

Each argument KEY=VALUE is read by three parsers in turn: the shell, hydra and OmegaConf. For hydra,
commas, brackets, ``=``, ``~`` and letters outside ASCII have a special meaning or are not allowed.
OmegaConf replaces ``${key}`` by the value of the key. The messages show how to quote a value so
that no parser changes it.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from typing import Any, NoReturn

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser
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

from cmss.errors import InputError, did_you_mean, one_of
from cmss.run.choices import COMMON_FILES
from cmss.run.composing import defaults_of
from cmss.run.forms import MISSING, PATH_LISTS, is_path, problems_of_form


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
    given = {_split(word)[1]: word for word in words() if _split(word)[2]}
    return (
        f"; for a path of this name type {_suggestion(given[key])}"
        if is_path(key) and key in given
        else ""
    )


# The next functions are for the time before hydra reads the command line, and for the case that
# hydra refuses the command line.


def with_path_as_text(word: str) -> str:
    """Quote a path that looks like a number.

    Without quotation marks, hydra would read the path 2026_11_29 as the number 20261129.

    Args:
        word: argument KEY=VALUE of the command line.

    Returns:
        The argument; its value is quoted if the value is a path that looks like a number. All other
        arguments are returned without changes.
    """
    if not is_path(_split(word)[1]):
        return word
    override = _parsed(word)
    if override is None or override.value_type is None:
        return word
    value = override.value()
    return (
        _as_text(word) if isinstance(value, int | float) and not isinstance(value, bool) else word
    )


def _parsed(word: str) -> Override | None:
    """Parse an argument KEY=VALUE with the grammar of hydra; return None if hydra refuses it."""
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return None
    return override


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
    parsed = [(word, override) for word in sys.argv[1:] if (override := _parsed(word))]
    if str(error).startswith("Ambiguous value"):
        return [
            f"{override.key_or_group}: several values, but no -m, which runs one job for each; "
            f"for a single value type {_suggestion(word)}"
            for word, override in parsed
            if override.is_sweep_override()
        ]
    if isinstance(error, ValueError | TypeError):
        groups = files("cmss.conf")
        return [
            f"{override.key_or_group}: expected the name of a choice, got {_split(word)[2] or '``'}"
            for word, override in parsed
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
        key = _split(merging[1])[1]
        hint = f"; for a path of this name type {_suggestion(merging[1])}" if is_path(key) else ""
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
    parsed = [override for word in words if (override := _parsed(word))]
    groups = [o for o in parsed if (files("cmss.conf") / o.key_or_group).is_dir()]
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
        for override in parsed
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
        hint = f"; for a space in a value type {_suggestion(' '.join(parts))}" if parts else ""
        return f"{word}: expected KEY=VALUE{hint}"
    _, key, text = _split(word)
    if not key or not _parsed(_as_text(word)):
        return f"{word}: expected KEY=VALUE, and {key!r} cannot be a key"
    return f"{key}: {text} contains characters with a special meaning; type {_suggestion(word)}"


# The next functions split words and quote their values.


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


def _split(word: str) -> tuple[str, str, str]:
    """Split an argument into prefix (``+``, ``++`` or ``~``), key and value.

    An argument without "=" has an empty prefix and an empty key.
    """
    key, equals, text = word.partition("=")
    if not equals:
        return "", "", word
    bare = key.lstrip("+~")
    return key.removesuffix(bare), bare, text


def _as_text(word: str) -> str:
    """Quote the value of an argument KEY=VALUE, so that hydra reads the value as text."""
    sign, key, text = _split(word)
    return f"{sign}{key}={_text(text)}"


def _suggestion(word: str) -> str:
    """Quote an argument for the shell, so that hydra reads the value as text.

    Args:
        word: argument KEY=VALUE that the program received, without the quotation marks of the
            shell.

    Returns:
        The quoted argument. If the value is a list, each item of the list is quoted.
    """
    sign, key, text = _split(word)
    single = is_path(key) and key.rpartition(".")[2] not in PATH_LISTS
    if text[:1] == "[" and text[-1:] == "]" and not single:
        items = ",".join(_text(item.strip()) for item in text[1:-1].split(",") if item.strip())
        return shlex.quote(f"{sign}{key}=[{items}]")
    return shlex.quote(_as_text(word))


def _text(text: str) -> str:
    """Put a text in quotation marks, so that hydra and OmegaConf read exactly this text."""
    # Double the backslashes that would otherwise escape the next character. For OmegaConf, these
    # are the backslashes before "${". For hydra, they are those before a quotation mark, including
    # the closing quotation mark.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r'(\\*)"', r"\1\1\"", text)
    trailing = len(text) - len(text.rstrip("\\"))
    return '"' + text + "\\" * trailing + '"'
