"""From waveforms to the spectrograms that are factorised, and from masks back to waveforms."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmss.nmf.factors import Divergence
from cmss.transforms.bands import band_interpolation
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class Analysis:
    """STFT, Hann window; magnitudes or powers summed into bands.

    Args:
        divergence: `kl` looks at magnitudes, `is` at powers.
        sample_rate_hz: of the waveforms.
        window: samples of a frame.
        hop: samples from one frame to the next.
        Q: bands above the first Q bins are 1/Q of their frequency wide; 1/60 is a third of a
            semitone. Fewer bands than bins make templates small and fits fast.
    """

    divergence: Divergence = "kl"
    sample_rate_hz: int = 44100
    window: int = 4096
    hop: int = 1024
    Q: int = 60

    def spectra(self, signal: Tensor) -> Tensor:
        """(..., samples) -> complex (..., bins, frames)."""
        # Else the last samples would lie under the tail of one window alone, which is near zero.
        padded = F.pad(signal, (self.window, self.window))
        return stft(padded, self._hann(signal), self.hop)

    def spectrogram(self, spectra: Tensor) -> Tensor:
        """Complex (..., bins, frames) -> (..., bands, frames)."""
        amount = spectra.abs() if self.divergence == "kl" else spectra.abs().square()
        return self._weights(amount).T @ amount

    def band_centres_hz(self) -> Tensor:
        """(bands,): the bin that each band has most of."""
        weights = band_interpolation(self.window // 2 + 1, self.Q)
        return weights.argmax(0) * self.sample_rate_hz / self.window

    def frame_times_s(self, frames: int) -> Tensor:
        """(frames,): the middle of each frame, in seconds from the first sample."""
        return (torch.arange(frames) * self.hop - self.window) / self.sample_rate_hz

    def scaled(self, V: Tensor) -> Tensor:
        """A spectrogram at a mean of 1 and 60 dB above silence, as it is fitted.

        Itakura-Saito counts ratios: without a floor the noise between notes would count most.
        """
        return V / V.mean() + (1e-3 if self.divergence == "kl" else 1e-6)

    def masked(self, spectra: Tensor, masks: Tensor, samples: int) -> Tensor:
        """Waveforms of what masks let through; they sum to the signal if the masks sum to one.

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
        """(bins, bands), each row of which sums to one."""
        return band_interpolation(self.window // 2 + 1, self.Q).to(like.dtype)
