"""Separators by the names that users type."""

from typing import Any

from cmss.separators.bounds import Oracle, Passthrough
from cmss.separators.casa import CASASeparator
from cmss.separators.convtasnet import ConvTasNetSeparator
from cmss.separators.module import ModuleSeparator
from cmss.separators.networks import (
    ARUNetSeparator,
    DemucsSeparator,
    HDemucsSeparator,
    HTDemucsSeparator,
    MultichannelUNetSeparator,
    RoformerSeparator,
    WaveUNetSeparator,
)
from cmss.separators.nmf import (
    ConvolutiveNMFSeparator,
    NMFSeparator,
    PLCASeparator,
    SmoothNMFSeparator,
)

SEPARATORS: dict[str, type[Any]] = {
    "convtasnet": ConvTasNetSeparator,
    "oracle": Oracle,
    "passthrough": Passthrough,
    "waveunet": WaveUNetSeparator,
    "multichannel_unet": MultichannelUNetSeparator,
    "arunet": ARUNetSeparator,
    "roformer": RoformerSeparator,
    "demucs": DemucsSeparator,
    "hdemucs": HDemucsSeparator,
    "htdemucs": HTDemucsSeparator,
    "module": ModuleSeparator,
    "nmf": NMFSeparator,
    "nmf_convolutive": ConvolutiveNMFSeparator,
    "nmf_smooth": SmoothNMFSeparator,
    "plca": PLCASeparator,
    "casa": CASASeparator,
}

BOUNDS = ("oracle", "passthrough")
"""Those of them that compute nothing which could be kept."""

CAUSAL = ("convtasnet", "oracle", "passthrough")
"""Those of them that may look ahead by no more than the challenge's 5 ms, given causal weights."""
