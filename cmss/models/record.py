"""The record of a network, which stands at the end of its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cmss.models.network import Network


@dataclass(frozen=True)
class Size:
    """A size of a network, with its training preset.

    Args:
        arguments: of the network. Its outputs determine whether it separates all instruments or a
            single one, see :mod:`cmss.models.outputs`.
        loss: key of :data:`cmss.training.presets.LOSSES`.
        loss_arguments: of that loss.
    """

    arguments: Mapping[str, Any]
    loss: str
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkRecord:
    """A network, its sizes and its properties.

    Args:
        name: for users, as in `separator=NAME` and `model=NAME`. Several networks may share a name.
        network: its class; `network.model_name` is its name in checkpoints.
        arguments: class of its arguments.
        summary: short description of the method, for lists.
        sizes: name for users, such as small or paper -> size.
        voices: default of `separator.voices`: own for networks that distinguish two players of the
            same instrument, shared for others.
        receptive_field: bounded for networks that can be causal, otherwise whole. The network's
            `reach` has the number of samples.
        licence: of the weights in the package; None if there are none.
        separates: whether `separator=NAME` loads it.
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
