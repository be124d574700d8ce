"""The file from which a stopped training continues: one format for every trainer.

It maps names to values: `model` and `optimizer` are their state dicts, `step` counts the steps
made, `training` is a text that identifies the settings (or None), and the rest belongs to the task
(:class:`cmss.training.trainer.Task`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cmss.atomic import atomic_file
from cmss.errors import InputError

OLD_NAMES = {"network": "model", "optimiser": "optimizer"}
"""Names in the files that the training of post-filters once wrote. Those of networks are the same
as now, but without `training`."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and text by name, completely or not at all."""
    with atomic_file(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, take: Callable[[dict[str, Any]], None], training: str) -> None:
    """Read what :func:`save_state` wrote, if there is such a file.

    Tensors are loaded into main memory, wherever they were when they were saved: a training
    continues with or without the GPU that it began on.

    Args:
        path: the file; earlier formats are converted.
        take: restores the state; raises any error if it does not fit.
        training: what the state has to belong to, for the message.

    Raises:
        InputError: the file is damaged or does not fit.
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
        take({OLD_NAMES.get(name, name): value for name, value in kept.items()})
    except Exception as error:  # whatever may be wrong with what was kept of another training
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not the state of {training} ({reason}); {another}") from error


def check_training(expected: str | None, kept: dict[str, Any]) -> None:
    """Compare the text that identifies a training with that in its state.

    Raises:
        ValueError: they differ; None as the expected text accepts any.
    """
    if expected is not None and kept["training"] != expected:
        raise ValueError(f"it is of {kept['training']}, expected {expected}")
