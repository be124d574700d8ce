"""Separators by name, the values of `separator=`."""

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

SEPARATORS: dict[str, type[Any]] = {
    **dict.fromkeys(NAMES, NetworkSeparator),
    # A subclass that also loads the challenge's weights.
    "convtasnet": ConvTasNetSeparator,
    "oracle": Oracle,
    "passthrough": Passthrough,
    "module": ModuleSeparator,
    "nmf": NMFSeparator,
    "nmf_convolutive": ConvolutiveNMFSeparator,
    "nmf_smooth": SmoothNMFSeparator,
    "plca": PLCASeparator,
    "casa": CASASeparator,
}

BOUNDS = ("oracle", "passthrough")
"""Separators without computation, for which a cache of estimates is useless."""

OF_FULL_RECORDINGS = ("oracle",)
"""Separators that cannot be given a block of a recording: the oracle reads the true stems."""

CAUSAL = (
    *dict.fromkeys(r.name for r in RECORDS if r.separates and r.receptive_field == "bounded"),
    *BOUNDS,
)
"""Separators that can be causal: with causal weights, they look ahead by at most 5 ms."""
