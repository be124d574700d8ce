"""Networks that need nothing but their weights."""

from dataclasses import dataclass

from cmss.separators.network import Voices
from cmss.separators.trained import NetworkSeparator


@dataclass
class WaveUNetSeparator(NetworkSeparator):
    """Wave-U-Net; see :mod:`cmss.models.waveunet`."""

    model = "waveunet"


@dataclass
class MultichannelUNetSeparator(NetworkSeparator):
    """Multichannel U-Net; see :mod:`cmss.models.multichannel_unet`.

    Its small weights have learned, if not well yet, which of two equal instruments is the upper.
    """

    voices: Voices = "own"

    model = "multichannel_unet"


@dataclass
class ARUNetSeparator(NetworkSeparator):
    """Attentive MultiResUNet on the STDCT; see :mod:`cmss.models.arunet`."""

    model = "arunet"


@dataclass
class DemucsSeparator(NetworkSeparator):
    """Demucs, the first two generations; see :mod:`cmss.models.demucs`."""

    model = "demucs"


@dataclass
class HDemucsSeparator(NetworkSeparator):
    """Hybrid Demucs, the third generation; see :mod:`cmss.models.hdemucs`."""

    model = "hdemucs"


@dataclass
class HTDemucsSeparator(NetworkSeparator):
    """Hybrid Transformer Demucs, the fourth; see :mod:`cmss.models.htdemucs`."""

    model = "htdemucs"


@dataclass
class RoformerSeparator(NetworkSeparator):
    """Band-split rotary transformer; see :mod:`cmss.models.roformer`."""

    model = "roformer"
