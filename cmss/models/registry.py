"""Collects the records of all networks in this package from their modules."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import cmss.models
from cmss.models.network import Network
from cmss.models.record import NetworkRecord

RECORDS: tuple[NetworkRecord, ...] = tuple(
    module.RECORD
    for module in (
        import_module(found.name)
        for found in iter_modules(cmss.models.__path__, "cmss.models.")
        if found.name != __name__  # this module, which is being imported
    )
    if hasattr(module, "RECORD")
)
"""The `RECORD` of each module in cmss.models that defines a record, in order of file names."""

MODELS: dict[str, tuple[type[Network], type[Any]]] = {
    record.network.model_name: (record.network, record.arguments) for record in RECORDS
}
"""Dict from the name in checkpoints to the class of the network and the class of its arguments."""


def networks_of(name: str) -> tuple[NetworkRecord, ...]:
    """Return the records of the networks that `separator=NAME` loads."""
    return tuple(record for record in RECORDS if record.separates and record.name == name)


NAMES: tuple[str, ...] = tuple(dict.fromkeys(r.name for r in RECORDS if r.separates))
"""Values of `separator=` that load a network."""
