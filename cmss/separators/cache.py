"""Stores estimates on disk, so that runs with the same separator separate a track only once.

The estimates of each track are stored in a file. The name of the file is a digest of everything
that affects the estimates: the mixture, the sources, the settings and weights of the separator, and
the code of this package. If the file is missing or damaged, the track is separated again. This
module never deletes estimates; users can delete the folder of the estimates at any time.
"""

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.errors import InputError, noting
from cmss.files.atomic import clear_stale
from cmss.files.digests import file_sha256, sha256
from cmss.models.weights_file import read_weights, write_weights
from cmss.scenes import Source
from cmss.separators.protocol import NOT_SHAPING, Around, Stems


@dataclass
class Cached(Around):
    """Wrapper that separates a mixture only if the estimates are not yet stored in a folder.

    Args:
        separator: the wrapped separator, a dataclass whose fields are its settings.
        folder: folder in which the estimates are stored. Several separators, runs and processes can
            share the folder.
    """

    folder: Path
    _own: dict[str, set[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._common = set(self.weights.values())
        clear_stale(self.folder)

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        # Sources are prepared one by one, to find out which weights belong to which instrument.
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
        path = self.folder / f"{sha256([made_from.encode()])}.safetensors"
        stems = _read(path, made_from)
        if stems is None:
            stems = self.separator.separate(mixture, sources)
            # Estimates that are not finite are not kept; the caller refuses them.
            if all(np.isfinite(stem).all() for stem in stems.values()):
                _write(path, stems, made_from)
        return {key: stems[key] for key in sources}

    def _made_from(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> str:
        """Return a JSON string of everything that affects the estimates."""
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
            "code": code_digest(),
            "mixture": [list(mixture.shape), sha256([mixture.tobytes()])],
            "sources": [[key, source.instrument, source.voice] for key, source in sources.items()],
        }
        # The class may be in an extension package.
        parts["class"] = file_sha256(Path(inspect.getfile(type(self.separator))))
        return json.dumps(parts, sort_keys=True, default=dict)


@cache
def code_digest() -> str:
    """Return a digest of the code of this package that may affect estimates."""
    folders = ("models", "separators", "transforms", "nmf", "casa")
    paths = [p for f in folders for p in sorted(Path(str(files("cmss") / f)).glob("*.py"))]
    return sha256(path.read_bytes() for path in paths)


def _write(path: Path, stems: Stems, made_from: str) -> None:
    # Copy the stems: two players may share an array, which safetensors does not allow.
    tensors = {key: torch.tensor(stem) for key, stem in stems.items()}
    write_weights(path, tensors, {"made_from": made_from, "content": _content(stems)})


def _read(path: Path, made_from: str) -> Stems | None:
    """Read the stems from a file, and return them.

    The result is None if the file is missing or damaged, or if the stems were estimated from other
    inputs.
    """
    try:
        tensors, header = read_weights(path)
    except InputError:  # missing or incomplete
        return None
    stems = {key: tensor.numpy() for key, tensor in tensors.items()}
    intact = header.get("made_from") == made_from and header.get("content") == _content(stems)
    return stems if intact else None


def _content(stems: Stems) -> str:
    """Return a digest of the stems, by which damaged files are detected."""
    return sha256(
        part
        for key, stem in sorted(stems.items())
        for part in (f"{key} {stem.shape}".encode(), stem.tobytes())
    )
