"""Lists the separators that `cmss.separate` accepts."""

from typing import NamedTuple

from cmss.models.registry import names, networks_of
from cmss.run.configuration import default_separator
from cmss.separators.catalogue import BOUNDS, FAMILIES, SEPARATORS

ENSEMBLE = "ensemble"


class SeparatorEntry(NamedTuple):
    """A separator of the list that `list_separators` returns.

    Attributes:
        name: value of the argument `separator` of `separate`.
        family: networks, factorisations, ...
        method: short description of the method.
        ready: whether the package contains the weights that this separator needs. Other separators
            need a file of weights in their settings.
    """

    name: str
    family: str
    method: str
    ready: bool


def list_separators() -> list[SeparatorEntry]:
    """List all separators that `separate` accepts.

    Returns:
        A named tuple (name, family, method, ready) for each separator; the default is the first.

    Examples:
        >>> import cmss
        >>> cmss.list_separators()[0].name
        'ensemble'
        >>> [entry.name for entry in cmss.list_separators() if entry.family == "factorisations"]
        ['nmf', 'nmf_convolutive', 'nmf_smooth', 'plca']
    """
    members = ", ".join(member["name"] for member in default_separator()["members"])
    method = f"the default: log-opinion pool of {members}, and steps that refine the estimates"
    listed = [SeparatorEntry(ENSEMBLE, "combinations", method, True)]
    for name in names():
        records = networks_of(name)
        method = "; ".join(record.summary for record in records)
        ready = any(record.licence for record in records)
        listed.append(SeparatorEntry(name, "networks", method, ready))
    for family, entries in FAMILIES.items():
        for name, entry in entries.items():
            if name not in BOUNDS:
                # Of these separators, only `module` needs a file that is not in the package.
                ready = family != "networks"
                listed.append(SeparatorEntry(name, family, entry.method, ready))
    named = {entry.name for entry in listed}
    for name, separator in SEPARATORS.items():
        # Separators of other packages have no entry in the catalogue.
        if name not in named and name not in BOUNDS:
            method = (separator.__doc__ or name).splitlines()[0]
            listed.append(SeparatorEntry(name, "other packages", method, True))
    return listed
