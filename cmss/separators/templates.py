"""Base class of separators that use templates learned from isolated recordings of instruments.

Subclasses estimate a mask for each instrument and frequency band. Two players of the same
instrument have the same templates, and the estimate of the instrument is divided between the two
players.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.nmf.dictionaries import Dictionaries, load_dictionaries
from cmss.nmf.factors import Divergence
from cmss.scenes import Source
from cmss.separators.estimators import Segments, run_resampled, share_out
from cmss.separators.protocol import Causality, Stems

CPU = torch.device("cpu")


@dataclass
class TemplateSeparator(ABC):
    """Base class that loads templates and applies the masks that a subclass estimates.

    Args:
        sample_rate_hz: sampling rate of the mixtures.
        causality: always `noncausal`, because a frame is longer than the permitted look-ahead of a
            causal system.
        weights_from: source of the templates: `small` for the templates in the package, or a file
            that fit_dictionaries.py wrote.

    Raises:
        InputError: the templates do not exist or do not suit this separator.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights_from: str = "small"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    model: ClassVar[str]
    """Value of `separator=` that selects this class."""
    static: ClassVar[bool] = True
    """Whether each template is a single frame."""
    segments: ClassVar[Segments] = Segments(segment=30.0)
    """Settings by which long mixtures are segmented."""

    @property
    def _divergence(self) -> Divergence:
        """Divergence that was minimised when the templates were learned."""
        return "kl"

    @abstractmethod
    def _masks(
        self,
        signal: Tensor,
        spectra: Tensor,
        templates: Mapping[str, Tensor],
        players: Counter[str],
    ) -> Tensor:
        """Estimate the masks of the instruments; the sum of the masks is 1.

        Args:
            signal: a mixture that is not silent, an array of shape (2, samples).
            spectra: spectra of the mixture, a complex array of shape (2, bins, frames).
            templates: dict from the instrument to its templates, an array of shape (lags, bands,
                components).
            players: dict from the instrument to the number of its players.

        Returns:
            The masks, an array of shape (instruments, 2, bands, frames), in the order of
            `templates`.
        """

    def __post_init__(self) -> None:
        path = Path(self.weights_from)
        if self.weights_from == "small":
            stem = f"nmf_{self._divergence}" if self.static else self.model
            path = Path(str(files("cmss") / "weights" / f"{stem}_small.safetensors"))
        self._dictionaries = self._checked(path)
        self.weights[str(path)] = file_sha256(path)

    def _checked(self, path: Path) -> Dictionaries:
        dictionaries = load_dictionaries(path)
        divergence = dictionaries.analysis.divergence
        if divergence != self._divergence:
            raise InputError(
                f"{path}: the templates were learned with divergence {divergence}, but "
                f"separator={self.model} expects divergence {self._divergence}"
            )
        lags = max(map(len, dictionaries.templates.values()))
        if self.static and lags > 1:
            raise InputError(
                f"{path}: templates of {lags} frames require separator=nmf_convolutive"
            )
        return dictionaries

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        known = self._dictionaries.templates
        missing = {source.instrument for source in sources} - known.keys()
        if missing:
            raise InputError(
                f"{', '.join(self.weights)}: has no templates of {', '.join(sorted(missing))}, "
                f"only of {', '.join(known)}"
            )

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`; the sum of the stems is the mixture, up to resampling errors."""
        self.prepare(sources.values())
        players = Counter(source.instrument for source in sources.values())
        templates = {name: self._dictionaries.templates[name] for name in players}
        analysis = self._dictionaries.analysis

        def run(signal: Tensor) -> Tensor:
            signal = signal[0]
            if not signal.any():
                return signal.new_zeros(len(players), *signal.shape)
            spectra = analysis.spectra(signal)
            masks = self._masks(signal, spectra, templates, players)
            return analysis.masked(spectra, masks, signal.shape[-1])

        rate_hz = analysis.sample_rate_hz
        estimates = run_resampled(run, mixture, self.sample_rate_hz, rate_hz, self.segments, CPU)
        return share_out(dict(zip(players, estimates, strict=True)), sources)
