"""Old keys of the configuration and their new spelling; docs/renamed.md lists them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cmss.errors import InputError

_STEPS = {
    "spatial": "{name: directions, iterations: 4, weight: 1.0}",
    "partials": "{name: partials, window: 32768}",
    "postfilter": "{name: postfilter, weights_from: small}",
    "wiener": "{name: wiener, iterations: 1}",
}

RENAMED: Mapping[str, str] = {
    **{f"separator.{old}": f"separator.steps=[{new}]" for old, new in _STEPS.items()},
    **{
        f"ensemble.{old}": f"ensemble.steps=[{new}]"
        for old, new in _STEPS.items()
        if old != "wiener"
    },
    "spatial": "steps=[[], [{name: directions, weight: 0.5}], [{name: directions}]] in fit.py",
    "compile": "nothing in its place (train.py no longer uses torch.compile)",
    "save_every": "save_every_s=60.0 (seconds, not steps) in fit_postfilter.py",
    "partials": "steps=[[], [{name: partials, window: 32768}]] in fit.py",
}
"""Old key, of a value or a section -> an example of the new spelling."""


def renamed(keys: Iterable[str]) -> Iterator[str]:
    """Yield a line for each of these full keys that has a new spelling."""
    for key in keys:
        for old, new in RENAMED.items():
            if key == old or key.startswith(f"{old}."):
                yield f"{key}: no such key any more, expected {new}; see docs/renamed.md"


def refuse_renamed(settings: Mapping[str, Any], section: str = "") -> None:
    """Refuse old keys in a configuration, or in one of its sections.

    Args:
        settings: values and sections.
        section: full key of the section; empty for the configuration.

    Raises:
        InputError: one line for each old key.
    """
    if problems := [*renamed(_keys(settings, section))]:
        raise InputError(problems)


def _keys(settings: Mapping[str, Any], section: str) -> Iterator[str]:
    for name, value in settings.items():
        key = f"{section}.{name}" if section else str(name)
        if isinstance(value, Mapping) and key not in RENAMED:
            yield from _keys(value, key)
        else:
            yield key
