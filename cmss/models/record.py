"""Defines the record of a network: the sizes and the properties of the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from cmss.models.network import Network


@dataclass(frozen=True)
class Size:
    """Holds the arguments and the training loss of a network of a certain size.

    Args:
        arguments: arguments of the network. The names of the outputs determine whether the network
            separates all instruments or a single instrument, see :mod:`cmss.models.outputs`.
        loss: name of the loss, a key of :data:`cmss.training.presets.LOSSES`.
        loss_arguments: arguments of the loss.
    """

    arguments: Mapping[str, Any]
    loss: str
    loss_arguments: Mapping[str, Any] = field(default_factory=dict)


DATA_SETS = {
    "GENERAL_USER": (
        "the eight instruments of the General MIDI SoundFont GeneralUser GS 1.47",
        "GeneralUser GS 2.0: use without restriction",
    ),
    "NOTES": (
        "single notes of the University of Iowa Musical Instrument Samples and of Karoryfer "
        "Weresax",
        "public domain; CC0 1.0",
    ),
    "PHILHARMONIA": (
        "sound samples of the Philharmonia Orchestra, ten times as many notes as NOTES",
        "free for any use but as samples; CC BY-SA 3.0",
    ),
    "SCORES": ("OpenScore String Quartets", "CC0 1.0"),
    "SYNTHETIC_NOTES": ("notes of the built-in synthesiser", "none needed"),
    "VIRTUAL_PLAYING": (
        "solo strings of the Virtual Playing Orchestra",
        "CC Sampling Plus 1.0; CC BY-SA 3.0 and 4.0; CC0 1.0",
    ),
}
"""Content and licence of each data set on which weights in the package were trained."""


@dataclass(frozen=True)
class NetworkRecord:
    """Holds the sizes and the properties of a network.

    Args:
        name: name by which users select the network, as in `separator=NAME` and `model=NAME`. If
            several networks have the same `name`, `separator=NAME` accepts the weights of all these
            networks.
        network: class of the network; `network.model_name` is the name by which checkpoints refer
            to the network.
        arguments: class of the network's arguments.
        summary: short description of the method, for lists of networks.
        sizes: dict from a name, such as `small` or `paper`, to a :class:`Size`.
        voices: default value of the setting `separator.voices`. The value is `own` if the network
            distinguishes two players of the same instrument, otherwise `shared`.
        receptive_field: type of the receptive field. The value is `bounded` if the network can be
            causal, otherwise `whole`. The property `reach` of the network is the receptive field in
            samples.
        licence: licence of the weights in the package; None if the package contains no weights.
        data: data sets on which the weights in the package were trained, keys of
            :data:`DATA_SETS`.
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
    data: tuple[str, ...] = ()
    separates: bool = True
