"""Weights on disk: safetensors with what rebuilds the module. Nothing is unpickled."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cmss.errors import InputError
from cmss.models.arunet import ARUNet, ARUNetArguments
from cmss.models.convtasnet import ConvTasNet, ConvTasNetArguments
from cmss.models.demucs import Demucs, DemucsArguments
from cmss.models.fourier_convtasnet import FourierConvTasNet, FourierConvTasNetArguments
from cmss.models.hdemucs import HDemucs, HDemucsArguments
from cmss.models.htdemucs import HTDemucs, HTDemucsArguments
from cmss.models.module import ModuleArguments, ModuleNetwork
from cmss.models.multichannel_unet import MultichannelUNet, MultichannelUNetArguments
from cmss.models.network import Network
from cmss.models.roformer import Roformer, RoformerArguments
from cmss.models.waveunet import WaveUNet, WaveUNetArguments
from cmss.models.weights_file import read_weights, write_weights

MODELS: dict[str, tuple[type[Network], type[Any]]] = {
    "arunet": (ARUNet, ARUNetArguments),
    "convtasnet": (ConvTasNet, ConvTasNetArguments),
    "demucs": (Demucs, DemucsArguments),
    "fourier_convtasnet": (FourierConvTasNet, FourierConvTasNetArguments),
    "hdemucs": (HDemucs, HDemucsArguments),
    "htdemucs": (HTDemucs, HTDemucsArguments),
    "module": (ModuleNetwork, ModuleArguments),
    "multichannel_unet": (MultichannelUNet, MultichannelUNetArguments),
    "roformer": (Roformer, RoformerArguments),
    "waveunet": (WaveUNet, WaveUNetArguments),
}


def build(name: str, arguments: dict[str, Any]) -> Network:
    """A module with fresh weights.

    Args:
        name: key of :data:`MODELS`.
        arguments: fields of the model's arguments; unknown ones are a TypeError.
    """
    module, arguments_class = MODELS[name]
    return module(arguments_class(**arguments))


def save_checkpoint(
    path: Path,
    name: str,
    module: Network,
    dtype: torch.dtype | None = None,
    notes: dict[str, str] | None = None,
) -> None:
    """Write the weights of a module, its name and its arguments.

    Args:
        path: file to write, whole or not at all.
        name: key of :data:`MODELS`.
        module: an instance of that model.
        dtype: type to store floating point weights in; their own by default.
        notes: further text for the file's header, such as how it was trained.
    """
    tensors = {
        key: value.to(dtype) if dtype and value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    arguments = json.dumps(asdict(module.arguments))
    write_weights(path, tensors, {**(notes or {}), "model": name, "arguments": arguments})


def load_checkpoint(path: Path) -> Network:
    """Rebuild a module from its file, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, cut short, or not one of this project's checkpoints.
    """
    tensors, header = read_weights(path)
    if header.get("model") not in MODELS:
        raise InputError(
            f"{path}: header key 'model' is {header.get('model')!r}, expected one of "
            f"{', '.join(MODELS)}"
        )
    try:
        module = build(header["model"], json.loads(header["arguments"]))
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: header key 'arguments' does not build the model") from error
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path}: weights do not fit the arguments in its header") from error
    return module.eval()


def sha256(path: Path) -> str:
    """Digest of a file's content, by which a result names the weights it came from."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
