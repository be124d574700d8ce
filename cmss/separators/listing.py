"""Lists all separators with their properties and measured results.

The properties and the results are in models.json, in the folder of this module. `python -m
benchmarks.separators` and `python -m benchmarks.systems` write this file and the tables of the
documentation.
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
"""Default ensemble of `separator=ensemble`; its results have this name."""

EXTENSION = "extension"
"""Family of the separators that models.json does not contain."""


@dataclass(frozen=True)
class Properties:
    """Properties of a separator, and results measured with the weights in the package.

    Args:
        name: value of `separator=`.
        family: type of method.
        method: short description of the method.
        parameters: number of learned parameters in the package, or number of values in templates;
            None without weights.
        sizes: number of parameters of each size that can be trained.
        causal: whether the separator can be causal: with the weights in the package, or with
            weights of a size in `causal_sizes`.
        causal_sizes: sizes with a look-ahead of at most 5 ms.
        gap_closed: fraction of the gap closed, for each test set: position of the mean HAAQI
            between the mixture (0) and the ground truth stems (1).
        sdr_db: median SDR over the sources in dB, for each test set; more than 100 if the only
            errors are rounding errors.
        seconds_per_minute: CPU seconds on one core for a minute of a quartet; None if it was not
            measured.
        licence: licence of the weights in the package; None without weights.
        data: names of the data sets on which the weights were trained, see
            cmss/weights/PROVENANCE.md.
        package: package that adds the separator; None for a separator of this package.
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
        """Whether the separator needs no file of weights in its settings, as far as is known."""
        return self.licence is not None or self.family == EXTENSION


@cache
def stored() -> dict[str, Any]:
    """Return the content of models.json: separators, test sets, data sets and results."""
    text = (files("cmss.separators") / "models.json").read_text(encoding="utf-8")
    return json.loads(text)


def listing() -> list[Properties]:
    """List all separators: first the default, last the separators of extension packages.

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
