"""Words of a command line, KEY=VALUE, quoted so that a value means the very text it consists of.

A word passes three readers: the shell; the grammar of hydra, which refuses or interprets commas,
brackets, ``=``, ``~`` and letters outside ASCII; and OmegaConf, which replaces ``${key}``.
"""

import os
import re
import shlex

LISTS = ("compare", "more")
"""Keys of several paths; all other paths are one text."""

PATHS = ("cache", "checkpoint", "compare", "init_from", "begin_like", "pairs", "weights_from")
"""Last parts of the keys outside the section `path` that are or may be paths."""


def is_path(key: str) -> bool:
    """Whether a value of the configuration, or an item of a list there, is or may be a path.

    Args:
        key: the full key, such as `path.root` or `ensemble.members.0.weights_from`.
    """
    section, *names = [name for name in key.split(".") if not name.isdigit()] or [""]
    return bool(names) if section == "path" else [section, *names][-1] in PATHS


def with_home(path: str) -> str:
    """A path whose ``~`` or ``~user`` at the beginning is replaced by the home folder.

    Raises:
        ValueError: no such user.
    """
    expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib drops what it thinks superfluous
    if expanded.startswith("~"):
        raise ValueError(f"no home folder of {path.split('/')[0]}; a folder of that name: ./{path}")
    return expanded


def split(word: str) -> tuple[str, str, str]:
    """What stands before the key, the key, and the text of the value; without "=" no key."""
    key, equal, text = word.partition("=")
    if not equal:
        return "", "", word
    bare = key.lstrip("+~")
    return key.removesuffix(bare), bare, text


def as_text(word: str) -> str:
    """The same word, quoted for hydra so that its value is the text as it stands.

    Args:
        word: KEY=VALUE as the program received it, without the shell's quotation marks.
    """
    sign, key, text = split(word)
    return f"{sign}{key}={_text(text)}"


def suggestion(word: str) -> str:
    """What to type in a shell for a word that hydra cannot read, or reads as something else.

    Args:
        word: KEY=VALUE as the program received it.

    Returns:
        the word for its value as it stands, or, where a list was meant, for a list of texts.
    """
    sign, key, text = split(word)
    one = is_path(key) and key.rpartition(".")[2] not in LISTS
    if text[:1] == "[" and text[-1:] == "]" and not one:
        items = ",".join(_text(item.strip()) for item in text[1:-1].split(",") if item.strip())
        return shlex.quote(f"{sign}{key}=[{items}]")
    return shlex.quote(as_text(word))


def _text(text: str) -> str:
    """Text in quotation marks, as hydra and then OmegaConf take them away again."""
    # A backslash has a meaning before a quotation mark, for hydra, and before "${", for OmegaConf.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    text = re.sub(r'(\\*)"', r"\1\1\"", text)
    trailing = len(text) - len(text.rstrip("\\"))
    return '"' + text + "\\" * trailing + '"'
