"""Networks that can be trained, by the names that users type: model and size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build
from cmss.models.outputs import OUTPUTS
from cmss.scenes import INSTRUMENTS
from cmss.training.losses import Loss, MaskLoss, RemixLoss, WaveformLoss


@dataclass(frozen=True)
class Preset:
    """A network in a size.

    Args:
        network: key of :data:`cmss.models.checkpoint.MODELS`.
        arguments: of that network; its outputs say whether it is one for all instruments or one of
            many, see :mod:`cmss.models.outputs`.
        loss: makes what it is trained on; takes `compiled`.
    """

    network: str
    arguments: dict[str, Any]
    loss: Callable[..., Loss]

    def build(self) -> Network:
        """The network with fresh weights."""
        return build(self.network, self.arguments)


# fmt: off
PRESETS: dict[tuple[str, str], Preset] = {
    ("convtasnet", "small"): Preset("fourier_convtasnet", {"sources": OUTPUTS}, RemixLoss),
    # Sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
    ("convtasnet", "paper"): Preset("convtasnet", {"R": 4, "X": 10}, partial(WaveformLoss, 1)),
    # As that recipe trains the causal ones.
    ("convtasnet", "causal"): Preset(
        "convtasnet",
        {"R": 4, "X": 10, "causal": True, "norm_type": "cLN"},
        partial(WaveformLoss, 1),
    ),
    ("waveunet", "small"): Preset(
        "waveunet",
        {
            "sources": OUTPUTS, "samplerate": 16000, "levels": 10, "filters": 12,
            "down_kernel": 9, "difference": False, "conditioned": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    # M6 of its paper, one output per instrument.
    ("waveunet", "paper"): Preset(
        "waveunet", {"sources": INSTRUMENTS}, partial(WaveformLoss, 2)
    ),
    ("multichannel_unet", "small"): Preset(
        "multichannel_unet",
        {
            "sources": OUTPUTS, "samplerate": 22050, "n_fft": 2048, "hop": 512, "bands": 320,
            "dims": (16, 32, 64, 128, 256, 384), "convolutions": 1, "dropout": 0.0,
            "features": "stereo", "masks": "softmax", "conditioned": True,
        },
        RemixLoss,
    ),
    ("multichannel_unet", "paper"): Preset(
        "multichannel_unet", {"sources": INSTRUMENTS}, MaskLoss
    ),
    ("arunet", "small"): Preset(
        "arunet",
        {
            "sources": OUTPUTS, "hop": 512, "fold": 8, "filters": (16, 32, 48, 96),
            "bottleneck": 160, "compression": 0.5, "conditioned": True, "consistent": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    ("arunet", "paper"): Preset("arunet", {}, partial(WaveformLoss, 2)),
}
# fmt: on


def preset(model: str, size: str) -> Preset:
    """The preset of a model and a size.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    if (model, size) not in PRESETS:
        known = ", ".join(f"model={m} size={s}" for m, s in PRESETS)
        raise InputError(f"model={model} size={size}: unknown, expected one of {known}")
    return PRESETS[model, size]
