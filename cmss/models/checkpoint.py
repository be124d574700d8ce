"""Weights on disk: safetensors with what rebuilds the module. Nothing is unpickled."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from cmss.atomic import atomic_file
from cmss.errors import InputError
from cmss.models.arunet import ARUNet, ARUNetArguments
from cmss.models.convtasnet import ConvTasNet, ConvTasNetArguments
from cmss.models.fourier_convtasnet import FourierConvTasNet, FourierConvTasNetArguments
from cmss.models.multichannel_unet import MultichannelUNet, MultichannelUNetArguments
from cmss.models.waveunet import WaveUNet, WaveUNetArguments

Network = ARUNet | ConvTasNet | FourierConvTasNet | MultichannelUNet | WaveUNet

MODELS: dict[str, tuple[type[Network], type[Any]]] = {
    "arunet": (ARUNet, ARUNetArguments),
    "convtasnet": (ConvTasNet, ConvTasNetArguments),
    "fourier_convtasnet": (FourierConvTasNet, FourierConvTasNetArguments),
    "multichannel_unet": (MultichannelUNet, MultichannelUNetArguments),
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
        key: (value.to(dtype) if dtype and value.is_floating_point() else value).contiguous()
        for key, value in module.state_dict().items()
    }
    arguments = json.dumps(asdict(module.arguments))
    header = {**(notes or {}), "model": name, "arguments": arguments}
    with atomic_file(path) as temporary:
        temporary.write_bytes(_in_order(save(tensors, header)))


def _in_order(content: bytes) -> bytes:
    """Sort the notes in the header of a safetensors file.

    The library writes them in an order that differs from call to call; equal weights would have
    different digests. The header is JSON behind its length in 8 bytes, padded to a multiple of 8.
    """
    data = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:data])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[data:]


def load_checkpoint(path: Path) -> Network:
    """Rebuild a module from its file, in evaluation mode and float32.

    Raises:
        InputError: the file is missing, cut short, or not one of this project's checkpoints.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
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
