"""Lists all separators by their names, which are the values of `separator=`.

A class is imported only when it is used, because most separators need PyTorch, which takes seconds
to import.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Any

from cmss.machine.extensions import additions, load
from cmss.models import registry

GROUP = "cmss.separators"


@dataclass(frozen=True)
class Entry:
    """Describes a separator that has no record in :mod:`cmss.models`.

    Args:
        separator: class of the separator in the form `module:Class`; the module is in
            cmss.separators.
        method: short description of the method, for lists of separators.
        weights: description of the source of the weights; empty if the separator has no weights.
        settings: name of the file with the default settings in cmss/conf/separator. The file
            `settings` is used only if cmss/conf/separator contains no file with the name of the
            separator.
    """

    separator: str
    method: str
    weights: str = ""
    settings: str = "base"


FAMILIES: dict[str, dict[str, Entry]] = {
    "networks": {
        "module": Entry(
            "torch_module:ModuleSeparator",
            "any torch module of an installed package, such as BS-RoFormer",
            "`separator.checkpoint=FILE`",
        ),
    },
    "factorisations": {
        "nmf": Entry(
            "nmf:NMFSeparator",
            "non-negative matrix factorisation: spectral templates of each instrument and their "
            "activations, on magnitudes, or on powers with `separator.divergence=is`",
            "templates in the package, or of `fit_dictionaries.py`",
        ),
        "nmf_convolutive": Entry(
            "nmf:ConvolutiveNMFSeparator",
            "NMF with templates of several frames",
            "same as `nmf`",
            "templates",
        ),
        "nmf_smooth": Entry(
            "nmf:SmoothNMFSeparator",
            "NMF of powers with a penalty on activations that change quickly",
            "same as `nmf`",
        ),
        "plca": Entry(
            "nmf:PLCASeparator",
            "probabilistic latent component analysis: the model of `nmf`, stated with "
            "probabilities",
            "the templates of `nmf`",
            "templates",
        ),
    },
    "computational auditory scene analysis": {
        "casa": Entry(
            "casa:CASASeparator",
            "units of a gammatone filterbank, grouped by pitch, onset and timbre",
            "the templates of `nmf`",
        ),
    },
    "references": {
        "oracle": Entry("bounds:Oracle", "returns the ground truth stems: the upper bound"),
        "passthrough": Entry(
            "bounds:Passthrough",
            "returns no stems: the mixture is neither remixed nor rebalanced, only amplified",
        ),
    },
}
"""Nested dict: the family of a separator, and then its name, give its description.

The networks of :mod:`cmss.models` are not included.
"""


class Separators(Mapping[str, type[Any]]):
    """The classes of all separators by name; a class is imported when it is looked up.

    Separators of this package come first, those of extension packages last.
    """

    @cached_property
    def entries(self) -> dict[str, EntryPoint]:
        """References to the classes.

        Raises:
            InputError: the name of a separator of an extension package is already in use.
        """
        own = {
            **dict.fromkeys(registry.names(), "trained:NetworkSeparator"),
            # This subclass also loads the weights that the challenge published.
            "convtasnet": "official_convtasnet:ConvTasNetSeparator",
            **{name: entry.separator for family in FAMILIES.values() for name, entry in
               family.items()},
        }  # fmt: skip
        entries = {name: EntryPoint(name, f"{GROUP}.{ref}", GROUP) for name, ref in own.items()}
        return entries | additions(GROUP, {*own, "ensemble"})

    def __getitem__(self, name: str) -> type[Any]:
        return load(self.entries[name])

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


SEPARATORS = Separators()

BOUNDS = tuple(FAMILIES["references"])
"""Names of separators that compute nothing; storing their estimates would be useless."""

OF_FULL_RECORDINGS = ("oracle",)
"""Names of separators that cannot process a block of a recording.

The oracle is in this list because it reads stems at full length.
"""


def can_be_causal(name: str) -> bool:
    """Return whether a separator, with causal weights, looks ahead by at most 5 ms."""
    if name in registry.names():
        return any(r.receptive_field == "bounded" for r in registry.networks_of(name))
    # A separator of an extension package states this in the class attribute `looks_ahead`.
    return name in BOUNDS or not getattr(SEPARATORS[name], "looks_ahead", True)
