"""`separator=nmf`, `plca`, `nmf_convolutive` and `nmf_smooth`: sums of sounding templates.

The templates of the instruments that play are fitted to the mixture by their activations; each
instrument's share of the model is its mask. Both channels are fitted on their own, so that a
player's share may differ from side to side.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from cmss.nmf.factors import TINY, Divergence, first_activations, product, update_activations
from cmss.nmf.plca import Latent, em_step
from cmss.nmf.smooth import update_smooth_activations
from cmss.separators.templates import TemplateSeparator


@dataclass
class Factorisation(TemplateSeparator):
    """What the models have in common.

    Args:
        iterations: steps of the activations.
    """

    iterations: Annotated[int, Field(ge=1)] = 60

    def _step(self, V: Tensor, W: Tensor, H: Tensor) -> Tensor:
        """Bring activations H (components, frames) nearer to the spectrogram V (bands, frames)."""
        return update_activations(V, W, H, self._divergence)

    def _masks(
        self,
        signal: Tensor,  # noqa: ARG002
        spectra: Tensor,
        templates: Mapping[str, Tensor],
        players: Counter[str],  # noqa: ARG002
    ) -> Tensor:
        spectrogram = self._dictionaries.analysis.spectrogram(spectra)
        return torch.stack([self._shares(V, list(templates.values())) for V in spectrogram], 1)

    def _shares(self, V: Tensor, templates: list[Tensor]) -> Tensor:
        """Each instrument's share of the model of V (bands, frames): (instruments, bands, frames).

        Equal shares of silence.
        """
        if not V.any():
            return V.new_full((len(templates), *V.shape), 1 / len(templates))
        V, W = self._dictionaries.analysis.scaled(V), torch.cat(templates, -1)
        H = first_activations(V, W)
        for _ in range(self.iterations):
            H = self._step(V, W, H)
        parts = zip(templates, H.split([part.shape[-1] for part in templates]), strict=True)
        models = torch.stack([product(part, activations) for part, activations in parts])
        return models / models.sum(0)


@dataclass
class NMFSeparator(Factorisation):
    """Static templates.

    Args:
        divergence: what the fit brings down: `kl`, of magnitudes, or `is`, of powers.
    """

    divergence: Divergence = "kl"

    model = "nmf"

    @property
    def _divergence(self) -> Divergence:
        return self.divergence


@dataclass
class ConvolutiveNMFSeparator(Factorisation):
    """Templates of several frames: onset and decay belong to a note."""

    model = "nmf_convolutive"
    static = False


@dataclass
class SmoothNMFSeparator(Factorisation):
    """Static templates of powers, whose activations change slowly.

    Args:
        smoothness: weight of the penalty on changes from frame to frame; see
            :mod:`cmss.nmf.smooth`.
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
    """Probabilities of latent components, whose spectra are the templates of nmf with `kl`."""

    model = "plca"

    def _step(self, V: Tensor, W: Tensor, H: Tensor) -> Tensor:
        """Templates sum to one, so the activations are counts of what each component made."""
        counts = H.sum(1)
        latent = Latent(W[0], counts / counts.sum(), H / counts[:, None].clamp(min=TINY))
        moved = em_step(V, latent, learn_spectra=False)
        return V.sum() * moved.prior[:, None] * moved.times
