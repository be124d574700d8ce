"""Lists all separators by their names, which are the values of `separator=`."""

from dataclasses import dataclass
from typing import Any

from cmss.models.registry import NAMES, RECORDS
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.casa import CASASeparator
from cmss.separators.nmf import (
    ConvolutiveNMFSeparator,
    NMFSeparator,
    PLCASeparator,
    SmoothNMFSeparator,
)
from cmss.separators.official_convtasnet import ConvTasNetSeparator
from cmss.separators.torch_module import ModuleSeparator
from cmss.separators.trained import NetworkSeparator


@dataclass(frozen=True)
class Entry:
    """Describes a separator that has no record in :mod:`cmss.models`.

    Args:
        separator: class of the separator.
        method: short description of the method, for lists of separators.
        weights: description of the source of the weights; empty if the separator has no weights.
    """

    separator: type[Any]
    method: str
    weights: str = ""


FAMILIES: dict[str, dict[str, Entry]] = {
    "networks": {
        "module": Entry(
            ModuleSeparator,
            "any torch module of an installed package, such as BS-RoFormer",
            "`separator.checkpoint=FILE`",
        ),
    },
    "factorisations": {
        "nmf": Entry(
            NMFSeparator,
            "non-negative matrix factorisation: spectral templates of each instrument and their "
            "activations, on magnitudes, or on powers with `separator.divergence=is`",
            "templates in the package, or of `fit_dictionaries.py`",
        ),
        "nmf_convolutive": Entry(
            ConvolutiveNMFSeparator, "NMF with templates of several frames", "as `nmf`"
        ),
        "nmf_smooth": Entry(
            SmoothNMFSeparator,
            "NMF of powers with a penalty on activations that change quickly",
            "as `nmf`",
        ),
        "plca": Entry(
            PLCASeparator,
            "probabilistic latent component analysis: the model of `nmf`, stated with "
            "probabilities",
            "the templates of `nmf`",
        ),
    },
    "computational auditory scene analysis": {
        "casa": Entry(
            CASASeparator,
            "units of a gammatone filterbank, grouped by pitch, onset and timbre",
            "the templates of `nmf`",
        ),
    },
    "references": {
        "oracle": Entry(Oracle, "returns the ground truth stems: the upper bound"),
        "passthrough": Entry(
            Passthrough,
            "returns no stems: the mixture is neither remixed nor rebalanced, only amplified",
        ),
    },
}
"""Dict from the family of a separator, and then from its name, to its description.

The networks of :mod:`cmss.models` are not included.
"""

SEPARATORS: dict[str, type[Any]] = {
    **dict.fromkeys(NAMES, NetworkSeparator),
    # This subclass also loads the weights that the challenge published.
    "convtasnet": ConvTasNetSeparator,
    **{name: entry.separator for family in FAMILIES.values() for name, entry in family.items()},
}

BOUNDS = tuple(FAMILIES["references"])
"""Names of separators that compute nothing; storing their estimates would be useless."""

OF_FULL_RECORDINGS = ("oracle",)
"""Names of separators that cannot process a block of a recording.

The oracle is in this list because it reads stems at full length.
"""

CAUSAL = (
    *dict.fromkeys(r.name for r in RECORDS if r.separates and r.receptive_field == "bounded"),
    *BOUNDS,
)
"""Names of separators that can be causal: with causal weights, their look-ahead is at most 5 ms."""
