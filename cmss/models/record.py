"""The record of a network: its sizes and properties, defined at the end of the network's file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cmss.models.network import Network


@dataclass(frozen=True)
class Size:
    """A size of a network, with the loss for its training.

    Args:
        arguments: arguments of the network. The names of the outputs determine whether the network
            separates all instruments or a single instrument, see :mod:`cmss.models.outputs`.
        loss: name of the loss, a key of :data:`cmss.training.presets.LOSSES`.
        loss_arguments: arguments of the loss.
    """

    arguments: Mapping[str, Any]
    loss: str
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkRecord:
    """A network, its sizes and its properties.

    Args:
        name: name of the network for users, as in `separator=NAME` and `model=NAME`. Several
            networks may have the same name.
        network: class of the network; `network.model_name` is the name of the network in
            checkpoints.
        arguments: class of the network's arguments.
        summary: short description of the method, for lists.
        sizes: the sizes of the network by their names for users, such as small or paper.
        voices: default of `separator.voices`: own for networks that distinguish two players of the
            same instrument, shared for others.
        receptive_field: bounded for networks that can be causal, otherwise whole. The property
            `reach` of the network gives the receptive field in samples.
        licence: licence of the weights in the package; None if the package has no weights.
        separates: whether `separator=NAME` loads the network.
    """

    name: str
    network: type[Network]
    arguments: type[Any]
    summary: str
    sizes: Mapping[str, Size]
    voices: Literal["shared", "own"] = "shared"
    receptive_field: Literal["whole", "bounded"] = "whole"
    licence: str | None = None
    separates: bool = True
