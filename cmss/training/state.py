"""The file from which a stopped training continues: one format for every trainer.

It maps names to values: `model` and `optimizer` are their state dicts, `step` counts the steps
made, `training` is a text that identifies the settings (or None), and the rest belongs to the task
(:class:`cmss.training.trainer.Task`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cmss.errors import InputError
from cmss.files.atomic import atomic_file

OLD_NAMES = {"network": "model", "optimiser": "optimizer"}
"""Names in the files that the training of post-filters once wrote. Those of networks are the same
as now, but without `training`."""


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers and text by name, completely or not at all."""
    with atomic_file(path) as temporary:
        torch.save(state, temporary)


def load_state(
    path: Path, restore: Callable[[dict[str, Any]], None], training: str | None = None
) -> None:
    """Read what :func:`save_state` wrote, if there is such a file.

    Tensors are loaded into main memory, wherever they were when they were saved: a training
    continues with or without the GPU that it began on.

    Args:
        path: the file, in this format or an earlier one.
        restore: takes the values by name; raises any error if they do not fit.
        training: text that the state must have; None: any.

    Raises:
        InputError: the file is damaged or does not fit.
    """
    if not path.exists():
        return
    owner = "this training" if training else "a training of this network"
    another = "to start anew, choose another path.exp_folder"
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of bytes that are no pickle torch.load may raise anything
        raise InputError(f"{path}: cannot be read as the state of {owner}; {another}") from error
    try:
        kept = {OLD_NAMES.get(name, name): value for name, value in kept.items()}
        if training and kept["training"] != training:
            raise ValueError(f"it is of {kept['training']}, expected {training}")
        restore(kept)
    except Exception as error:  # whatever may be wrong with what was kept of another training
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not the state of {owner} ({reason}); {another}") from error
