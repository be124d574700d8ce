"""Base class of all networks; loads and saves networks in the format of the Hugging Face hub.

A network is saved as a folder with two files. The file `config.json` contains the name and the
arguments of the network, in the format of the networks that the challenge published. The file
`model.safetensors` is a checkpoint.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from huggingface_hub import ModelHubMixin, hf_hub_download
from torch import nn

from cmss.errors import InputError
from cmss.models.weights_file import matching, read_weights, write_weights
from cmss.transforms.overlap_add import Reach

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class Network(
    nn.Module,
    ModelHubMixin,
    library_name="cmss",
    license="mit",
    pipeline_tag="audio-to-audio",
    tags=["audio-source-separation", "music", "cadenza-challenge"],
):
    """Base class of separation networks; a dataclass contains the arguments of a network.

    The methods `save_pretrained(folder)`, `from_pretrained(folder or name in the hub)` and
    `push_to_hub(name)` are inherited from huggingface_hub.

    Args:
        arguments: arguments of the network, with at least `samplerate`.

    Shape:
        The mixture has the shape (B, 2, T). The optional bool tensor `present` has the shape (B,
        S); by default, all sources are present. The output has the shape (B, S, 2, T).
    """

    model_name: ClassVar[str]
    """Name of the network in checkpoints, a key of :func:`cmss.models.registry.models`."""

    def __init__(self, arguments: Any) -> None:
        super().__init__()
        self.arguments = arguments

    @property
    def sample_rate_hz(self) -> int:
        """Sampling rate of the network in Hz."""
        return self.arguments.samplerate

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the outputs in order."""
        return self.arguments.sources

    @property
    def reach(self) -> Reach | None:
        """Receptive field in samples at `sample_rate_hz`; None for an unbounded receptive field."""
        return None

    def save_config(self, folder: Path) -> None:
        """Write the name and the arguments of the network to config.json."""
        config = {"model": self.model_name, **asdict(self.arguments)}
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _save_pretrained(self, save_directory: Path) -> None:
        header = {"model": self.model_name, "arguments": json.dumps(asdict(self.arguments))}
        write_weights(save_directory / WEIGHTS, self.state_dict(), header)
        self.save_config(save_directory)

    @classmethod
    def _from_pretrained(
        cls, *, model_id: str, config: dict[str, Any] | None = None, **hub: Any
    ) -> Self:
        """Load a network in evaluation mode and float32; `ModelHubMixin` calls this method.

        Raises:
            InputError: a file is missing or damaged, or a file belongs to another network.
        """
        if config is None:
            raise InputError(f"{model_id}: no {CONFIG}, so not a published network")
        # The networks that the challenge published are Conv-TasNets. Their configuration has no key
        # `model`.
        arguments = {"model": cls.model_name, **config}
        if (name := arguments.pop("model")) != cls.model_name:
            raise InputError(f"{model_id}: {CONFIG}: model: {name!r}, expected {cls.model_name!r}")
        try:
            network = cls(get_type_hints(cls.__init__)["arguments"](**arguments))
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{model_id}: {CONFIG}: the entries are not valid arguments of {name} ({error})"
            ) from error
        folder = Path(model_id)
        path = folder / WEIGHTS
        if not folder.is_dir():
            path = Path(hf_hub_download(model_id, WEIGHTS, **hub))
        tensors, _ = read_weights(path)
        expected = network.state_dict()
        network.load_state_dict(
            matching(path, {"": tensors}, expected, f"the network that {CONFIG} describes")
        )
        return network.eval()
