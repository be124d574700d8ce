"""Defines presets of the networks that can be trained; a preset has a model name and a size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cmss.errors import InputError, one_of
from cmss.models.checkpoint import Network, build, load_weights
from cmss.models.outputs import player_index
from cmss.models.registry import records
from cmss.scenes import INSTRUMENTS
from cmss.settings import from_settings
from cmss.training.losses import Loss, MaskLoss, WaveformLoss
from cmss.training.remix_loss import EstimatesRemixLoss, RemixLoss

LOSSES: dict[str, type[Any]] = {
    "estimates_remix": EstimatesRemixLoss,
    "mask": MaskLoss,
    "remix": RemixLoss,
    "waveform": WaveformLoss,
}
"""Dict from the name of a loss in :class:`cmss.models.record.Size` to its class."""


@dataclass(frozen=True)
class Preset:
    """Defines a network of a certain size, and the loss with which it is trained.

    Args:
        network: name of the network, a key of :func:`cmss.models.registry.models`.
        arguments: arguments of the network. The argument that lists the outputs determines whether
            the network separates all instruments or a single instrument, see
            :mod:`cmss.models.outputs`.
        loss_name: name of the loss, a key of :data:`LOSSES`.
        loss_arguments: arguments of the loss.
    """

    network: str
    arguments: Mapping[str, Any]
    loss_name: str
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Network:
        """Build the network with random weights.

        Raises:
            InputError: the class of a torch module does not exist or does not accept the arguments.
        """
        try:
            return build(self.network, dict(self.arguments))
        except InputError as error:
            # The network states the keys of separator=module.
            raise InputError(
                line.replace("separator.", "model.", 1) for line in error.problems
            ) from error

    def build_loss(self, settings: Mapping[str, Any] | None = None) -> Loss:
        """Build the loss; values in `settings` replace the arguments of the loss.

        Raises:
            InputError: the loss has no such argument, or a value has the wrong type.
        """
        arguments = {**self.loss_arguments, **(settings or {})}
        return from_settings(LOSSES[self.loss_name], arguments, "loss")

    def initial_network(
        self, seed: int, instrument: str | None = None, init_from: str | None = None
    ) -> Network:
        """Build the network with the weights from which a training starts.

        Args:
            seed: seed of the random weights.
            instrument: instrument that the network must estimate; None for all instruments.
            init_from: path of a file of weights. If `init_from` is None, the weights are random.

        Raises:
            InputError: the instrument or the file of weights does not fit the network.
        """
        torch.manual_seed(seed)
        model = self.build()
        player_index(model.sources, instrument)  # refuses an instrument that does not fit
        if init_from:
            try:
                load_weights(Path(init_from), model)
            except InputError as error:
                raise InputError(f"init_from: {line}" for line in error.problems) from error
        return model


PRESETS: dict[tuple[str, str], Preset] = {
    (record.name, name): Preset(
        record.network.model_name, size.arguments, size.loss, size.loss_arguments
    )
    for record in records()
    for name, size in record.sizes.items()
}
"""Dict from the names of model and size to the preset, for all sizes of all networks."""


def preset(model: str, size: str) -> Preset:
    """Return the preset of a model and a size.

    Raises:
        InputError: the preset does not exist; the message lists all presets.
    """
    if (model, size) not in PRESETS:
        known = [f"model={m} size={s}" for m, s in PRESETS]
        given = f"model={model} size={size}"
        raise InputError(f"{given}: unknown, {one_of(known, given)}")
    return PRESETS[model, size]


def module_preset(
    target: str,
    arguments: Mapping[str, Any] | None,
    sources: Sequence[str] | None,
    samplerate: int,
    consistent: bool,
) -> Preset:
    """Return the preset of a torch module of an installed package.

    Args:
        target: class of the module in the form `package.Class`.
        arguments: keyword arguments of the class. If `arguments` is None, there are no arguments.
        sources: outputs of the module in order. If `sources` is None, the outputs are the eight
            instruments.
        samplerate: sampling rate of the module in Hz.
        consistent: whether to change the estimates so that the sum of the estimates is the mixture.
    """
    settings = {
        "target": target,
        "arguments": dict(arguments or {}),
        "sources": tuple(sources or INSTRUMENTS),
        "samplerate": samplerate,
        "consistent": consistent,
    }
    return Preset("module", settings, "waveform", {"power": 1})
