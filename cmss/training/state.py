"""The file that a stopped training goes on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cmss.atomic import atomic_file
from cmss.errors import InputError


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and text by name, whole or not at all."""
    with atomic_file(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, take: Callable[[dict[str, Any]], None], training: str) -> None:
    """Take up what :func:`save_state` wrote, unless there is no such file.

    Tensors come to the processor, wherever they were when they were saved: a training goes on with
    or without the GPU that it began on.

    Args:
        path: the file.
        take: what to do with it; raises any error where it does not fit.
        training: what it has to be of, for the message.

    Raises:
        InputError: it is damaged or does not fit.
    """
    if not path.exists():
        return
    another = "to start anew, choose another path.exp_folder"
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of bytes that are no pickle torch.load may raise anything
        raise InputError(f"{path}: cannot be read as the state of {training}; {another}") from error
    try:
        take(kept)
    except Exception as error:  # whatever may be wrong with what was kept of another training
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not the state of {training} ({reason}); {another}") from error
