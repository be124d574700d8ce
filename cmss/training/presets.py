"""Networks that can be trained, by the names that users type: model and size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build
from cmss.models.outputs import OUTPUTS
from cmss.training.losses import Loss, RemixLoss, WaveformLoss


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


PRESETS: dict[tuple[str, str], Preset] = {
    ("convtasnet", "small"): Preset("fourier_convtasnet", {"sources": OUTPUTS}, RemixLoss),
    # Sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
    ("convtasnet", "paper"): Preset("convtasnet", {"R": 4, "X": 10}, partial(WaveformLoss, 1)),
}


def preset(model: str, size: str) -> Preset:
    """The preset of a model and a size.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    if (model, size) not in PRESETS:
        known = ", ".join(f"model={m} size={s}" for m, s in PRESETS)
        raise InputError(f"model={model} size={size}: unknown, expected one of {known}")
    return PRESETS[model, size]
