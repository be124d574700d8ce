"""`separator=convtasnet`: the challenge's networks, or this project's small one."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from cmss.errors import InputError
from cmss.models.checkpoint import Network, build, load_checkpoint, sha256
from cmss.models.fourier_convtasnet import FourierConvTasNet
from cmss.scenes import Source
from cmss.separators.network import (
    Estimator,
    OneForAll,
    OnePerInstrument,
    Segments,
    chosen_device,
    output_names,
    share_out,
)
from cmss.separators.protocol import Causality, Stems
from cmss.settings import check_fields

CAUSALITIES = {"causal": "Causal", "noncausal": "NonCausal"}
TRAIN = "python recipes/cad2/train.py model=convtasnet path.root=DATA"


@dataclass
class ConvTasNetSeparator:
    """Conv-TasNet with weights from the package, the hub, or a folder.

    Args:
        sample_rate_hz: of the mixtures.
        causality: causal or noncausal.
        weights_from: `small` (in the package: one network for all instruments), `official` (the
            challenge's on the Hugging Face hub, one per instrument), a file that train.py wrote
            for all instruments, or a folder with one network per instrument: as published,
            ConvTasNet_<Instrument>_<Causal|NonCausal>/, or as train.py writes them,
            <Instrument>/best.safetensors.
        revision: of the published weights: a branch or, to pin them, a commit.
        force_redownload: ask the hub even if the weights are in its cache.
        add_residual: share of the accompaniment added to each estimate, where there is one.
        separation: how a mixture is cut, see :class:`Segments`.
        whole_voices: give each of two players of an instrument all of it, as the baseline does.
        device: None takes a GPU if there is one.

    Raises:
        InputError: no such weights, device or way of cutting.
    """

    sample_rate_hz: int
    causality: Causality = "noncausal"
    weights_from: str = "small"
    revision: str = "main"
    force_redownload: bool = False
    add_residual: float = 0.0
    separation: Mapping[str, Any] = field(default_factory=dict)
    whole_voices: bool = False
    device: str | None = None
    weights: dict[str, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._estimate = self._estimator()

    def prepare(self, sources: Iterable[Source]) -> None:
        """See :class:`Separator`."""
        self._estimate.prepare(output_names(sources))

    def separate(self, mixture: NDArray[np.float32], sources: Mapping[str, Source]) -> Stems:
        """See :class:`Separator`."""
        estimates = self._estimate(mixture, output_names(sources.values()))
        return share_out(estimates, sources, self.whole_voices)

    def _estimator(self) -> Estimator:
        check_fields("separator.separation", self.separation, Segments)
        segments = Segments(**self.separation)
        device = chosen_device(self.device)
        path = Path(self.weights_from)
        if self.weights_from == "small":
            path = Path(str(files("cmss") / "weights" / "convtasnet_small.safetensors"))
        if path.suffix == ".safetensors":
            network = self._checked(path)
            if isinstance(network, FourierConvTasNet):
                if self.add_residual:
                    raise InputError(
                        f"separator.add_residual: {self.add_residual:g}, but {path} estimates no "
                        "accompaniment that a share of could be added; expected 0"
                    )
                return OneForAll(lambda: network, self.sample_rate_hz, segments, device)
            raise InputError(
                f"{path}: separator.weights_from: the network of one instrument; expected one "
                "for all, or the folder that holds the networks of all instruments"
            )
        if self.weights_from != "official" and not path.is_dir():
            raise InputError(
                f"separator.weights_from: {self.weights_from!r}, expected small, official, a "
                f".safetensors file or a folder; to train your own: {TRAIN}"
            )
        return OnePerInstrument(
            self._load, self.sample_rate_hz, segments, device, self.add_residual
        )

    def _load(self, instrument: str) -> Network:
        """The network of one instrument."""
        name = f"ConvTasNet_{instrument}_{CAUSALITIES[self.causality]}"
        folder = Path(self.weights_from)
        if self.weights_from == "official":
            folder = self._from_hub(f"cadenzachallenge/{name}")
            network = self._published(folder)
        elif (folder / name).is_dir():
            network = self._published(folder / name)
        else:
            trained = folder / instrument / "best.safetensors"
            network = self._checked(trained, instrument)
        if isinstance(network, FourierConvTasNet) or network.arguments.C != 2:
            raise InputError(
                f"{folder}: the network for {instrument}: expected two outputs, "
                "that instrument and its accompaniment"
            )
        return network

    def _checked(self, path: Path, instrument: str | None = None) -> Network:
        """A network of this project, whose causality is the one asked for."""
        if not path.is_file():
            size = f"size=paper instrument={instrument}" if instrument else "size=small"
            raise InputError(f"{path}: no such weights; to train them: {TRAIN} {size}")
        network = load_checkpoint(path)
        causal = not isinstance(network, FourierConvTasNet) and network.arguments.causal
        if causal != (self.causality == "causal"):
            raise InputError(
                f"separator.causality: {self.causality}, but {path} is "
                f"{'causal' if causal else 'noncausal'}; separator.weights_from=official has both"
            )
        self.weights[str(path)] = sha256(path)
        return network

    def _from_hub(self, repository: str) -> Path:
        wanted = ["config.json", "model.safetensors"]
        try:
            if not self.force_redownload:
                found = snapshot_download(
                    repository, revision=self.revision, allow_patterns=wanted, local_files_only=True
                )
                if all((Path(found) / name).is_file() for name in wanted):
                    return Path(found)
        except LocalEntryNotFoundError:
            pass
        try:
            found = snapshot_download(
                repository,
                revision=self.revision,
                allow_patterns=wanted,
                force_download=self.force_redownload,
            )
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(
                f"separator.weights_from: {repository} is not in the hub's cache and could not be "
                f"downloaded ({reason}); give a folder that holds it, or use "
                "separator.weights_from=small"
            ) from error
        return Path(found)

    def _published(self, folder: Path) -> Network:
        """A network as the challenge published it: config.json and model.safetensors."""
        try:
            arguments = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            network = build("convtasnet", arguments)
            network.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, TypeError, SafetensorError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{folder}: not a published Conv-TasNet ({reason})") from error
        self.weights[str(folder / "model.safetensors")] = sha256(folder / "model.safetensors")
        return network.eval()
