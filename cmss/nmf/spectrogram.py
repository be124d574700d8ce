"""Computes spectrograms for factorisation, and waveforms from masks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.nmf.factors import Divergence
from cmss.transforms.bands import band_interpolation
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class Analysis:
    """Computes the STFT with a Hann window, and sums its magnitudes or powers in frequency bands.

    There are fewer bands than frequency bins, so that templates are small and the fit is fast.

    Args:
        divergence: divergence of the factorisation; `kl` uses magnitudes, `is` uses powers.
        sample_rate_hz: sampling rate of the waveforms.
        window: number of samples in a frame.
        hop: number of samples between the starts of consecutive frames.
        Q: ratio of a band's centre frequency to its width. Each of the lowest Q bins is a separate
            band. With Q = 60, the width of the other bands is about a third of a semitone.
    """

    divergence: Divergence = "kl"
    sample_rate_hz: int = 44100
    window: int = 4096
    hop: int = 1024
    Q: int = 60

    def spectra(self, signal: Tensor) -> Tensor:
        """Compute the complex STFT (..., bins, frames) of a signal (..., samples)."""
        # Without padding, only the end of a single window would cover the last samples. The window
        # is near zero there, and the inverse STFT would divide by values near zero.
        padded = F.pad(signal, (self.window, self.window))
        return stft(padded, self._hann(signal), self.hop)

    def spectrogram(self, spectra: Tensor) -> Tensor:
        """Sum magnitudes or powers of spectra (..., bins, frames) in bands (..., bands, frames)."""
        amount = spectra.abs() if self.divergence == "kl" else spectra.abs().square()
        return self._weights(amount).T @ amount

    def band_centres_hz(self) -> Tensor:
        """Return the frequency of the bin with the largest weight in each band.

        The result has the shape (bands,).
        """
        weights = band_interpolation(self.window // 2 + 1, self.Q)
        return weights.argmax(0) * self.sample_rate_hz / self.window

    def frame_times_s(self, frames: int) -> Tensor:
        """Return the time of each frame's centre in seconds after the first sample.

        The result has the shape (frames,).
        """
        return (torch.arange(frames) * self.hop - self.window) / self.sample_rate_hz

    def scaled(self, V: Tensor) -> Tensor:
        """Scale a spectrogram to a mean of 1, and add a constant that is 60 dB below this mean.

        The Itakura-Saito divergence depends on ratios. Without the constant, noise between notes
        would dominate the fit.
        """
        return V / V.mean() + (1e-3 if self.divergence == "kl" else 1e-6)

    def masked(self, spectra: Tensor, masks: Tensor, samples: int) -> Tensor:
        """Apply masks to the STFT of a signal, and return waveforms.

        If the masks sum to 1, the sum of the waveforms is the signal.

        Args:
            spectra: STFT of the signal, a complex array of shape (..., bins, frames).
            masks: mask of each source, an array of shape (sources, ..., bands, frames).
            samples: length of the signal in samples.

        Returns:
            The waveform of each source, an array of shape (sources, ..., samples).
        """
        sources = spectra * (self._weights(masks) @ masks)
        window, padded = self._hann(masks), samples + 2 * self.window
        return istft(sources, window, self.hop, padded)[..., self.window : self.window + samples]

    def _hann(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.window, dtype=like.dtype)

    def _weights(self, like: Tensor) -> Tensor:
        """Return interpolation weights (bins, bands); the weights of each bin sum to 1."""
        return band_interpolation(self.window // 2 + 1, self.Q).to(like.dtype)
