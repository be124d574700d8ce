"""Implements two generations of Demucs (Defossez, Usunier, Bottou and Bach 2019).

The paper is "Music Source Separation in the Waveform Domain". The network is a U-Net on the
waveform with strided convolutions and with a bidirectional LSTM at the lowest level. The default
arguments select the second generation, which internally works at twice the sampling rate. The
arguments `channels=100, resample=False` select the first generation. The code is based on the
branches v1 and v2 of facebookresearch/demucs (MIT licence; see NOTICE). The parameters have the
same names as in these branches.

In shapes, B is the batch size, S the number of sources, T the number of samples, and C the number
of channels.
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


@dataclass(frozen=True)
class DemucsArguments:
    """Arguments of :class:`Demucs`; arguments of the authors' code keep their names.

    Args:
        sources: names of the outputs in order.
        samplerate: sampling rate of the network in Hz.
        channels: number of channels of the first level.
        depth: number of levels.
        growth: ratio of the number of channels of a level to the number of channels of the level
            above.
        kernel_size, stride: kernel size and stride of the convolutions between levels. The kernel
            size must be a multiple of the stride, and their difference must be even.
        lstm_layers: number of layers of the LSTM.
        context: kernel size of the first convolution of each decoder level, an odd number.
        resample: whether the network works at twice the sampling rate.
        normalize: whether to scale the mixture to zero mean and unit standard deviation before the
            network, and to scale the estimates back after the network.
        rescale: reference standard deviation for :func:`cmss.models.demucs_layers.rescale`; 0 for
            no rescaling.
        conditioned: whether the network is conditioned on the presence of the sources.
        consistent: whether the difference between the mixture and the sum of the estimates is
            distributed among the sources that are present.
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
            raise ValueError("depth, lstm_layers: expected at least 1")
        if self.context % 2 == 0:
            raise ValueError(
                "context: expected an odd number, so that outputs align with inputs, got "
                f"{self.context}"
            )
        if self.kernel_size % self.stride or (self.kernel_size - self.stride) % 2:
            raise ValueError(
                f"kernel_size: expected a multiple of the stride {self.stride}, such that "
                f"kernel_size minus the stride is even, got {self.kernel_size}"
            )


class Demucs(Network):
    """Estimates the waveforms of the sources from the waveform of the mixture.

    Convolutions have no padding, but the mixture is padded with zeros at both ends to the length
    :meth:`valid_length`. The estimates are the central samples of the last convolution's output.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T) and is
        exactly aligned with the mixture. Outputs of absent sources are zero. If `consistent` is
        true, the sum of the sources is the mixture.
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
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        a = self.arguments
        present = presence(present, mixture, len(a.sources))
        samples = mixture.shape[-1]
        x, mono = mixture, mixture.mean(1, keepdim=True)
        mean, deviation = mono.mean(-1, keepdim=True), mono.std(-1, keepdim=True)  # (B, 1, 1)
        if a.normalize:
            x = (mixture - mean) / (
                1e-5 + deviation
            )  # the authors' constant, against division by 0
        needed = self.valid_length(samples)
        before = (needed - samples) // 2
        x = F.pad(x, (before, needed - samples - before))  # (B, 2, needed)
        if a.resample:
            x = julius.resample_frac(x, 1, 2)  # (B, 2, 2 needed)
        x = self._layers(x, present).float()  # (B, 2 S, at least T)
        if a.resample:
            x = julius.resample_frac(x, 2, 1)
        if a.normalize:
            x = x * deviation + mean
        stems = _middle(x, samples).unflatten(1, (-1, 2))  # (B, S, 2, T)
        if a.consistent:
            return mixture_consistent(stems, mixture, present)
        return stems * present[..., None, None]

    def valid_length(self, samples: int) -> int:
        """Return the shortest input length for at least `samples` output samples.

        With the returned length, no convolution drops samples at the end of its input.
        """
        a = self.arguments
        factor = 2 if a.resample else 1
        length = factor * samples
        # First, compute the length at the lowest level from which the decoder produces enough
        # samples. A decoder level drops context - 1 steps. Then its transposed convolution extends
        # n steps to (n - 1) stride + kernel_size steps.
        for _ in range(a.depth):
            length = max(-(-(length - a.kernel_size) // a.stride) + 1, 1) + a.context - 1
        # Second, compute the length of the input from the length at the lowest level. To output n
        # steps, a convolution needs (n - 1) stride + kernel_size input steps.
        for _ in range(a.depth):
            length = (length - 1) * a.stride + a.kernel_size
        return -(-length // factor)

    def _layers(self, x: Tensor, present: Tensor) -> Tensor:
        """Apply the U-Net to a padded mixture (B, 2, valid length).

        The output (B, 2 S, ...) has fewer samples than the input.
        """
        skips = []
        for encoder in self.encoder:
            x = encoder(x)  # (B, channels of the level, about T / stride^(level + 1))
            skips.append(x)
        if self.presence is not None:
            x = skips[-1] = x + self.presence(present.to(x.dtype)).unsqueeze(-1)
        x = self.lstm(x)  # the shape does not change
        for decoder in self.decoder:
            # (B, channels of the level above, slightly below T / stride^level)
            x = decoder(x + _middle(skips.pop(), x.shape[-1]))
        return x


def _middle(x: Tensor, length: int) -> Tensor:
    """Return the central `length` samples of x.

    If the number of removed samples is odd, the end loses one sample more than the start.
    """
    start = (x.shape[-1] - length) // 2
    return x[..., start : start + length]


# fmt: off
RECORD = NetworkRecord(
    name="demucs",
    network=Demucs,
    arguments=DemucsArguments,
    summary="Demucs, first and second generation: a U-Net with an LSTM on waveforms",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "channels": 32, "growth": 1.4, "depth": 5,
                "resample": False, "normalize": True, "conditioned": True, "consistent": True,
            },
            "waveform", {"power": 1, "spectral": 1.0},
        ),
        # The authors trained all generations of Demucs with the mean absolute error.
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 1}),
        "v1": Size(
            {"sources": INSTRUMENTS, "channels": 100, "resample": False}, "waveform", {"power": 1}
        ),
    },
    licence="mit",
    data=("SCORES", "NOTES", "SYNTHETIC_NOTES"),
)
# fmt: on
