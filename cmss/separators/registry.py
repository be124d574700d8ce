"""Separators by the names that users type."""

from typing import Any

from cmss.models.registry import NAMES, RECORDS
from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.casa import CASASeparator
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.module import ModuleSeparator
from cmss.separators.nmf import (
    ConvolutiveNMFSeparator,
    NMFSeparator,
    PLCASeparator,
    SmoothNMFSeparator,
)
from cmss.separators.trained import NetworkSeparator

SEPARATORS: dict[str, type[Any]] = {
    **dict.fromkeys(NAMES, NetworkSeparator),
    # Its weights may also be the challenge's.
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
"""Those of them that compute nothing which could be kept."""

CAUSAL = (
    *dict.fromkeys(r.name for r in RECORDS if r.separates and r.receptive_field == "bounded"),
    *BOUNDS,
)
"""Those of them that may look ahead by no more than the challenge's 5 ms, given causal weights."""
