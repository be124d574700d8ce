"""Defines separators with trained networks and finds the weights of these networks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from cmss.errors import InputError
from cmss.files.digests import file_sha256
from cmss.machine.precision import Precision, chosen_precision
from cmss.models.checkpoint import load_checkpoint
from cmss.models.network import CONFIG, WEIGHTS, Network
from cmss.models.outputs import ACCOMPANIMENT, TARGET
from cmss.models.registry import networks_of
from cmss.scenes import Source
from cmss.separators.estimators import (
    Estimator,
    OneForAll,
    OnePerInstrument,
    Segments,
    Voices,
    chosen_device,
    output_names,
    share_out,
)
from cmss.separators.protocol import Causality, Stems
from cmss.settings import check_fields

LOOK_AHEAD_S = 0.002
"""Largest look-ahead of a network in a causal system, in seconds.

The challenge allows a look-ahead of 5 ms for the full system. The resampling of enhanced signals to
32 kHz uses 2.9 ms of this look-ahead, which is half the length of the resampling filter.
"""


class Estimating:
    """Implements prepare() and separate() with an :class:`Estimator`."""

    voices: Voices
    precision: Precision
    _estimate: Estimator
    _device: torch.device

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        self._estimate.prepare(output_names(sources))

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        with torch.autocast(self._device.type, torch.bfloat16, self.precision == "bfloat16"):
            estimates = self._estimate(mixture, output_names(sources.values()))
        return share_out(estimates, sources, self.voices)


@dataclass
class NetworkSeparator(Estimating):
    """Separates with a network whose weights are in the package or were written by train.py.

    Args:
        sample_rate_hz: sampling rate of the mixtures.
        name: value of `separator=`, from :func:`cmss.models.registry.names`.
        causality: noncausal or causal. A causal separator requires networks with a look-ahead of at
            most :data:`LOOK_AHEAD_S`.
        weights_from: source of the weights. The value `small` selects the network in the package,
            which separates all instruments. A path can be a checkpoint of train.py for all
            instruments, a folder that :mod:`cmss.training.publish` wrote from such a checkpoint, or
            a folder with a network for each instrument. In a folder with a network for each
            instrument, the subfolder <Instrument>/ contains the checkpoint best.safetensors, or the
            files that :mod:`cmss.training.publish` wrote.
        add_residual: fraction of the accompaniment that is added to each estimate, if the networks
            estimate an accompaniment.
        separation: settings by which a mixture is segmented, see :class:`Segments`.
        voices: method for two players of the same instrument, see :func:`share_out`. If `voices` is
            None, the default of the network is used, see :class:`cmss.models.record.NetworkRecord`.
        device: name of the device. If `device` is None, a GPU is used if available.
        precision: precision of matrix products.

    Raises:
        InputError: the weights or the device do not exist, or `separation` is not valid.
    """

    sample_rate_hz: int
    name: str
    causality: Causality = "noncausal"
    weights_from: str = "small"
    add_residual: float = 0.0
    separation: Mapping[str, Any] = field(default_factory=dict)
    voices: Voices | None = None  # type: ignore[assignment]
    device: str | None = None
    precision: Precision = "float32"
    weights: dict[str, str] = field(default_factory=dict, init=False)

    places: ClassVar[str] = "small, a .safetensors file or a folder"
    """Description of the possible values of `weights_from`, for error messages."""

    def __post_init__(self) -> None:
        self._records = networks_of(self.name)
        self.voices = self.voices or self._records[0].voices
        check_fields("separator.separation", self.separation, Segments)
        self._segments = Segments(**self.separation)
        self._device = chosen_device(self.device)
        self.precision = chosen_precision(self.precision, self._device.type)
        self._estimate = self._estimator()

    @property
    def _train(self) -> str:
        return f"python recipes/cad2/train.py model={self.name} path.root=DATA"

    def _estimator(self) -> Estimator:
        path = Path(self.weights_from)
        if self.weights_from == "small":
            # A network of an extension package has its weights in that package.
            package = self._records[0].network.__module__.partition(".")[0]
            path = Path(str(files(package) / "weights" / f"{self.name}_small.safetensors"))
        elif (path / CONFIG).is_file():
            path = path / WEIGHTS
        if path.suffix == ".safetensors":
            return self._one_for_all(path)
        if not self._holds_networks(path):
            raise InputError(
                f"separator.weights_from: {self.weights_from!r}, expected {self.places}; to train "
                f"your own weights: {self._train}"
            )
        return OnePerInstrument(
            self._load, self.sample_rate_hz, self._segments, self._device, self.add_residual
        )

    def _one_for_all(self, path: Path) -> Estimator:
        network = self._checked(path)
        if TARGET in network.sources:
            raise InputError(
                f"{path}: separator.weights_from: the network estimates a single instrument, "
                "expected a network for all instruments, or a folder with a network for each "
                "instrument"
            )
        if self.add_residual:
            raise InputError(
                f"separator.add_residual: {self.add_residual:g}, but {path} does not estimate an "
                "accompaniment; expected 0"
            )
        return OneForAll(lambda: network, self.sample_rate_hz, self._segments, self._device)

    def _holds_networks(self, path: Path) -> bool:
        return path.is_dir()

    def _load(self, instrument: str) -> Network:
        """Load the network of an instrument."""
        folder = Path(self.weights_from) / instrument
        published = folder / WEIGHTS
        path = published if published.is_file() else folder / "best.safetensors"
        return self._of_one(path, self._checked(path, instrument), instrument)

    def _of_one(self, path: Path, network: Network, instrument: str) -> Network:
        """Check that the network for an instrument has the outputs that are needed."""
        wanted = {TARGET, ACCOMPANIMENT} if self.add_residual else {TARGET}
        if not wanted <= set(network.sources):
            raise InputError(
                f"{path}: the outputs of the network for {instrument} are "
                f"{', '.join(network.sources)}, "
                f"expected {' and '.join(sorted(wanted, reverse=True))}"
            )
        return network

    def _checked(self, path: Path, instrument: str | None = None) -> Network:
        """Load a checkpoint, and check the class and the causality of its network."""
        if not path.is_file():
            size = f"size=paper instrument={instrument}" if instrument else "size=small"
            raise InputError(f"{path}: no such weights; to train them: {self._train} {size}")
        network = load_checkpoint(path)
        if not isinstance(network, tuple(record.network for record in self._records)):
            raise InputError(
                f"{path}: the file contains weights of a {type(network).__name__}, "
                f"expected weights for separator={self.name}"
            )
        return self._taken(path, network)

    def _taken(self, path: Path, network: Network) -> Network:
        """Check the causality of a network, and record the digest of its weights."""
        if self.causality == "causal" and (why := self._looks_ahead(network)):
            raise InputError(f"separator.causality: causal, but {path} {why}")
        self.weights[str(path)] = file_sha256(path)
        return network

    def _looks_ahead(self, network: Network) -> str | None:
        """Return why a network cannot be used in a causal system; None if it can be used."""
        rate_hz, reach = network.sample_rate_hz, network.reach
        if reach is None:
            return (
                "is noncausal: estimates depend on the entire mixture; separator=convtasnet "
                "separator.weights_from=official has causal networks, and train.py size=causal "
                "trains causal networks"
            )
        if rate_hz != self.sample_rate_hz:
            return (
                f"works at {rate_hz} Hz, and resampling looks ahead; expected a network at "
                f"{self.sample_rate_hz} Hz"
            )
        if reach.future > LOOK_AHEAD_S * rate_hz:
            return (
                f"looks {1e3 * reach.future / rate_hz:.1f} ms ahead, expected at most "
                f"{1e3 * LOOK_AHEAD_S:g} ms"
            )
        return None
