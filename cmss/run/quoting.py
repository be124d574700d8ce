"""Splits arguments KEY=VALUE, and quotes their values.

Each argument KEY=VALUE is read by three parsers in turn: the shell, hydra and OmegaConf. For hydra,
commas, brackets, ``=``, ``~`` and letters outside ASCII have a special meaning or are not allowed.
OmegaConf replaces ``${key}`` by the value of the key. The functions of this module quote a value so
that no parser changes it.
"""

import re
import shlex

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from cmss.run.forms import PATH_LISTS, is_path


def with_path_as_text(word: str) -> str:
    """Quote a path that looks like a number.

    Without quotation marks, hydra would read the path 2026_11_29 as the number 20261129.

    Args:
        word: argument KEY=VALUE of the command line.

    Returns:
        The argument; its value is quoted if the value is a path that looks like a number. All other
        arguments are returned without changes.
    """
    if not is_path(split(word)[1]):
        return word
    override = parsed(word)
    if override is None or override.value_type is None:
        return word
    value = override.value()
    return as_text(word) if isinstance(value, int | float) and not isinstance(value, bool) else word


def parsed(word: str) -> Override | None:
    """Parse an argument KEY=VALUE with the grammar of hydra; return None if hydra refuses it."""
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
    except HydraException:
        return None
    return override


def split(word: str) -> tuple[str, str, str]:
    """Split an argument into prefix (``+``, ``++`` or ``~``), key and value.

    An argument without "=" has an empty prefix and an empty key.
    """
    key, equals, text = word.partition("=")
    if not equals:
        return "", "", word
    bare = key.lstrip("+~")
    return key.removesuffix(bare), bare, text


def as_text(word: str) -> str:
    """Quote the value of an argument KEY=VALUE, so that hydra reads the value as text."""
    sign, key, text = split(word)
    return f"{sign}{key}={_text(text)}"


def suggestion(word: str) -> str:
    """Quote an argument for the shell, so that hydra reads the value as text.

    Args:
        word: argument KEY=VALUE that the program received, without the quotation marks of the
            shell.

    Returns:
        The quoted argument. If the value is a list, each item of the list is quoted.
    """
    sign, key, text = split(word)
    single = is_path(key) and key.rpartition(".")[2] not in PATH_LISTS
    if text[:1] == "[" and text[-1:] == "]" and not single:
        items = ",".join(_text(item.strip()) for item in text[1:-1].split(",") if item.strip())
        return shlex.quote(f"{sign}{key}=[{items}]")
    return shlex.quote(as_text(word))


def _text(text: str) -> str:
    """Put a text in quotation marks, so that hydra and OmegaConf read exactly this text."""
    # Double the backslashes that would otherwise escape the next character. For OmegaConf, these
    # are the backslashes before "${". For hydra, they are those before a quotation mark, including
    # the closing quotation mark.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r'(\\*)"', r"\1\1\"", text)
    trailing = len(text) - len(text.rstrip("\\"))
    return '"' + text + "\\" * trailing + '"'
