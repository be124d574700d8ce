"""Implements `separator=module`, which separates with a torch module of any installed package.

The module maps a mixture of shape (batch, 2, samples) to stems.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.machine.precision import Precision, chosen_precision
from cmss.models.checkpoint import load_checkpoint
from cmss.models.module import ModuleArguments, ModuleNetwork
from cmss.models.outputs import TARGET
from cmss.models.weights_file import matching, read_state_dicts
from cmss.separators.estimators import OneForAll, Segments, Voices, chosen_device
from cmss.separators.protocol import Causality
from cmss.separators.trained import Estimating
from cmss.settings import Rate, check_fields


@dataclass
class ModuleSeparator(Estimating):
    """Separates with a module of any installed package, with weights from a file.

    Args:
        sample_rate_hz: sampling rate of the mixtures.
        causality: always `noncausal`, because the receptive field of the module is unknown.
        target: class of the module in the form `package.Class`. `target` may be None if train.py
            wrote the checkpoint, because such a checkpoint contains `target`, `arguments`,
            `sources`, `samplerate` and `consistent`.
        checkpoint: path of the weight file: a .safetensors file, or a file in which torch.save has
            stored a state_dict. Only tensors are unpickled. Prefixes of parameter names, such as
            `module.`, are removed (:mod:`cmss.models.weights_file`).
        arguments: keyword arguments of the class.
        sources: instruments that the module estimates, in the order of the module's outputs.
        samplerate: sampling rate of the module in Hz.
        consistent: whether the difference between the mixture and the sum of the estimates is
            distributed among the sources.
        separation: settings by which a mixture is segmented, see :class:`Segments`.
        voices: method for two players of the same instrument, see :func:`share_out`.
        precision: precision of matrix products.
        device: name of the device. If `device` is None, a GPU is used if available.

    Raises:
        InputError: the class or the weights do not exist, or the weights do not fit the class.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    target: str | None = None
    checkpoint: str | None = None
    arguments: Mapping[str, Any] | None = None
    sources: list[str] | None = None
    samplerate: Rate | None = None
    consistent: bool = False
    separation: Mapping[str, Any] = field(default_factory=dict)
    voices: Voices = "shared"
    precision: Precision = "float32"
    device: str | None = None
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        check_fields("separator.separation", self.separation, Segments)
        if self.checkpoint is None:
            raise InputError("separator.checkpoint: missing, expected a file of weights")
        path = Path(self.checkpoint)
        network = self._load(path)
        if TARGET in network.sources:
            raise InputError(
                f"{path}: separator.checkpoint: the network estimates a single instrument, "
                "expected a network for all instruments"
            )
        self.weights[str(path)] = file_sha256(path)
        self._device = chosen_device(self.device)
        self.precision = chosen_precision(self.precision, self._device.type)
        segments = Segments(**self.separation)
        self._estimate = OneForAll(lambda: network, self.sample_rate_hz, segments, self._device)

    def _load(self, path: Path) -> ModuleNetwork:
        """Load the module with its weights, in evaluation mode."""
        found, header = read_state_dicts(path)
        if header.get("model") == ModuleNetwork.model_name:
            network = load_checkpoint(path)
            assert isinstance(network, ModuleNetwork)
            if self.target not in (None, network.arguments.target):
                raise InputError(
                    f"separator.target: {self.target!r}, expected "
                    f"{network.arguments.target!r}, the class in {path}"
                )
            return network
        if "model" in header:
            raise InputError(
                f"{path}: weights of separator={header['model']}, expected weights of a torch "
                "module"
            )
        if problems := [
            f"separator.{key}: missing, expected a value, because {path} has none"
            for key in ("target", "sources", "samplerate")
            if not getattr(self, key)
        ]:
            raise InputError(problems)
        network = ModuleNetwork(
            ModuleArguments(
                str(self.target),
                tuple(self.sources or ()),
                int(self.samplerate or 0),
                dict(self.arguments or {}),
                self.consistent,
            )
        )
        expected, wanted = network.module.state_dict(), f"{self.target} with separator.arguments"
        network.module.load_state_dict(matching(path, found, expected, wanted))
        return network.eval()
