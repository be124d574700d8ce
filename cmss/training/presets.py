"""Networks that can be trained, by the names that users type: model and size."""

from dataclasses import dataclass
from typing import Any

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build
from cmss.models.outputs import OUTPUTS
from cmss.scenes import INSTRUMENTS
from cmss.training.losses import RemixLoss, WaveformLoss


@dataclass(frozen=True)
class Preset:
    """A network in a size.

    Args:
        network: key of :data:`cmss.models.checkpoint.MODELS`.
        arguments: of that network.
        loss: what it is trained on.
        per_instrument: whether each instrument has a network of its own, whose outputs are that
            instrument and its accompaniment; else one network separates all.
    """

    network: str
    arguments: dict[str, Any]
    loss: type[WaveformLoss] | type[RemixLoss]
    per_instrument: bool

    def index(self, instrument: str | None) -> dict[str, int]:
        """Which output of the network each player goes to, by the player's output name.

        Raises:
            InputError: no instrument where one is needed, or one where there is no choice.
        """
        if not self.per_instrument:
            if instrument is not None:
                raise InputError("instrument: this size separates all at once, expected null")
            return {name: number for number, name in enumerate(OUTPUTS)}
        if instrument not in INSTRUMENTS:
            raise InputError(
                f"instrument: {instrument!r}, expected one of {', '.join(INSTRUMENTS)}"
            )
        return {name: int(name.removesuffix("_2") != instrument) for name in OUTPUTS}

    def build(self) -> Network:
        """The network with fresh weights."""
        return build(self.network, self.arguments)


PRESETS: dict[tuple[str, str], Preset] = {
    ("convtasnet", "small"): Preset(
        "fourier_convtasnet", {"sources": OUTPUTS}, RemixLoss, per_instrument=False
    ),
    # Sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
    ("convtasnet", "paper"): Preset(
        "convtasnet", {"R": 4, "X": 10}, WaveformLoss, per_instrument=True
    ),
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
