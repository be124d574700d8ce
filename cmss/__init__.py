"""Remixes music for people with hearing loss: task 2 of the Second Cadenza Challenge (CAD2).

    stems = cmss.separate(mixture, rate, ["Violin", "Cello"])      dict of stems by name
    remix = cmss.rebalance(mixture, stems, {"Violin": 6, "Cello": -3})
    ears = cmss.amplify(remix, rate, [20, 20, 30, 45, 60, 70])     for an audiogram in dB HL
    scores = cmss.score(ears, reference, rate, [20, 20, 30, 45, 60, 70])

Each public name is imported when it is first used, so `import cmss` is fast. The module
:mod:`cmss.pipeline` is the best place to start reading.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmss.api.ears import amplify, score
    from cmss.api.rebalancing import rebalance
    from cmss.api.separating import separate
    from cmss.api.separator_list import list_separators
    from cmss.errors import InputError

__version__ = "0.1.0"
__all__ = ["InputError", "amplify", "list_separators", "rebalance", "score", "separate"]

_MODULES = {
    "InputError": "cmss.errors",
    "amplify": "cmss.api.ears",
    "list_separators": "cmss.api.separator_list",
    "rebalance": "cmss.api.rebalancing",
    "score": "cmss.api.ears",
    "separate": "cmss.api.separating",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
