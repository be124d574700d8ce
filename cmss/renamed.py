"""Lists the old keys of the configuration and their replacements; see docs/renamed.md."""

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
    "separator.upper_first": "separator.shrink_doubled=true",
    "loop.bfloat16": "loop.precision=float32, bfloat16 or auto",
    "training.bfloat16": "training.precision=float32, bfloat16 or auto",
}
"""Dict from the old key of a value or section to an example of the new spelling."""


def renamed(keys: Iterable[str]) -> Iterator[str]:
    """Yield an error message for each full key that has been renamed."""
    for key in keys:
        for old, new in RENAMED.items():
            if key == old or key.startswith(f"{old}."):
                yield f"{key}: no such key any more, expected {new}; see docs/renamed.md"


def refuse_renamed(settings: Mapping[str, Any], section: str = "") -> None:
    """Refuse old keys in a configuration, or in one of its sections.

    Args:
        settings: values and sections of the configuration, or of the section.
        section: full key of the section; empty for the entire configuration.

    Raises:
        InputError: there are old keys; the message has a line for each old key.
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
