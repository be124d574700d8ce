"""`separator=waveunet`, `multichannel_unet` and `arunet`: the paper's other networks."""

from dataclasses import dataclass

from cmss.separators.trained import NetworkSeparator


@dataclass
class WaveUNetSeparator(NetworkSeparator):
    """Wave-U-Net; see :mod:`cmss.models.waveunet`."""

    model = "waveunet"
    networks = ("waveunet",)


@dataclass
class MultichannelUNetSeparator(NetworkSeparator):
    """Multichannel U-Net; see :mod:`cmss.models.multichannel_unet`."""

    model = "multichannel_unet"
    networks = ("multichannel_unet",)


@dataclass
class ARUNetSeparator(NetworkSeparator):
    """Attentive MultiResUNet on the STDCT; see :mod:`cmss.models.arunet`."""

    model = "arunet"
    networks = ("arunet",)
