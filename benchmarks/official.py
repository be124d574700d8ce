"""Run the official programs of task 2 from the pyclarity wheel, for tests and benchmarks.

    python -m benchmarks.official enhance|evaluate TIMES.json KEY=VALUE...

The official enhance.py needs only the class `torchaudio.transforms.Fade` of torchaudio. This
project does not require torchaudio, because each version of torchaudio works with only one version
of torch. The class `Fade` of this file replaces the class of torchaudio. Both classes compute the
linear fade of torchaudio 2 with the same order of operations, so that the results are
bit-identical.

The command runs one program, and writes the wall time and the CPU time to TIMES.json. Both times
are read at the start of each pair of scene and listener, and at the end of the program. The
start-up time of the program can therefore be subtracted.
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
    """Applies a linear fade-in and fade-out over `fade_in_len` and `fade_out_len` samples.

    Both lengths are attributes, because the official program changes them after construction.

    Shape: input and output have the shape (..., samples).

    Raises:
        RuntimeError: a signal is shorter than a fade; torchaudio raises the same error.
    """

    def __init__(
        self, fade_in_len: int = 0, fade_out_len: int = 0, fade_shape: str = "linear"
    ) -> None:
        super().__init__()
        if fade_shape != "linear":
            raise ValueError(f"fade_shape: expected linear, got {fade_shape!r}")
        self.fade_in_len, self.fade_out_len = fade_in_len, fade_out_len

    def forward(self, waveform: Tensor) -> Tensor:
        """Apply both fades to a waveform of any shape (..., samples)."""
        samples = waveform.shape[-1]
        rise = torch.linspace(0, 1, self.fade_in_len)
        fall = -torch.linspace(0, 1, self.fade_out_len) + 1
        fade_in = torch.cat((rise, torch.ones(samples - self.fade_in_len)))
        fade_out = torch.cat((torch.ones(samples - self.fade_out_len), fall))
        return fade_in * fade_out * waveform


def official_enhance() -> ModuleType:
    """Import `recipes.cad2.task2.baseline.enhance` of the pyclarity wheel."""
    name = "recipes.cad2.task2.baseline.enhance"
    if name in sys.modules:
        return sys.modules[name]
    stand_ins = {part: ModuleType(part) for part in ("torchaudio", "torchaudio.transforms")}
    for part, module in stand_ins.items():
        module.__spec__ = ModuleSpec(part, None)  # importlib.util.find_spec needs a spec
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
"""Owner of the published networks on the hub; the official program loads OWNER/<network>."""

PUBLISHED = {"N": 256, "L": 20, "B": 256, "H": 512, "P": 3, "X": 8, "R": 3}
"""Arguments that set the size of the published networks."""


def random_network(size: dict[str, int]) -> ConvTasNetStereo:
    """Build an official network with random weights.

    The input of the mask estimator is normalised. Therefore, the masks do not depend on the input
    level, and the estimates are proportional to the input of the network. If the weights of the
    last layer are multiplied by a factor, the estimates are multiplied by the same factor. This
    function chooses the factor so that the output level equals the input level.
    """
    noise = 0.01 * torch.randn(1, 2, 11025)
    network = ConvTasNetStereo(**size, C=2, audio_channels=2).eval()
    with torch.no_grad():
        network.decoder.basis_signals.weight *= 0.01 / network(noise)[0, 0].std()
    return network


class _Clock(logging.Handler):
    """Records the wall time and the CPU time when the official program logs the start of a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.readings: list[tuple[float, float]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Record the times if a log line is "[001/016] ..." (start of a pair) or "Done!" (end)."""
        if record.getMessage().startswith(("[", "Done")):
            self.readings.append((time.perf_counter(), time.process_time()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run an official program with the arguments of the command line."""
    stage, times, *overrides = sys.argv[1:] if arguments is None else arguments
    path = Path(times).absolute()  # The official program changes the working directory.
    name = f"recipes.cad2.task2.baseline.{stage}"
    program: Any = official_enhance() if stage == "enhance" else importlib.import_module(name)
    clock = _Clock()
    logging.getLogger(name).addHandler(clock)
    sys.argv[1:] = overrides
    (program.enhance if stage == "enhance" else program.run_calculate_aq)()
    path.write_text(json.dumps(clock.readings), encoding="utf-8")


if __name__ == "__main__":
    main()
