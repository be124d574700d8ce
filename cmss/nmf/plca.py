"""Probabilistic latent component analysis: a spectrogram as a histogram of time and frequency.

P(f, t) = sum over z of P(z) P(f | z) P(t | z), fitted by expectation-maximisation (Smaragdis, Raj
and Shashanka 2006, "A probabilistic latent variable model for acoustic modeling"). It is NMF with
the Kullback-Leibler divergence in other words: P(f | z) are templates that sum to one, and
P(z) P(t | z) are activations, as shares of the spectrogram's sum.
"""

from typing import NamedTuple

from torch import Tensor

from cmss.nmf.factors import TINY


class Latent(NamedTuple):
    """Probabilities of latent components."""

    spectra: Tensor
    """P(f | z), (bands, components)."""
    prior: Tensor
    """P(z), (components,)."""
    times: Tensor
    """P(t | z), (components, frames)."""

    def joint(self) -> Tensor:
        """P(f, t), (bands, frames)."""
        return (self.spectra * self.prior) @ self.times


def em_step(V: Tensor, latent: Latent, learn_spectra: bool) -> Latent:
    """One step of expectation-maximisation.

    Args:
        V: (bands, frames) spectrogram, its sum positive.
        latent: where it stands.
        learn_spectra: or leave them as they are.
    """
    # The posterior P(z | f, t) is each component's share of the joint; summed over bands or frames
    # with weights V it need not be held for all three at once.
    ratio = V / latent.joint().clamp(min=TINY)
    counts = latent.prior[:, None] * latent.times * (latent.spectra.T @ ratio)
    prior = counts.sum(1)
    spectra = latent.spectra
    if learn_spectra:
        spectra = spectra * (ratio @ (latent.prior[:, None] * latent.times).T)
        spectra = spectra / spectra.sum(0).clamp(min=TINY)
    return Latent(spectra, prior / prior.sum(), counts / prior[:, None].clamp(min=TINY))
