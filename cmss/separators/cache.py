"""Estimates kept on disk, so that runs with the same separator take a track apart once.

A file for each track, named by all that its estimates come from: the mixture, who plays, the
separator's settings, its weights, and this package's code. What is not there as it was written is
estimated anew. Nothing is ever deleted: an old folder can go as a whole.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.atomic import clear_stale
from cmss.errors import InputError, noting
from cmss.models.weights_file import read_weights, write_weights
from cmss.scenes import Source
from cmss.separators.protocol import Around, Stems

NOT_SHAPING = ("device", "cache", "weights_from", "checkpoint", "revision", "force_redownload")
"""Keys of a separator that say where and how fast; its weights count by their content."""


@dataclass
class Cached(Around):
    """A separator that looks into a folder first.

    Args:
        separator: a dataclass whose fields are its settings.
        folder: shared by any number of separators, runs and processes.
    """

    folder: Path
    _own: dict[str, set[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._common = set(self.weights.values())
        clear_stale(self.folder)

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`. By instrument, to see which weights are whose."""
        problems: list[str] = []
        for source in sources:
            before = set(self.weights)
            with noting(problems):
                super().prepare([source])
            new = {digest for name, digest in self.weights.items() if name not in before}
            self._own.setdefault(source.instrument, set()).update(new)
        if problems:
            raise InputError(dict.fromkeys(problems))

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        self.prepare(sources.values())
        made_from = self._made_from(mixture, sources)
        path = self.folder / f"{hashlib.sha256(made_from.encode()).hexdigest()}.safetensors"
        stems = _read(path, made_from)
        if stems is None:
            stems = self.separator.separate(mixture, sources)
            # What is not finite is the caller's to refuse, and nothing to keep.
            if all(np.isfinite(stem).all() for stem in stems.values()):
                _write(path, stems, made_from)
        return {key: stems[key] for key in sources}

    def _made_from(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> str:
        """All that the estimates depend on, in one line."""
        own = (self._own[source.instrument] for source in sources.values())
        settings = {
            entry.name: getattr(self.separator, entry.name)
            for entry in fields(self.separator)
            if entry.init and entry.name not in NOT_SHAPING
        }
        parts = {
            "separator": type(self.separator).__name__,
            "settings": settings,
            "weights": sorted(self._common.union(*own)),
            "code": _code(),
            "mixture": [list(mixture.shape), hashlib.sha256(mixture.tobytes()).hexdigest()],
            "sources": [[key, one.instrument, one.voice] for key, one in sources.items()],
        }
        return json.dumps(parts, sort_keys=True, default=dict)


@cache
def _code() -> str:
    """Digest of this package, of which too much may shape an estimate to name the parts."""
    digest = hashlib.sha256()
    for folder in ("models", "separators", "transforms", "nmf", "casa"):
        for path in sorted(Path(str(files("cmss") / folder)).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _write(path: Path, stems: Stems, made_from: str) -> None:
    # Copies: two players may have been given the same array, which the format cannot say.
    tensors = {key: torch.tensor(stem) for key, stem in stems.items()}
    write_weights(path, tensors, {"made_from": made_from, "content": _content(stems)})


def _read(path: Path, made_from: str) -> Stems | None:
    """What was written; None for anything else."""
    try:
        tensors, header = read_weights(path)
    except InputError:  # none there, or cut short
        return None
    stems = {key: tensor.numpy() for key, tensor in tensors.items()}
    whole = header.get("made_from") == made_from and header.get("content") == _content(stems)
    return stems if whole else None


def _content(stems: Stems) -> str:
    """Digest by which a damaged file is known."""
    digest = hashlib.sha256()
    for key, stem in sorted(stems.items()):
        digest.update(f"{key} {stem.shape}".encode())
        digest.update(stem.tobytes())
    return digest.hexdigest()
