"""Defines the configurations of train.py, fit.py, fit_postfilter.py and fit_dictionaries.py.

Each program has a dataclass and a file in cmss/conf with the default values. The fields of the
dataclass are the keys of the file. :func:`cmss.settings.from_settings` builds the dataclass and
checks the values of the keys before the program starts to work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cmss.errors import one_of
from cmss.machine.device import DeviceName
from cmss.models.postfilter_network import PostfilterArguments
from cmss.separators import SEPARATORS
from cmss.settings import Count, Name, NotNegative, Rate, Seed
from cmss.training.isolated import Learning
from cmss.training.loop import LoopSettings
from cmss.training.mixtures import MixtureSettings
from cmss.training.postfiltering import PostfilterTraining
from cmss.training.rendered import MaterialPaths


def _check_separator(key: str, name: Any) -> None:
    """Check that a separator exists and returns estimates.

    Raises:
        ValueError: the separator does not exist or does not return estimates. The message begins
            with the key, because :func:`cmss.settings.from_settings` expects this format.
    """
    known = ["ensemble", *(known for known in SEPARATORS if known != "passthrough")]
    if name not in known:
        raise ValueError(f"{key}: {name!r}, {one_of(known, name)}")


@dataclass(frozen=True)
class TrainingPaths:
    """Holds the settings of the section `path` that are common to all four programs."""

    root: Name
    metadata_dir: Name
    train_music_dir: Name
    train_file: Name
    exp_folder: Name


@dataclass(frozen=True)
class ListeningPaths(TrainingPaths):
    """Holds the settings of the section `path` of the programs that measure HAAQI."""

    more: list[Name]
    music_dir: Name
    music_file: Name
    gains_file: Name
    listeners_file: Name
    enhancer_params_file: Name
    scenes_file: Name
    scene_listeners_file: Name


@dataclass(frozen=True)
class TrainPaths(ListeningPaths, MaterialPaths):
    """Holds the settings of the section `path` of train.py."""

    valid_music_dir: Name
    valid_file: Name


@dataclass(frozen=True)
class ModelKeys:
    """Holds the settings of the section `model` of train.py.

    Args:
        name: name of a network of :mod:`cmss.models` or of an extension package.
        target: class of a torch module in the form `package.Class`. If `target` is given, the torch
            module is trained. If `target` is None, the network `name` is trained.
        arguments: keyword arguments of the class `target`. If `arguments` is None, there are no
            arguments.
        sources: outputs of the torch module in order. If `sources` is None, the outputs are the
            eight instruments.
        samplerate: sampling rate in Hz at which the torch module works.
        consistent: whether to change the estimates of the torch module so that the sum of the
            estimates is the mixture.
    """

    name: Name
    target: Name | None
    arguments: dict[str, Any] | None
    sources: Annotated[list[Name], Field(min_length=1)] | None
    samplerate: Rate
    consistent: bool


@dataclass(frozen=True)
class TrainKeys:
    """Holds the settings of train.py.

    The sections `loss` and `enhancer` are checked when the loss and the hearing aid are built.
    :func:`cmss.training.rendered.effect_settings` checks the section `data`.
    """

    path: TrainPaths
    data: dict[str, Any]
    model: ModelKeys
    size: Name
    instrument: str | None
    init_from: Name | None
    seed: Seed
    device: DeviceName
    loss: dict[str, Any]
    mixtures: MixtureSettings
    loop: LoopSettings
    input_sample_rate: Rate
    haaqi_pairs: Count
    enhancer: dict[str, Any]


@dataclass(frozen=True)
class FitPaths(ListeningPaths):
    """Holds the settings of the section `path` of fit.py."""

    ensemble_file: Name


@dataclass(frozen=True)
class FitKeys:
    """Holds the settings of fit.py.

    The settings of the members and of the steps are checked when the ensemble and the steps are
    built. The section `enhancer` is checked when the hearing aid is built.
    """

    path: FitPaths
    members: Annotated[list[dict[str, Any]], Field(min_length=1)]
    edges_hz: list[Annotated[float, Field(gt=0)]]
    pool: Literal["linear", "logarithmic"]
    priors: Annotated[list[Annotated[float, Field(ge=1e-9, le=1e9)]], Field(min_length=1)]
    tracks: Count | None
    steps: list[list[dict[str, Any]]]
    haaqi_pairs: Count
    device: DeviceName
    input_sample_rate: Rate
    enhancer: dict[str, Any]

    def __post_init__(self) -> None:
        for number, member in enumerate(self.members):
            _check_separator(f"members[{number}].name", member.get("name"))
        limits = (0, *self.edges_hz, self.input_sample_rate / 2)
        if (np.diff(limits) <= 0).any():
            raise ValueError(
                f"edges_hz: {self.edges_hz}, expected rising frequencies below half of "
                f"input_sample_rate, {limits[-1]:g}"
            )


@dataclass(frozen=True)
class PostfilterPaths(TrainingPaths, MaterialPaths):
    """Holds the settings of the section `path` of fit_postfilter.py."""

    more: list[Name]
    weights_file: Name


@dataclass(frozen=True)
class PostfilterKeys:
    """Holds the settings of fit_postfilter.py.

    The section `separator` is checked when the separator is built.
    :func:`cmss.training.rendered.effect_settings` checks the section `data`.
    """

    path: PostfilterPaths
    data: dict[str, Any]
    seconds: Annotated[float, Field(ge=1, le=600)]
    pool: Count
    uses: Count
    separator: dict[str, Any]
    tracks: Count | None
    held_out: Annotated[int, Field(ge=2)]
    init_from: Name | None
    begin_like: Name | None
    postfilter: PostfilterArguments
    training: PostfilterTraining
    save_every_s: NotNegative
    input_sample_rate: Rate
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the ensemble; needed only if `separator` is an ensemble."""

    def __post_init__(self) -> None:
        _check_separator("separator.name", self.separator.get("name"))
        if self.init_from and self.begin_like:
            raise ValueError("begin_like: expected null if init_from is given")
        hop_s = self.postfilter.window / 4 / self.postfilter.samplerate
        if self.seconds < self.training.frames * hop_s:
            raise ValueError(
                f"seconds: {self.seconds:g}, expected at least "
                f"{self.training.frames * hop_s:.2f}, the duration of training.frames"
            )


@dataclass(frozen=True)
class DictionaryPaths(TrainingPaths):
    """Holds the settings of the section `path` of fit_dictionaries.py."""

    weights_file: Name


@dataclass(frozen=True)
class DictionaryKeys:
    """Holds the settings of fit_dictionaries.py."""

    path: DictionaryPaths
    dictionaries: Learning
    input_sample_rate: Rate
