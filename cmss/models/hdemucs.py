"""Hybrid Demucs (Defossez 2021), the third generation; see :mod:`cmss.models.hybrid`.

The branches meet where the spectra's has one bin left. Below, and in residual branches from the
same level on, are a local attention and LSTMs. The defaults are the published configuration.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cmss.models.hybrid import Hybrid, HybridArguments
from cmss.models.outputs import OUTPUTS
from cmss.models.record import NetworkRecord, Size
from cmss.scenes import INSTRUMENTS


@dataclass(frozen=True)
class HDemucsArguments(HybridArguments):
    """Arguments of :class:`HDemucs`: those of :class:`HybridArguments`, and

    Args:
        time_stride: stride of the levels below the one where the branches meet.
        dconv_attn: level from which residual branches have a local attention.
        dconv_lstm: level from which they have an LSTM.
    """

    time_stride: int = 2
    dconv_attn: int = 4
    dconv_lstm: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        bins, step = self.nfft // 2, self.stride
        for _ in range(self.depth):
            if bins <= self.kernel_size:
                if step != self.nfft // 4:
                    raise ValueError(
                        f"nfft {self.nfft}: where the branches meet the waveform's has steps of "
                        f"{step} samples, the spectra's of {self.nfft // 4}"
                    )
                return
            bins, step = bins // self.stride, step * self.stride


class HDemucs(Hybrid):
    """Both branches joined at the bottom; the decoders start from what encoders pass alone."""

    model_name = "hdemucs"

    def __init__(self, arguments: HDemucsArguments) -> None:
        a = arguments
        super().__init__(a, a.time_stride, a.dconv_attn, a.dconv_lstm)

    def bottom(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Nothing: signals go through the skips."""
        return torch.zeros_like(x), torch.zeros_like(x_time)


# fmt: off
RECORD = NetworkRecord(
    name="hdemucs",
    network=HDemucs,
    arguments=HDemucsArguments,
    summary="a U-Net on waveforms and one on spectra",
    sizes={
        "small": Size(
            {
                "sources": OUTPUTS, "samplerate": 16000, "channels": 20, "channels_time": 12,
                "growth": 1.5, "depth": 5, "norm_groups": 1,
                "dconv_mode": 3, "dconv_starts": 2, "dconv_comp": 5,
                "masks": True, "conditioned": True, "consistent": True,
            },
            "waveform", {"power": 1, "spectral": 1.0},
        ),
        "paper": Size({"sources": INSTRUMENTS}, "waveform", {"power": 1}),
    },
)
# fmt: on
