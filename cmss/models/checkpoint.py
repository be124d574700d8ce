"""Checkpoints: a safetensors file with weights and the arguments that rebuild the network.

Nothing is unpickled.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cmss.errors import InputError
from cmss.models import registry  # as a module: its names are not defined yet during its import
from cmss.models.network import Network
from cmss.models.state_dicts import matching, read_state_dicts
from cmss.models.weights_file import read_weights, write_weights


def build(name: str, arguments: dict[str, Any]) -> Network:
    """Build a network with initial weights.

    Args:
        name: key of :data:`cmss.models.registry.MODELS`.
        arguments: fields of the class of its arguments.

    Raises:
        TypeError: an argument is unknown.
    """
    module, arguments_class = registry.MODELS[name]
    return module(arguments_class(**arguments))


def save_checkpoint(
    path: Path,
    name: str,
    module: Network,
    dtype: torch.dtype | None = None,
    notes: dict[str, str] | None = None,
) -> None:
    """Write the weights of a network, its name and its arguments.

    Args:
        path: file to write; it appears only once it is complete.
        name: key of :data:`cmss.models.registry.MODELS`.
        module: an instance of this network.
        dtype: type in which floating-point weights are stored; unchanged by default.
        notes: further text for the file's header, such as the training command.
    """
    tensors = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    arguments = json.dumps(asdict(module.arguments))
    write_weights(path, tensors, {**(notes or {}), "model": name, "arguments": arguments})


def load_checkpoint(path: Path) -> Network:
    """Rebuild a network from its checkpoint, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, incomplete, or not a checkpoint of this project.
    """
    tensors, header = read_weights(path)
    if header.get("model") not in registry.MODELS:
        raise InputError(
            f"{path}: header key 'model' is {header.get('model')!r}, expected one of "
            f"{', '.join(registry.MODELS)}"
        )
    try:
        module = build(header["model"], json.loads(header["arguments"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: header key 'arguments' does not build the model") from error
    expected = module.state_dict()
    module.load_state_dict(matching(path, {"": tensors}, expected, "the arguments in its header"))
    return module.eval()


def load_weights(path: Path, module: Network) -> None:
    """Load weights into a network from a file, which may come from another program.

    Args:
        path: a checkpoint of the same network, or a state_dict with the network's names.
        module: the network, changed in place.

    Raises:
        InputError: the file is missing, unreadable, or belongs to another network.
    """
    found, header = read_state_dicts(path)
    wanted = "this model and size"
    if "model" not in header:
        module.load_state_dict(matching(path, found, module.state_dict(), wanted))
        return
    given = load_checkpoint(path)
    if type(given) is not type(module) or given.arguments != module.arguments:
        raise InputError(f"{path}: holds another network than {wanted}")
    module.load_state_dict(given.state_dict())


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file; results record it to identify their weights."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
