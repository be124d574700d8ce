"""The official enhance.py, imported without torchaudio.

It needs `torchaudio.transforms.Fade` and nothing else of torchaudio, which is no requirement of
this project and loads only beside the torch that it was built for. The class here computes what
torchaudio 2 documents for a linear fade, in the same order of operations, so that results are
equal to the last bit.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
from torch import Tensor, nn


class Fade(nn.Module):
    """Linear fade in and out, `fade_in_len` and `fade_out_len` samples long; both may be changed.

    Shape: (..., samples) -> (..., samples). As in torchaudio, a signal shorter than a fade is a
    RuntimeError.
    """

    def __init__(
        self, fade_in_len: int = 0, fade_out_len: int = 0, fade_shape: str = "linear"
    ) -> None:
        super().__init__()
        if fade_shape != "linear":
            raise ValueError(f"only the linear fade is provided, not {fade_shape!r}")
        self.fade_in_len, self.fade_out_len = fade_in_len, fade_out_len

    def forward(self, waveform: Tensor) -> Tensor:
        samples = waveform.shape[-1]
        rise = torch.linspace(0, 1, self.fade_in_len)
        fall = -torch.linspace(0, 1, self.fade_out_len) + 1
        fade_in = torch.cat((rise, torch.ones(samples - self.fade_in_len)))
        fade_out = torch.cat((torch.ones(samples - self.fade_out_len), fall))
        return fade_in * fade_out * waveform


def official_enhance() -> ModuleType:
    """`recipes.cad2.task2.baseline.enhance` of the pyclarity wheel."""
    name = "recipes.cad2.task2.baseline.enhance"
    if name in sys.modules:
        return sys.modules[name]
    stand_ins = {part: ModuleType(part) for part in ("torchaudio", "torchaudio.transforms")}
    for part, module in stand_ins.items():
        module.__spec__ = ModuleSpec(part, None)  # what looks for torchaudio asks for this
    stand_ins["torchaudio.transforms"].Fade = Fade
    hidden = {part: sys.modules.pop(part) for part in stand_ins if part in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(name)
    finally:
        for part in stand_ins:
            del sys.modules[part]
        sys.modules.update(hidden)
