"""Lists the networks of this package and of extension packages.

Each network has a record (:class:`cmss.models.record.NetworkRecord`). In this package, the record
is the variable `RECORD` in the module of the network. In an extension package, an entry point of
the group `cmss.models` refers to the record. The import of a network takes seconds, because PyTorch
is also imported. Therefore, functions that only list networks read the source text of the modules
and do not import the networks.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import cmss.models
from cmss.errors import InputError
from cmss.machine.extensions import additions, load

if TYPE_CHECKING:
    from cmss.models.network import Network
    from cmss.models.record import NetworkRecord

GROUP = "cmss.models"


@dataclass(frozen=True)
class Listed:
    """Holds properties of a network; these properties are known without importing the network.

    Args:
        name: name by which users select the network.
        sizes: names of the network's sizes; None for a network of an extension package.
        separates: whether `separator=NAME` loads the network.
    """

    name: str
    sizes: tuple[str, ...] | None
    separates: bool = True


@cache
def listed() -> tuple[Listed, ...]:
    """List all networks without importing the networks.

    The networks of this package are in the order of their file names. The networks of extension
    packages follow.

    Raises:
        InputError: the name of a network of an extension package is already in use.
    """
    own = tuple(_of_this_package())
    taken = {network.name for network in own}
    return (*own, *(Listed(name, None) for name in additions(GROUP, taken)))


def _of_this_package() -> Iterator[Listed]:
    for folder in map(Path, cmss.models.__path__):
        for path in sorted(folder.glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RECORD":
                    assert isinstance(node.value, ast.Call)
                    yield _from_source({word.arg: word.value for word in node.value.keywords})


def _from_source(arguments: dict[str | None, ast.expr]) -> Listed:
    name, sizes = arguments["name"], arguments["sizes"]
    assert isinstance(sizes, ast.Dict)
    keys = tuple(ast.literal_eval(key) for key in sizes.keys if key)
    separates = ast.literal_eval(arguments.get("separates", ast.Constant(True)))
    return Listed(ast.literal_eval(name), keys, separates)


@cache
def names() -> tuple[str, ...]:
    """Return the values of `separator=` that load a network, without importing networks."""
    return tuple(dict.fromkeys(network.name for network in listed() if network.separates))


@cache
def records() -> tuple["NetworkRecord", ...]:
    """Import all networks; return the records of the networks in the order of :func:`listed`.

    Raises:
        InputError: an extension package cannot be imported, or an object of an extension package is
            not a network record, or the name in a network record is wrong.
    """
    from cmss.models.record import NetworkRecord

    found = []
    for module in iter_modules(cmss.models.__path__, "cmss.models."):
        record = getattr(import_module(module.name), "RECORD", None)
        found += [record] if record else []
    for name, entry in additions(GROUP, {record.name for record in found}).items():
        record = load(entry)
        if not isinstance(record, NetworkRecord) or record.name != name:
            raise InputError(
                f"{name}: expected {entry.value} to be a NetworkRecord with name={name!r}, got "
                f"{record!r}"
            )
        found.append(record)
    return tuple(found)


@cache
def models() -> dict[str, tuple[type["Network"], type[Any]]]:
    """Return the class of each network and the class of its arguments.

    The keys of the dict are the names by which checkpoints refer to the networks.
    """
    return {record.network.model_name: (record.network, record.arguments) for record in records()}


def networks_of(name: str) -> tuple["NetworkRecord", ...]:
    """Return the records of the networks that `separator=NAME` loads."""
    return tuple(record for record in records() if record.separates and record.name == name)
