"""Computes HAAQI, the hearing-aid audio quality index, much faster than pyclarity.

The functions are imported when they are first used, because the training of networks needs only the
constants of this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmss.hearing.haaqi.index import Haaqi, compute_haaqi, haaqi_components, haaqi_of_several

__all__ = ["Haaqi", "compute_haaqi", "haaqi_components", "haaqi_of_several"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("cmss.hearing.haaqi.index"), name)
    globals()[name] = value
    return value
