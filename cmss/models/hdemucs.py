"""Implements Hybrid Demucs (Defossez 2021), the third generation of Demucs.

The spectral branch and the waveform branch of the network merge at the level where the spectral
branch has only a single bin. At this level and at lower levels, the residual branches inside a
level contain local attention and LSTMs. By default, the arguments have the published values.
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
    """Arguments of :class:`HDemucs`, in addition to those of :class:`HybridArguments`.

    Args:
        time_stride: stride of the levels below the level where the two branches merge.
        dconv_attn: first level whose residual branches have local attention.
        dconv_lstm: first level whose residual branches have an LSTM.
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
                        f"nfft {self.nfft}: where the branches merge, the step is {step} samples "
                        f"for waveforms and {self.nfft // 4} for spectra, expected equal steps; "
                        "change nfft, kernel_size or stride"
                    )
                return
            bins, step = bins // self.stride, step * self.stride


class HDemucs(Hybrid):
    """Hybrid Demucs whose branches merge.

    The only input of the lowest decoder is the skip connection.
    """

    model_name = "hdemucs"

    def __init__(self, arguments: HDemucsArguments) -> None:
        a = arguments
        super().__init__(a, a.time_stride, a.dconv_attn, a.dconv_lstm)

    def bottom(self, x: Tensor, x_time: Tensor) -> tuple[Tensor, Tensor]:
        """Return zeros, because the lowest decoder has no input except the skip connection."""
        return torch.zeros_like(x), torch.zeros_like(x_time)


# fmt: off
RECORD = NetworkRecord(
    name="hdemucs",
    network=HDemucs,
    arguments=HDemucsArguments,
    summary="Hybrid Demucs: a U-Net on waveforms and one on spectra",
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
    licence="mit",
    data=("SCORES", "NOTES", "SYNTHETIC_NOTES"),
)
# fmt: on
