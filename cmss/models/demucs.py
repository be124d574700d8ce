"""Demucs (Defossez, Usunier, Bottou and Bach 2019), the first and the second generation.

"Music Source Separation in the Waveform Domain": a U-Net on the waveform whose strided convolutions
end in a bidirectional LSTM. The defaults are the second generation, which works at twice the
sampling rate inside; `channels=100, resample=False` is the first. After the authors' code,
facebookresearch/demucs (MIT; see NOTICE), branches v1 and v2, with its names of parameters.

Shapes: B batch, S sources, T samples, C channels.
"""

from dataclasses import dataclass

import julius
import torch.nn.functional as F
from torch import Tensor, nn

from cmss.models.demucs_layers import BLSTM, rescale
from cmss.models.network import Network
from cmss.models.outputs import OUTPUTS
from cmss.models.presence import mixture_consistent, presence
from cmss.models.record import NetworkRecord, Size
from cmss.scenes import INSTRUMENTS

FLOOR = 1e-5  # added to deviations


@dataclass(frozen=True)
class DemucsArguments:
    """Arguments of :class:`Demucs`; the authors' names where they have one.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate in Hz that the network works at.
        channels: of the first level.
        depth: levels.
        growth: each level has this many times the channels of the one above.
        kernel_size, stride: of the convolutions from level to level, the first a multiple of the
            second.
        lstm_layers: of the LSTM.
        context: length of the convolution that begins each level on the way up, odd.
        resample: work at twice the sampling rate.
        normalize: bring the mixture to a mean of zero and a deviation of one, and estimates back.
        rescale: see :func:`cmss.models.demucs_layers.rescale`; 0: not at all.
        conditioned: whether the network is told who is present.
        consistent: share what the estimates leave of the mixture among the sources that are
            present, so that they sum to it.
    """

    sources: tuple[str, ...]
    samplerate: int = 44100
    channels: int = 64
    depth: int = 6
    growth: float = 2.0
    kernel_size: int = 8
    stride: int = 4
    lstm_layers: int = 2
    context: int = 3
    resample: bool = True
    normalize: bool = False
    rescale: float = 0.1
    conditioned: bool = False
    consistent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        if self.depth < 1 or self.lstm_layers < 1:
            raise ValueError("expected at least one level and one layer of the LSTM")
        if self.context % 2 == 0:
            raise ValueError(
                f"context must be odd, or outputs fall between samples: {self.context}"
            )
        if self.kernel_size % self.stride or (self.kernel_size - self.stride) % 2:
            raise ValueError(
                f"kernel_size must be a multiple of stride {self.stride}, and an even number above "
                f"it, not {self.kernel_size}"
            )


class Demucs(Network):
    """Waveforms of the sources from that of the mixture, by convolutions that do not pad.

    The mixture gets zeros at both ends (:meth:`valid_length` says how many), and estimates are the
    middle of what the last convolution gives.

    Shape:
        - mixture (B, 2, T); present, bool (B, S), all by default
        - output (B, S, 2, T), aligned with the mixture to the sample; absent sources are zero, and
          if `consistent` present ones sum to the mixture
    """

    model_name = "demucs"

    def __init__(self, arguments: DemucsArguments) -> None:
        super().__init__(arguments)
        a = arguments
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        inputs, outputs, width = 2, 2 * len(a.sources), a.channels
        for level in range(a.depth):
            self.encoder.append(
                nn.Sequential(
                    nn.Conv1d(inputs, width, a.kernel_size, a.stride),
                    nn.ReLU(),
                    nn.Conv1d(width, 2 * width, 1),
                    nn.GLU(1),
                )
            )
            self.decoder.insert(
                0,
                nn.Sequential(
                    nn.Conv1d(width, 2 * width, a.context),
                    nn.GLU(1),
                    nn.ConvTranspose1d(width, outputs, a.kernel_size, a.stride),
                    *([nn.ReLU()] if level else []),
                ),
            )
            inputs = outputs = width
            width = int(a.growth * width)
        self.lstm = BLSTM(inputs, a.lstm_layers)
        self.presence = nn.Linear(len(a.sources), inputs, bias=False) if a.conditioned else None
        if a.rescale:
            rescale(self, a.rescale)

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, 2, T) -> (B, S, 2, T)."""
        a = self.arguments
        present = presence(present, mixture, len(a.sources))
        samples = mixture.shape[-1]
        x, mono = mixture, mixture.mean(1, keepdim=True)
        mean, deviation = mono.mean(-1, keepdim=True), mono.std(-1, keepdim=True)
        if a.normalize:
            x = (mixture - mean) / (FLOOR + deviation)
        needed = self.valid_length(samples)
        before = (needed - samples) // 2
        x = F.pad(x, (before, needed - samples - before))
        if a.resample:
            x = julius.resample_frac(x, 1, 2)
        x = self._layers(x, present).float()
        if a.resample:
            x = julius.resample_frac(x, 2, 1)
        if a.normalize:
            x = x * deviation + mean
        stems = _middle(x, samples).unflatten(1, (-1, 2))
        if a.consistent:
            return mixture_consistent(stems, mixture, present)
        return stems * present[..., None, None]

    def valid_length(self, samples: int) -> int:
        """Samples of input of which each convolution uses all, and that give so many at least."""
        a = self.arguments
        factor = 2 if a.resample else 1
        length = factor * samples
        for _ in range(a.depth):
            length = max(-(-(length - a.kernel_size) // a.stride) + 1, 1) + a.context - 1
        for _ in range(a.depth):
            length = (length - 1) * a.stride + a.kernel_size
        return -(-length // factor)

    def _layers(self, x: Tensor, present: Tensor) -> Tensor:
        """(B, 2, T) of a valid length, bool (B, S) -> (B, 2 S, less)."""
        skips = []
        for encoder in self.encoder:
            x = encoder(x)
            skips.append(x)
        if self.presence is not None:
            x = skips[-1] = x + self.presence(present.to(x.dtype)).unsqueeze(-1)
        x = self.lstm(x)
        for decoder in self.decoder:
            x = decoder(x + _middle(skips.pop(), x.shape[-1]))
        return x


def _middle(x: Tensor, length: int) -> Tensor:
    """So many samples from the middle of a signal, the odd one left out at the end."""
    start = (x.shape[-1] - length) // 2
    return x[..., start : start + length]


# fmt: off
RECORD = NetworkRecord(
    name="demucs",
    network=Demucs,
    arguments=DemucsArguments,
    summary="a U-Net with an LSTM on waveforms, the first two generations",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "channels": 32, "growth": 1.4, "depth": 5,
                "resample": False, "normalize": True, "conditioned": True, "consistent": True,
            },
            "waveform", {"power": 1, "spectral": 1.0},
        ),
        # Demucs was trained by its authors on the mean absolute error, in all its generations.
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 1}),
        "v1": Size(
            {"sources": INSTRUMENTS, "channels": 100, "resample": False}, "waveform", {"power": 1}
        ),
    },
)
# fmt: on
