"""Reads and writes checkpoints: safetensors files with the weights and the arguments of a network.

Loading a checkpoint never unpickles objects.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from cmss.errors import InputError
from cmss.models import registry
from cmss.models.network import Network
from cmss.models.weights_file import matching, read_state_dicts, read_weights, write_weights

Module = TypeVar("Module", bound=nn.Module)


def build(name: str, arguments: dict[str, Any]) -> Network:
    """Build a network with initial weights.

    Args:
        name: key of :func:`cmss.models.registry.models`.
        arguments: dict from the name of each argument of the network to its value.

    Raises:
        TypeError: a key of `arguments` is not the name of an argument of the network.
    """
    module, arguments_class = registry.models()[name]
    return module(arguments_class(**arguments))


def save_checkpoint(
    path: Path,
    name: str,
    module: Any,
    dtype: torch.dtype | None = None,
    notes: dict[str, str] | None = None,
) -> None:
    """Write the weights, the name and the arguments of a network.

    Args:
        path: file to write. The file is created only when the complete content has been written.
        name: name of the network in the header of the file. For a network of cmss.models, the name
            is a key of :func:`cmss.models.registry.models`. For a post-filter, the name is
            :data:`cmss.models.postfilter_network.MODEL`.
        module: the network, with its arguments in `module.arguments`.
        dtype: data type of the stored floating-point weights; None to store the weights with their
            own data type.
        notes: further entries of the file's header, such as the settings of the training.
    """
    tensors = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    arguments = json.dumps(asdict(module.arguments))
    write_weights(path, tensors, {**(notes or {}), "model": name, "arguments": arguments})


def load_checkpoint(path: Path) -> Network:
    """Rebuild a network from a checkpoint, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, incomplete, or not a checkpoint of a network.
    """
    return rebuild(path, registry.models())


def rebuild(path: Path, models: Mapping[str, tuple[type[Module], type[Any]]]) -> Module:
    """Rebuild a module, in evaluation mode and float32, from a file of :func:`save_checkpoint`.

    Args:
        path: path of the file.
        models: dict from the module's name in the header to a tuple: the class of the module and
            the class of its arguments.

    Raises:
        InputError: the file is missing or incomplete, or `models` does not contain the name in the
            header.
    """
    tensors, header = read_weights(path)
    if header.get("model") not in models:
        expected = f"one of {', '.join(models)}" if len(models) > 1 else "".join(models)
        raise InputError(
            f"{path}: header key 'model' is {header.get('model')!r}, expected {expected}"
        )
    kind, arguments = models[header["model"]]
    try:
        module = kind(arguments(**json.loads(header["arguments"])))
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path}: header key 'arguments' does not fit the model") from error
    wanted = matching(path, {"": tensors}, module.state_dict(), "the arguments in its header")
    module.load_state_dict(wanted)
    return module.eval()


def load_weights(path: Path, module: Network) -> None:
    """Load weights from a file into a network; the file may come from another program.

    Args:
        path: path of a checkpoint of the same network, or of a state_dict with the parameter names
            of the network.
        module: the network, which is changed in place.

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
