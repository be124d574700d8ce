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

    Args:
        path: the file.
        take: what to do with it; raises any error where it does not fit.
        training: what it has to be of, for the message.

    Raises:
        InputError: it is damaged or does not fit.
    """
    if not path.exists():
        return
    try:
        take(torch.load(path, weights_only=True))
    except OSError:
        raise
    except Exception as error:  # of bytes that are no pickle torch.load may raise anything
        raise InputError(
            f"{path}: not the state of {training}; remove it or choose another path.exp_folder"
        ) from error
