"""Spectrograms for factorisation from waveforms, and waveforms from masks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.nmf.factors import Divergence
from cmss.transforms.bands import band_interpolation
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class Analysis:
    """STFT with a Hann window, with magnitudes or powers summed into bands.

    Args:
        divergence: `kl` uses magnitudes, `is` uses powers.
        sample_rate_hz: of the waveforms.
        window: samples in a frame.
        hop: samples from one frame to the next.
        Q: above the first Q bins, the width of a band is 1/Q of its frequency; 1/60 is about a
            third of a semitone. Fewer bands than bins make templates small and fitting fast.
    """

    divergence: Divergence = "kl"
    sample_rate_hz: int = 44100
    window: int = 4096
    hop: int = 1024
    Q: int = 60

    def spectra(self, signal: Tensor) -> Tensor:
        """Compute the STFT: (..., samples) -> complex (..., bins, frames)."""
        # Without padding, only the tail of one window, which is near zero, would cover the last
        # samples, and the inverse would divide by it.
        padded = F.pad(signal, (self.window, self.window))
        return stft(padded, self._hann(signal), self.hop)

    def spectrogram(self, spectra: Tensor) -> Tensor:
        """Sum into bands: complex (..., bins, frames) -> (..., bands, frames)."""
        amount = spectra.abs() if self.divergence == "kl" else spectra.abs().square()
        return self._weights(amount).T @ amount

    def band_centres_hz(self) -> Tensor:
        """Return the frequency of the bin with the largest weight in each band, (bands,)."""
        weights = band_interpolation(self.window // 2 + 1, self.Q)
        return weights.argmax(0) * self.sample_rate_hz / self.window

    def frame_times_s(self, frames: int) -> Tensor:
        """Return the centre of each frame, in seconds from the first sample, (frames,)."""
        return (torch.arange(frames) * self.hop - self.window) / self.sample_rate_hz

    def scaled(self, V: Tensor) -> Tensor:
        """Scale a spectrogram to a mean of 1, and add a floor 60 dB below it.

        The Itakura-Saito divergence depends on ratios: without the floor, noise between notes would
        dominate the fit.
        """
        return V / V.mean() + (1e-3 if self.divergence == "kl" else 1e-6)

    def masked(self, spectra: Tensor, masks: Tensor, samples: int) -> Tensor:
        """Apply masks and return waveforms, which sum to the signal if the masks sum to 1.

        Args:
            spectra: complex (..., bins, frames).
            masks: (sources, ..., bands, frames).
            samples: length of the signal.

        Returns:
            (sources, ..., samples).
        """
        sources = spectra * (self._weights(masks) @ masks)
        window, padded = self._hann(masks), samples + 2 * self.window
        return istft(sources, window, self.hop, padded)[..., self.window : self.window + samples]

    def _hann(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.window, dtype=like.dtype)

    def _weights(self, like: Tensor) -> Tensor:
        """Return the interpolation weights (bins, bands); each row sums to 1."""
        return band_interpolation(self.window // 2 + 1, self.Q).to(like.dtype)
