"""Imports torch modules of other packages by name, and wraps these modules as networks.

A module must map mixtures (B, 2, T) to sources (B, S, 2, T); most published separators have this
form. An example is BS-RoFormer (Lu et al. 2024, "Music source separation with band-split RoPE
Transformer") from lucidrains' package, see :mod:`cmss.models.bs_roformer`.

In shapes, B is the batch size, S the number of sources, and T the number of samples.
"""

import importlib
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from cmss.errors import InputError
from cmss.models.network import Network
from cmss.models.presence import mixture_consistent, presence
from cmss.models.record import NetworkRecord


@dataclass(frozen=True)
class ModuleArguments:
    """Arguments of :class:`ModuleNetwork`.

    Args:
        target: package and class of the module, as `package.Class`.
        sources: names of the module's outputs in order.
        samplerate: sampling rate of the module in Hz.
        arguments: keyword arguments of the class; lists are converted to tuples.
        consistent: whether the difference between the mixture and the sum of the estimates is
            distributed among the sources that are present.
    """

    target: str
    sources: tuple[str, ...]
    samplerate: int = 44100
    arguments: dict[str, Any] = field(default_factory=dict)
    consistent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", tuple(self.sources))
        # JSON and YAML have no tuples, but some classes require them.
        given = {key: _with_tuples(value) for key, value in self.arguments.items()}
        object.__setattr__(self, "arguments", given)


class ModuleNetwork(Network):
    """Wraps a module of another package; the only input of the module is the mixture.

    In some modules, the inverse STFT drops the last samples, so the outputs are shorter than the
    mixture. Such outputs are padded with zeros.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T). Outputs of
        absent sources are zero. If `consistent` is true, the sum of the sources is the mixture.

    Raises:
        InputError: the class does not exist, or the class does not accept the arguments.
        ValueError: the module's output does not have the expected shape.
    """

    model_name = "module"

    def __init__(self, arguments: ModuleArguments) -> None:
        super().__init__(arguments)
        cls = module_class(arguments.target)
        try:
            self.module = cls(**arguments.arguments)
        except Exception as error:  # A class of another package may raise any exception.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"separator.arguments: {arguments.target} does not accept them ({reason})"
            ) from error

    def forward(self, mixture: Tensor, present: Tensor | None = None) -> Tensor:
        """Separate mixtures (B, 2, T) into sources (B, S, 2, T)."""
        present = presence(present, mixture, len(self.sources))
        stems = self.module(mixture)
        # Modules of a single source may omit the axis of sources: (B, 2, T).
        if isinstance(stems, Tensor) and stems.dim() == 3 and len(self.sources) == 1:
            stems = stems.unsqueeze(1)
        expected = (len(mixture), len(self.sources), 2)
        if not isinstance(stems, Tensor) or stems.dim() != 4 or stems.shape[:3] != expected:
            shape = tuple(stems.shape) if isinstance(stems, Tensor) else type(stems).__name__
            raise ValueError(
                f"{self.arguments.target}: returned {shape} for {tuple(mixture.shape)}, expected "
                f"{(*expected, mixture.shape[-1])} for sources {', '.join(self.sources)}"
            )
        samples = mixture.shape[-1]
        stems = F.pad(stems[..., :samples].float(), (0, max(samples - stems.shape[-1], 0)))
        if self.arguments.consistent:
            return mixture_consistent(stems, mixture, present)
        return stems * present[..., None, None]


def module_class(target: str) -> type[nn.Module]:
    """Import a class of torch modules by name.

    Classes that are not torch modules are refused, because the name may come from a file, and
    calling an arbitrary class could execute arbitrary code.

    Raises:
        InputError: the class does not exist or is not a torch module.
    """
    package, _, name = target.rpartition(".")
    expected = "expected package.Class, a torch.nn.Module that is installed"
    if not package:
        raise InputError(f"separator.target: {target!r}, {expected}")
    try:
        cls = getattr(importlib.import_module(package), name)
    except (ImportError, AttributeError) as error:
        hint = "; pip install -e '.[roformer]'" if package.split(".")[0] == "bs_roformer" else ""
        raise InputError(f"separator.target: {target!r} ({error}), {expected}{hint}") from error
    if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
        raise InputError(f"separator.target: {target!r} is not a module, {expected}")
    return cls


def _with_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_with_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return value


RECORD = NetworkRecord(
    name="module",
    network=ModuleNetwork,
    arguments=ModuleArguments,
    summary="any torch module of an installed package",
    sizes={},
    separates=False,  # cmss.separators.torch_module loads this network, with external weights
)
