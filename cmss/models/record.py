"""What a network is: the record that stands at the end of its file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cmss.models.network import Network


@dataclass(frozen=True)
class Size:
    """A network in a size that can be trained.

    Args:
        arguments: of the network; its outputs say whether it is a network for all instruments or
            for one, see :mod:`cmss.models.outputs`.
        loss: key of :data:`cmss.training.presets.LOSSES`.
        loss_arguments: of that loss.
    """

    arguments: Mapping[str, Any]
    loss: str
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NetworkRecord:
    """A network.

    Args:
        name: what users type: `separator=NAME` and `model=NAME`. Several networks may have one.
        network: its class; `network.model_name` is its name in checkpoints.
        arguments: the class of its arguments.
        summary: how it separates, in some words, for lists.
        sizes: by the names that users type, such as small and paper.
        voices: default of `separator.voices`: own for networks that tell two players of the same
            instrument apart, shared for others.
        receptive_field: whole, or bounded for networks that some arguments make causal; the
            network's `reach` says how far.
        licence: of the weights in the package; None where there are none.
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
