"""Implements separators that factorise spectrograms: nmf, nmf_convolutive, nmf_smooth and plca.

The templates of all instruments in the piece are given, and the activations of the templates are
fitted to the mixture. The product of an instrument's templates and activations models the
spectrogram of the instrument. The mask of an instrument is the modelled spectrogram of the
instrument divided by the sum of the modelled spectrograms of all instruments. The two channels are
fitted separately, so the masks of the two channels may differ.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.nmf.factors import TINY, Divergence, initial_activations, product, update_activations
from cmss.nmf.plca import Latent, em_step
from cmss.nmf.smooth import update_smooth_activations
from cmss.separators.templates import TemplateSeparator


@dataclass
class Factorisation(TemplateSeparator):
    """Base class of all factorisations.

    Args:
        iterations: number of updates of the activations.
    """

    iterations: Annotated[int, Field(ge=1)] = 60

    def _step(self, V: Tensor, W: Tensor, H: Tensor) -> Tensor:
        """Update the activations H (components, frames) for the spectrogram V (bands, frames)."""
        return update_activations(V, W, H, self._divergence)

    def _masks(
        self,
        signal: Tensor,  # noqa: ARG002
        spectra: Tensor,
        templates: Mapping[str, Tensor],
        players: Counter[str],  # noqa: ARG002
    ) -> Tensor:
        spectrogram = self._dictionaries.analysis.spectrogram(spectra)
        # The channels are fitted separately; the result is (instruments, 2, bands, frames).
        return torch.stack([self._of_channel(V, list(templates.values())) for V in spectrogram], 1)

    def _of_channel(self, V: Tensor, templates: list[Tensor]) -> Tensor:
        """Compute the masks (instruments, bands, frames) for a channel V (bands, frames).

        In silence, all masks are equal.
        """
        if not V.any():
            return V.new_full((len(templates), *V.shape), 1 / len(templates))
        V, W = self._dictionaries.analysis.scaled(V), torch.cat(templates, -1)
        H = initial_activations(V, W)
        for _ in range(self.iterations):
            H = self._step(V, W, H)
        parts = zip(templates, H.split([part.shape[-1] for part in templates]), strict=True)
        models = torch.stack([product(part, activations) for part, activations in parts])
        return models / models.sum(0)


@dataclass
class NMFSeparator(Factorisation):
    """Factorises spectrograms with templates of a single frame.

    Args:
        divergence: divergence that the fit minimises: `kl` (Kullback-Leibler divergence of
            magnitudes) or `is` (Itakura-Saito divergence of powers).
    """

    divergence: Divergence = "kl"

    model = "nmf"

    @property
    def _divergence(self) -> Divergence:
        return self.divergence


@dataclass
class ConvolutiveNMFSeparator(Factorisation):
    """Factorises spectrograms with templates of several frames.

    The templates model the onset and the decay of notes.
    """

    model = "nmf_convolutive"
    static = False


@dataclass
class SmoothNMFSeparator(Factorisation):
    """Factorises spectrograms with templates of a single frame and slowly changing activations.

    The templates are power spectra.

    Args:
        smoothness: weight of the penalty on changes of the activations between consecutive frames,
            see :mod:`cmss.nmf.smooth`.
    """

    smoothness: Annotated[float, Field(ge=0)] = 10.0

    model = "nmf_smooth"

    @property
    def _divergence(self) -> Divergence:
        return "is"

    def _step(self, V: Tensor, W: Tensor, H: Tensor) -> Tensor:
        return update_smooth_activations(V, W, H, self.smoothness)


@dataclass
class PLCASeparator(Factorisation):
    """Implements probabilistic latent component analysis with the templates of `nmf`."""

    model = "plca"

    def _step(self, V: Tensor, W: Tensor, H: Tensor) -> Tensor:
        # Each template sums to 1, so the activations are V.sum() * P(z) P(t | z).
        counts = H.sum(1)
        latent = Latent(W[0], counts / counts.sum(), H / counts[:, None].clamp(min=TINY))
        updated = em_step(V, latent, learn_spectra=False)
        return V.sum() * updated.prior[:, None] * updated.times
