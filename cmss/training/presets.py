"""Networks that can be trained, by the names that users type: model and size."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build
from cmss.models.outputs import OUTPUTS
from cmss.scenes import INSTRUMENTS
from cmss.training.losses import Loss, MaskLoss, RemixLoss, WaveformLoss
from cmss.training.remix_loss import EstimatesRemixLoss


@dataclass(frozen=True)
class Preset:
    """A network in a size.

    Args:
        network: key of :data:`cmss.models.checkpoint.MODELS`.
        arguments: of that network; its outputs say whether it is one for all instruments or one of
            many, see :mod:`cmss.models.outputs`.
        loss: makes what it is trained on; takes `compiled`.
    """

    network: str
    arguments: dict[str, Any]
    loss: Callable[..., Loss]

    def build(self) -> Network:
        """The network with fresh weights."""
        return build(self.network, self.arguments)


# fmt: off
PRESETS: dict[tuple[str, str], Preset] = {
    ("convtasnet", "small"): Preset("fourier_convtasnet", {"sources": OUTPUTS}, RemixLoss),
    # Sizes of the challenge's training recipe (conf.yml of its ConvTasNet).
    ("convtasnet", "paper"): Preset("convtasnet", {"R": 4, "X": 10}, partial(WaveformLoss, 1)),
    # As that recipe trains the causal ones.
    ("convtasnet", "causal"): Preset(
        "convtasnet",
        {"R": 4, "X": 10, "causal": True, "norm_type": "cLN"},
        partial(WaveformLoss, 1),
    ),
    ("waveunet", "small"): Preset(
        "waveunet",
        {
            "sources": OUTPUTS, "samplerate": 16000, "levels": 10, "filters": 12,
            "down_kernel": 9, "difference": False, "conditioned": True,
        },
        EstimatesRemixLoss,
    ),
    # M6 of its paper, one output per instrument.
    ("waveunet", "paper"): Preset(
        "waveunet", {"sources": INSTRUMENTS}, partial(WaveformLoss, 2)
    ),
    ("multichannel_unet", "small"): Preset(
        "multichannel_unet",
        {
            "sources": OUTPUTS, "samplerate": 22050, "n_fft": 4096, "hop": 1024, "bands": 512,
            "dims": (48, 96, 160, 224, 288, 352), "convolutions": 2, "dropout": 0.0,
            "features": "stereo", "masks": "softmax", "conditioned": True,
            "harmonics": (1 / 3, 1 / 2, 2, 3, 4, 5), "passes": 2,
        },
        RemixLoss,
    ),
    ("multichannel_unet", "paper"): Preset(
        "multichannel_unet", {"sources": INSTRUMENTS}, MaskLoss
    ),
    ("arunet", "small"): Preset(
        "arunet",
        {
            "sources": OUTPUTS, "hop": 512, "fold": 8, "filters": (16, 32, 48, 96),
            "bottleneck": 160, "compression": 0.5, "conditioned": True, "masks": True,
        },
        EstimatesRemixLoss,
    ),
    ("arunet", "paper"): Preset("arunet", {}, partial(WaveformLoss, 2)),
    ("roformer", "small"): Preset("roformer", {"sources": OUTPUTS}, EstimatesRemixLoss),
    ("demucs", "small"): Preset(
        "demucs",
        {
            "sources": OUTPUTS, "samplerate": 16000, "channels": 32, "growth": 1.4, "depth": 5,
            "resample": False, "normalize": True, "conditioned": True, "consistent": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    # Demucs was trained by its authors on the mean absolute error, in all its generations.
    ("demucs", "paper"): Preset("demucs", {"sources": INSTRUMENTS}, partial(WaveformLoss, 1)),
    ("demucs", "v1"): Preset(
        "demucs",
        {"sources": INSTRUMENTS, "channels": 100, "resample": False},
        partial(WaveformLoss, 1),
    ),
    ("hdemucs", "small"): Preset(
        "hdemucs",
        {
            "sources": OUTPUTS, "samplerate": 16000, "channels": 20, "channels_time": 12,
            "growth": 1.5, "depth": 5, "norm_groups": 1,
            "dconv_mode": 3, "dconv_starts": 2, "dconv_comp": 5,
            "masks": True, "conditioned": True, "consistent": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    ("hdemucs", "paper"): Preset(
        "hdemucs", {"sources": INSTRUMENTS}, partial(WaveformLoss, 1)
    ),
    ("htdemucs", "small"): Preset(
        "htdemucs",
        {
            "sources": OUTPUTS, "samplerate": 16000, "channels": 32, "channels_time": 16,
            "growth": 1.5, "nfft": 3072, "dconv_starts": 2, "dconv_comp": 4,
            "bottom_channels": 64, "t_layers": 3, "t_heads": 4, "t_hidden_scale": 3.0,
            "masks": True, "conditioned": True, "consistent": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    # A module of another package, see cmss/models/module.py; wants pip install '.[roformer]'.
    ("bs_roformer", "small"): Preset(
        "module",
        {
            "target": "bs_roformer.BSRoformer", "sources": INSTRUMENTS, "samplerate": 16000,
            "arguments": {
                "dim": 32, "depth": 2, "time_transformer_depth": 1, "freq_transformer_depth": 1,
                "heads": 4, "dim_head": 16, "stereo": True, "num_stems": 8,
                "num_residual_streams": 1, "mask_estimator_depth": 1,
                "freqs_per_bands": (4,) * 16 + (8,) * 16 + (32,) * 8 + (64,) * 8 + (65,),
                "stft_n_fft": 2048, "stft_hop_length": 512, "stft_win_length": 2048,
            },
            "consistent": True,
        },
        partial(WaveformLoss, 1, 1.0),
    ),
    ("htdemucs", "paper"): Preset(
        "htdemucs", {"sources": INSTRUMENTS}, partial(WaveformLoss, 1)
    ),
}
# fmt: on


def preset(model: str, size: str) -> Preset:
    """The preset of a model and a size.

    Raises:
        InputError: there is none; the message lists those that there are.
    """
    if (model, size) not in PRESETS:
        known = ", ".join(f"model={m} size={s}" for m, s in PRESETS)
        raise InputError(f"model={model} size={size}: unknown, expected one of {known}")
    return PRESETS[model, size]
