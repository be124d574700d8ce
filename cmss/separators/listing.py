"""Lists all separators with their properties, scores and computing times.

The file models.json in the folder of this module contains the properties, scores and computing
times. `python -m benchmarks.separators` and `python -m benchmarks.systems` write this file and the
tables of the documentation.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from cmss.machine.extensions import installed
from cmss.models import registry
from cmss.separators import catalogue

DEFAULT_SYSTEM = "meta"
"""Name of `separator=ensemble` in models.json, which is the name of the default ensemble."""

EXTENSION = "extension"
"""Family of the separators that models.json does not contain."""


@dataclass(frozen=True)
class Properties:
    """Holds the properties of a separator, and the scores of the weights in the package.

    Args:
        name: value of `separator=`.
        family: type of method.
        method: short description of the method.
        parameters: number of learned parameters of the weights in the package, or number of values
            in the templates; None if the package has no weights.
        sizes: dict from the name of a size to the number of parameters of this size. The dict
            contains the sizes that train.py can train.
        causal: whether the separator can be causal, either with the weights in the package or with
            weights of a size in `causal_sizes`.
        causal_sizes: names of the sizes with a look-ahead of at most 5 ms.
        gap_closed: dict from the test set to the fraction of the gap in mean HAAQI that the
            separator closes. The fraction is 0 for the mixture and 1 for the ground truth stems.
        sdr_db: dict from the test set to the median SDR over the sources in dB. If rounding is the
            only error, the SDR is more than 100 dB.
        seconds_per_minute: CPU time in seconds for a minute of a quartet on one core; None if the
            time was not measured.
        licence: licence of the weights in the package; None if the package has no weights.
        data: names of the data sets on which the weights in the package were trained, see
            cmss/weights/PROVENANCE.md.
        package: name of the extension package that contains the separator; None if cmss contains
            the separator.
    """

    name: str
    family: str
    method: str
    parameters: int | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    causal: bool = False
    causal_sizes: list[str] = field(default_factory=list)
    gap_closed: dict[str, float] = field(default_factory=dict)
    sdr_db: dict[str, float] = field(default_factory=dict)
    seconds_per_minute: float | None = None
    licence: str | None = None
    data: list[str] = field(default_factory=list)
    package: str | None = None

    @property
    def ready(self) -> bool:
        """Whether the separator works if the user provides no weights; true for all extensions."""
        return self.licence is not None or self.family == EXTENSION


@cache
def stored() -> dict[str, Any]:
    """Return the content of models.json: separators, test sets, data sets, scores and times."""
    text = (files("cmss.separators") / "models.json").read_text(encoding="utf-8")
    return json.loads(text)


def listing() -> list[Properties]:
    """List all separators; the default comes first, and extension packages come last.

    Raises:
        InputError: two installed packages use the same name for a separator.
    """
    content = stored()
    found = []
    for name, own in content["separators"].items():
        system = DEFAULT_SYSTEM if name == "ensemble" else name
        rows = {
            test_set: systems[system]["consistent"]
            for test_set, systems in content["measured"].items()
            if system in systems
        }
        parameters = [row["parameters"] for row in rows.values() if row["parameters"]]
        found.append(
            Properties(
                name,
                parameters=parameters[0] if parameters else None,
                gap_closed={key: row["gap_closed"] for key, row in rows.items()},
                sdr_db={key: row["sdr_db"] for key, row in rows.items()},
                seconds_per_minute=content["timed"]["cpu_s_per_minute"].get(name),
                **own,
            )
        )
    packages = {
        entry.name: entry.dist.name if entry.dist else "an unknown package"
        for group in (catalogue.GROUP, registry.GROUP)
        for entry in installed(group)
    }
    for name in sorted(catalogue.SEPARATORS.keys() - content["separators"].keys()):
        found.append(Properties(name, EXTENSION, _method(name), package=packages.get(name)))
    return found


def _method(name: str) -> str:
    """Return the description that an extension gives of its network or its separator."""
    if name in registry.names():
        return "; ".join(record.summary for record in registry.networks_of(name))
    return (catalogue.SEPARATORS[name].__doc__ or name).splitlines()[0]
