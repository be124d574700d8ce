"""The configurations of train.py, fit.py, fit_postfilter.py and fit_dictionaries.py.

One dataclass for each program, with the keys of its file in cmss/conf, where the defaults
stand. :func:`cmss.settings.from_settings` builds it and so checks all values before any work.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from cmss.machine.device import DeviceName
from cmss.models.postfilter_network import PostfilterArguments
from cmss.separators import SEPARATORS
from cmss.settings import Count, NotNegative, Rate, Seed
from cmss.training.isolated import Learning
from cmss.training.loop import LoopSettings
from cmss.training.mixtures import MixtureSettings
from cmss.training.postfiltering import PostfilterTraining

Text = Annotated[str, Field(min_length=1)]
Section = dict[str, Any]
"""A section that what is built of it checks."""


def _check_name(key: str, name: Any) -> None:
    known = ("ensemble", *SEPARATORS)
    if name not in known:
        raise ValueError(f"{key}: {name!r}, expected one of {', '.join(known)}")


@dataclass(frozen=True)
class TrainingPaths:
    """The section `path` as far as all four have it."""

    root: Text
    metadata_dir: Text
    train_music_dir: Text
    train_file: Text
    exp_folder: Text


@dataclass(frozen=True)
class ListeningPaths(TrainingPaths):
    """The section `path` where HAAQI is measured too."""

    more: list[Text]
    music_dir: Text
    music_file: Text
    gains_file: Text
    listeners_file: Text
    enhancer_params_file: Text
    scenes_file: Text
    scene_listeners_file: Text


@dataclass(frozen=True)
class TrainPaths(ListeningPaths):
    """The section `path` of train.py."""

    valid_music_dir: Text
    valid_file: Text


@dataclass(frozen=True)
class TrainKeys:
    """The configuration of train.py; see its file."""

    path: TrainPaths
    model: Text
    size: Text
    instrument: str | None
    init_from: Text | None
    seed: Seed
    device: DeviceName
    loss: Section
    mixtures: MixtureSettings
    loop: LoopSettings
    input_sample_rate: Rate
    haaqi_pairs: Count
    enhancer: Section


@dataclass(frozen=True)
class FitPaths(ListeningPaths):
    """The section `path` of fit.py."""

    ensemble_file: Text


@dataclass(frozen=True)
class FitKeys:
    """The configuration of fit.py; see its file."""

    path: FitPaths
    members: Annotated[list[Section], Field(min_length=1)]
    edges_hz: list[Annotated[float, Field(gt=0)]]
    pool: Literal["linear", "logarithmic"]
    priors: Annotated[list[Annotated[float, Field(ge=1e-9, le=1e9)]], Field(min_length=1)]
    tracks: Count | None
    steps: list[list[Section]]
    haaqi_pairs: Count
    device: DeviceName
    input_sample_rate: Rate
    enhancer: Section

    def __post_init__(self) -> None:
        for number, member in enumerate(self.members):
            _check_name(f"members[{number}].name", member.get("name"))
        limits = (0, *self.edges_hz, self.input_sample_rate / 2)
        if (np.diff(limits) <= 0).any():
            raise ValueError(
                f"edges_hz: {self.edges_hz}, expected rising frequencies below half of "
                f"input_sample_rate, {limits[-1]:g}"
            )


@dataclass(frozen=True)
class PostfilterPaths(TrainingPaths):
    """The section `path` of fit_postfilter.py."""

    more: list[Text]
    weights_file: Text


@dataclass(frozen=True)
class PostfilterKeys:
    """The configuration of fit_postfilter.py; see its file."""

    path: PostfilterPaths
    separator: Section
    tracks: Count | None
    held_out: Annotated[int, Field(ge=2)]
    init_from: Text | None
    begin_like: Text | None
    postfilter: PostfilterArguments
    training: PostfilterTraining
    save_every_s: NotNegative
    input_sample_rate: Rate
    ensemble: Mapping[str, Any] = field(default_factory=dict)
    """What `separator` refers to, if it is one."""

    def __post_init__(self) -> None:
        _check_name("separator.name", self.separator.get("name"))
        if self.init_from and self.begin_like:
            raise ValueError("begin_like: expected null where init_from is given")


@dataclass(frozen=True)
class DictionaryPaths(TrainingPaths):
    """The section `path` of fit_dictionaries.py."""

    weights_file: Text


@dataclass(frozen=True)
class DictionaryKeys:
    """The configuration of fit_dictionaries.py; see its file."""

    path: DictionaryPaths
    dictionaries: Learning
    input_sample_rate: Rate
