"""Renders training mixtures from notes and scores while a network is trained.

The batch of a training step is a function of the material, the settings, the seed and the number of
the step. Every step has new passages, ensembles, playing styles and rooms.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.errors import InputError, one_of
from cmss.models.outputs import output_name
from cmss.rendering.effects import EffectSettings
from cmss.rendering.excerpts import ExcerptRenderer, Levels
from cmss.rendering.material import Material
from cmss.rendering.packed_material import load_material, save_material
from cmss.separators.estimators import LEVEL
from cmss.settings import Name, from_settings
from cmss.training.mixtures import GAINS_DB, Batch, MixtureSettings

DATA = ("stems", "rendered")
"""Values of `data`."""

VALIDATION_EVERY = 8
"""Distance between two validation works in the sorted list of all works."""


@dataclass(frozen=True, kw_only=True)
class MaterialPaths:
    """Holds the settings of the section `path` for the material of `data=rendered`."""

    notes: list[Name]
    scores: list[Name]
    pack: Name | None


@dataclass(frozen=True)
class _StemsSettings:
    """Holds the section `data` for the choice `data=stems`; this section has no settings."""


def effect_settings(data: Mapping[str, Any], paths: MaterialPaths) -> EffectSettings | None:
    """Return the strengths of the effects from the section `data`.

    Returns:
        The strengths of the effects. If `data=stems`, the result is None.

    Raises:
        InputError: the section `data` is not valid, `data=stems` is combined with a path of
            material, or `path.pack` is combined with `path.notes` or `path.scores`.
    """
    name, settings = data.get("name"), {k: v for k, v in data.items() if k != "name"}
    if name not in DATA:
        raise InputError(f"data.name: {name!r}, {one_of(DATA, name)}")
    given = [key for key in ("notes", "scores", "pack") if getattr(paths, key)]
    if name == "stems":
        if given:
            raise InputError(f"path.{given[0]}: valid only for data=rendered, got data=stems")
        from_settings(_StemsSettings, settings, "data")
        return None
    if paths.pack and len(given) > 1:
        raise InputError("path.pack: expected null if path.notes and path.scores are given")
    return from_settings(EffectSettings, settings, "data")


def find_material(
    paths: MaterialPaths, rate_hz: int, kept: Path, progress: Callable[..., Any]
) -> Material:
    """Read the material of `data=rendered`.

    Each score takes several seconds to read. The material from folders is therefore saved in a
    packed file. The folders are read again only if the files in the folders have changed.

    Args:
        paths: settings that name the material.
        rate_hz: sampling rate of the mixtures.
        kept: path of the packed file that stores the material from the folders.
        progress: function that wraps the score files with a progress bar.

    Raises:
        InputError: the material cannot be read, the sampling rate of the material is lower than
            `rate_hz`, or the material contains works or pitches of the test sets.
    """
    if paths.pack:
        return load_material(Path(paths.pack)).at_rate(rate_hz, f"path.pack: {paths.pack}")
    origin = _digest([*paths.notes, *paths.scores], rate_hz)
    if kept.exists():
        material = load_material(kept)
        if material.origin == origin:
            return material
    # Training from a packed file does not need the libraries that this module needs.
    from cmss.rendering.material_folders import read_material

    folders = [Path(folder) for folder in paths.notes], [Path(folder) for folder in paths.scores]
    material = replace(read_material(*folders, rate_hz, progress), origin=origin)
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_material(material, kept)
    return material


def _digest(folders: Sequence[str], rate_hz: int) -> str:
    """Return a digest of the names, sizes and modification times of all files in folders."""
    found = [str(rate_hz)]
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else []:
            status = path.stat()
            found.append(f"{path} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(found).encode()).hexdigest()


def split_works(material: Material) -> tuple[Material, Material]:
    """Return the material for the training and the material for the validation.

    Both materials have all notes. Every :data:`VALIDATION_EVERY`-th work is used only for the
    validation. If there is only one work, this work is used for training and validation.
    """
    names = sorted({work.name for work in material.works})
    held_out = set(names[VALIDATION_EVERY // 2 :: VALIDATION_EVERY]) or {names[-1]}
    training = [work for work in material.works if work.name not in held_out]
    validation = [work for work in material.works if work.name in held_out]
    return material.with_works(training or material.works), material.with_works(validation)


class RenderedMixtures:
    """Draws batches of mixtures that are rendered from notes and scores.

    Args:
        material: notes and scores.
        effects: strengths of the effects.
        index: dict from the name of a player to the index of the network output for this player.
        settings: duration and number of the mixtures, random gains and random equalisers. The other
            settings have no effect.
        seed: seed of all random numbers.
        instrument: instrument that plays in every mixture. If `instrument` is None, all instruments
            are drawn at random.
        threads: number of threads that render the mixtures of a batch.

    Raises:
        InputError: the material has no notes of the instrument.
    """

    def __init__(
        self,
        material: Material,
        effects: EffectSettings,
        index: Mapping[str, int],
        settings: MixtureSettings,
        seed: int,
        instrument: str | None = None,
        threads: int = 1,
    ) -> None:
        self.index, self.settings, self.seed, self.threads = index, settings, seed, threads
        self._levels = Levels(settings.gain_db, settings.equaliser_db)
        self._plain = effects.plain
        self._renderer = ExcerptRenderer(material, effects, settings.segment_s, instrument)
        self._plain_renderer = self._renderer.with_effects(effects.as_plain())

    def batch(self, step: int) -> Batch:
        """Render the batch of a training step."""
        with ThreadPoolExecutor(self.threads) as pool:
            rows = range(self.settings.batch_size)
            examples = [*pool.map(lambda row: self.example(step, row), rows)]
        players = max(len(names) for names, _ in examples)
        index = torch.full((len(examples), players), -1, dtype=torch.int64)  # (B, P)
        stems = torch.zeros(len(examples), players, 2, self._renderer.samples)
        for row, (names, played) in enumerate(examples):
            index[row, : len(names)] = torch.tensor([self.index[_player(name)] for name in names])
            stems[row, : len(names)] = torch.from_numpy(played)
        # NumPy ignores zeros at the end of a seed: without the 2, these would be the random numbers
        # of the example in row 0.
        rng = np.random.default_rng((self.seed, step, 0, 2))
        gains = torch.from_numpy((10 ** (rng.choice(GAINS_DB, index.shape) / 20)).astype("f4"))
        return Batch(stems, index, gains)

    def example(self, step: int, row: int) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Render an example, and return the labels and the stems (P, 2, T) of the players.

        The mixture has the level of the challenge's mixtures, plus a random deviation of a few dB.
        """
        rng = np.random.default_rng((self.seed, step, row))
        # Another generator decides whether the mixture has effects. The other random numbers are
        # therefore the same for all values of `plain`.
        plain = np.random.default_rng((self.seed, step, row, 1)).random() < self._plain
        renderer = self._plain_renderer if plain else self._renderer
        labels, stems = renderer.render(rng, self._levels)
        level = float(np.sqrt(np.mean(np.square(stems.sum(0), dtype=np.float64))))
        gain = LEVEL * 10 ** (rng.normal(0, 2) / 20) / max(level, 1e-9)
        if rng.random() < 0.5:
            stems = stems[:, ::-1]
        return labels, np.ascontiguousarray(stems * np.float32(gain))


def _player(label: str) -> str:
    """Return the player name for a label, for example Violin for Violin_1."""
    return output_name(*instrument_and_voice(label))


def instrument_and_voice(label: str) -> tuple[str, int | None]:
    """Return the instrument and the number in a label; the number is None if the label has none."""
    instrument, _, voice = label.partition("_")
    return instrument, int(voice) if voice else None


def rendered_mixtures(
    material: Material,
    effects: EffectSettings,
    index: Mapping[str, int],
    settings: MixtureSettings,
    seed: int,
    instrument: str | None,
    threads: int,
) -> tuple[RenderedMixtures, RenderedMixtures, str]:
    """Return mixtures for the training and for the validation, and a description of the data.

    The mixtures for the validation are from other works, and have no random gains and no random
    equalisers. :class:`RenderedMixtures` explains the arguments.
    """
    training, validation = (
        RenderedMixtures(part, effects, index, drawn, seed, instrument, threads)
        for part, drawn in zip(split_works(material), (settings, settings.as_played()), strict=True)
    )
    return training, validation, f"rendered mixtures; {material.summary}"
