"""Tensors on disk: safetensors, so that nothing is unpickled, with a header of text."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cmss.atomic import atomic_file
from cmss.errors import InputError


def write_weights(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Write tensors and a header; equal ones give equal bytes.

    Args:
        path: file to write, whole or not at all.
        tensors: by name.
        header: text by key.
    """
    contiguous = {key: value.contiguous() for key, value in tensors.items()}
    with atomic_file(path) as temporary:
        temporary.write_bytes(_in_order(save(contiguous, dict(header))))


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


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, as float32 whatever they are stored in, and the header.

    Raises:
        InputError: the file is missing or cut short, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error})") from error
