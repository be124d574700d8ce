"""The official programs of task 2, as they are in the pyclarity wheel, for tests and benchmarks.

    python -m benchmarks.official enhance|evaluate TIMES.json KEY=VALUE...

Their enhance.py is imported without torchaudio. It needs `torchaudio.transforms.Fade` and nothing
else of torchaudio, which is no requirement of this project and loads only beside the torch that it
was built for. The class here computes what torchaudio 2 documents for a linear fade, in the same
order of operations, so that results are equal to the last bit.

As a program this runs one of them and writes what a wall clock and the CPU's clock showed at the
start of each pair and at the end: what comes before the first pair is not theirs to answer for.
"""

import importlib
import json
import logging
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from recipes.cad2.task2.ConvTasNet.local.tasnet import ConvTasNetStereo
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
        """(..., samples) -> the same shape."""
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
    vars(stand_ins["torchaudio.transforms"])["Fade"] = Fade
    hidden = {part: sys.modules.pop(part) for part in stand_ins if part in sys.modules}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module(name)
    finally:
        for part in stand_ins:
            del sys.modules[part]
        sys.modules.update(hidden)


OWNER = "cadenzachallenge"
"""Whose the published networks are; the official program loads OWNER/<network> from its folder."""

PUBLISHED = {"N": 256, "L": 20, "B": 256, "H": 512, "P": 3, "X": 8, "R": 3}
"""Size of the published networks."""


def random_network(size: dict[str, int]) -> ConvTasNetStereo:
    """An official network of random weights, whose estimates are as loud as noise at -40 dB.

    The masks see normalised frames, so that a network is linear in level and its last layer scales
    it.
    """
    noise = 0.01 * torch.randn(1, 2, 11025)
    network = ConvTasNetStereo(**size, C=2, audio_channels=2).eval()
    with torch.no_grad():
        network.decoder.basis_signals.weight *= 0.01 / network(noise)[0, 0].std()
    return network


class _Clock(logging.Handler):
    """Notes wall and CPU seconds whenever the official program says that a pair begins."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the program's log: "[001/016] ..." at each pair, "Done!" at the end."""
        if record.getMessage().startswith(("[", "Done")):
            self.readings.append((time.perf_counter(), time.process_time()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    stage, times, *overrides = sys.argv[1:] if arguments is None else arguments
    path = Path(times).absolute()  # the program changes the working directory
    name = f"recipes.cad2.task2.baseline.{stage}"
    program: Any = official_enhance() if stage == "enhance" else importlib.import_module(name)
    clock = _Clock()
    logging.getLogger(name).addHandler(clock)
    sys.argv[1:] = overrides
    (program.enhance if stage == "enhance" else program.run_calculate_aq)()
    path.write_text(json.dumps(clock.readings), encoding="utf-8")


if __name__ == "__main__":
    main()
