"""A small network for each separator with a network."""

import torch

from cmss.models.outputs import OUTPUTS


class Quarters(torch.nn.Module):
    """A module outside of cmss: each of its twelve outputs is a quarter of the mixture."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(0.25))

    def forward(self, mixture):
        return self.gain * mixture.unsqueeze(1).expand(-1, len(OUTPUTS), -1, -1)


NETWORKS = {
    "module": ("module", {"target": f"{__name__}.Quarters"}),
    "convtasnet": ("fourier_convtasnet", {"B": 8, "H": 8, "X": 1, "R": 1}),
    "waveunet": ("waveunet", {"levels": 4, "filters": 5, "down_kernel": 7, "up_kernel": 3}),
    "multichannel_unet": (
        "multichannel_unet",
        {"samplerate": 8000, "n_fft": 256, "hop": 64, "bands": 24, "dims": (4, 6, 8)},
    ),
    "arunet": ("arunet", {"L": 72, "hop": 20, "filters": (6, 8, 10), "bottleneck": 12}),
    "roformer": ("roformer", {"L": 256, "hop": 64, "bands": ((16, 8),), "D": 8, "hidden": 8}),
    "demucs": ("demucs", {"depth": 3, "channels": 6, "normalize": True}),
    "hdemucs": (
        "hdemucs",
        {"nfft": 256, "depth": 4, "channels": 8, "dconv_attn": 2, "dconv_lstm": 2},
    ),
    "htdemucs": ("htdemucs", {"nfft": 1024, "depth": 3, "channels": 8, "bottom_channels": 16}),
}
