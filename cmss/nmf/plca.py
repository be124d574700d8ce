"""Models a spectrogram as a distribution by probabilistic latent component analysis (PLCA).

The distribution over frequency f and time t is P(f, t) = sum over z of P(z) P(f | z) P(t | z). The
distribution is fitted by expectation-maximisation (Smaragdis, Raj and Shashanka 2006, "A
probabilistic latent variable model for acoustic modeling"). The method is equivalent to NMF with
the Kullback-Leibler divergence: P(f | z) are templates that sum to 1, and P(z) P(t | z) are
activations divided by the sum of the spectrogram.
"""

from typing import NamedTuple

from torch import Tensor

from cmss.nmf.factors import TINY


class Latent(NamedTuple):
    """Holds the probability distributions of the latent components z."""

    spectra: Tensor
    """The distributions P(f | z), an array of shape (bands, components)."""
    prior: Tensor
    """The distribution P(z), an array of shape (components,)."""
    times: Tensor
    """The distributions P(t | z), an array of shape (components, frames)."""

    def joint(self) -> Tensor:
        """Return the distribution P(f, t), an array of shape (bands, frames)."""
        return (self.spectra * self.prior) @ self.times


def em_step(V: Tensor, latent: Latent, learn_spectra: bool) -> Latent:
    """Apply one step of expectation-maximisation.

    Args:
        V: spectrogram, an array of shape (bands, frames) with a positive sum.
        latent: current distributions.
        learn_spectra: whether to update P(f | z) in addition to P(z) and P(t | z).

    Returns:
        The new distributions.
    """
    # The posterior P(z | f, t) = P(z) P(f | z) P(t | z) / P(f, t) is needed only in sums over bands
    # or frames, weighted by V. So the posterior (components, bands, frames) is never stored.
    ratio = V / latent.joint().clamp(min=TINY)
    counts = latent.prior[:, None] * latent.times * (latent.spectra.T @ ratio)
    prior = counts.sum(1)
    spectra = latent.spectra
    if learn_spectra:
        spectra = spectra * (ratio @ (latent.prior[:, None] * latent.times).T)
        spectra = spectra / spectra.sum(0).clamp(min=TINY)
    return Latent(spectra, prior / prior.sum(), counts / prior[:, None].clamp(min=TINY))
