"""Networks that can be trained, by the names that users type: model and size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build
from cmss.models.registry import RECORDS
from cmss.training.losses import Loss, MaskLoss, WaveformLoss
from cmss.training.remix_loss import EstimatesRemixLoss, RemixLoss


@dataclass(frozen=True)
class Preset:
    """A network in a size.

    Args:
        network: key of :data:`cmss.models.registry.MODELS`.
        arguments: of that network; its outputs say whether it is one for all instruments or one of
            many, see :mod:`cmss.models.outputs`.
        loss: makes what it is trained on.
    """

    network: str
    arguments: dict[str, Any]
    loss: Callable[..., Loss]

    def build(self) -> Network:
        """The network with fresh weights."""
        return build(self.network, self.arguments)


LOSSES: dict[str, Callable[..., Loss]] = {
    "estimates_remix": EstimatesRemixLoss,
    "mask": MaskLoss,
    "remix": RemixLoss,
    "waveform": WaveformLoss,
}
"""Losses by the names that the records of networks have for them."""

PRESETS: dict[tuple[str, str], Preset] = {
    (record.name, name): Preset(
        record.network.model_name,
        dict(size.arguments),
        partial(LOSSES[size.loss], **size.loss_arguments),
    )
    for record in RECORDS
    for name, size in record.sizes.items()
}
"""Every size of every network: name and size as users type them."""


def preset(model: str, size: str) -> Preset:
    """The preset of a model and a size.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    if (model, size) not in PRESETS:
        known = ", ".join(f"model={m} size={s}" for m, s in PRESETS)
        raise InputError(f"model={model} size={size}: unknown, expected one of {known}")
    return PRESETS[model, size]
