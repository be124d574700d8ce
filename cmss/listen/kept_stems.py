"""Keeps stems on disk, so that a recording is not separated again if only the gains change."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmss.files.atomic import atomic_folder, clear_stale
from cmss.files.digests import sha256
from cmss.machine.pieces import pieces
from cmss.scenes import Source
from cmss.separators.cache import code_digest
from cmss.separators.protocol import Around, Stems


@dataclass
class KeptStems(Around):
    """Wrapper that separates a recording only if the stems are not yet stored in a folder.

    Unlike :class:`cmss.separators.cache.Cached`, this wrapper stores the final stems, which are the
    result of all steps after the separator. The stems are read and written in pieces. Each
    recording has a subfolder. The name of the subfolder is a digest of everything that affects the
    stems: the mixture, the players, the settings and weights of the separator, and the code of this
    package.

    Args:
        folder: the folder. Several processes may use the same folder at the same time.
        settings: the section of the configuration from which the separator was built.
    """

    folder: Path
    settings: Mapping[str, Any]

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`cmss.separators.protocol.Separator`.

        Raises:
            FloatingPointError: an estimate is not finite.
            OSError: the stems cannot be written.
        """
        clear_stale(self.folder)
        folder = self.folder / self._digest(mixture, sources)
        stems = _read(folder, mixture, sources)
        if stems is None:
            stems = self.separator.separate(mixture, sources)
            if stems:
                _write(folder, stems)
        return stems

    def _digest(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> str:
        """Return a digest of everything that affects the stems."""
        made_from = {
            "settings": self.settings,
            "weights": sorted(set(self.weights.values())),
            "code": code_digest(),
            "mixture": sha256(np.ascontiguousarray(piece).tobytes() for piece in pieces(mixture)),
            "sources": [[key, source.instrument, source.voice] for key, source in sources.items()],
        }
        return sha256([json.dumps(made_from, sort_keys=True, default=dict).encode()])


def _write(folder: Path, stems: Stems) -> None:
    with atomic_folder(folder) as temporary:
        for key, stem in stems.items():
            # In Fortran order, the samples of both channels alternate, so pieces follow each other.
            header = {"descr": "<f4", "fortran_order": True, "shape": stem.shape}
            with (temporary / f"{key}.npy").open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for piece in pieces(stem):
                    if not np.isfinite(piece).all():
                        raise FloatingPointError(f"the estimate of {key} is not finite")
                    file.write(piece.T.astype("<f4").tobytes())


def _read(
    folder: Path, mixture: NDArray[np.float32], sources: Mapping[str, Source]
) -> Stems | None:
    """Read the stems from a folder; return None if a stem is missing or damaged."""
    try:
        stems = {key: np.load(folder / f"{key}.npy", mmap_mode="r") for key in sources}
    except (OSError, EOFError, ValueError):
        return None
    intact = all(stem.shape == mixture.shape for stem in stems.values())
    return stems if intact else None
