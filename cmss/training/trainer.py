"""Trains networks and post-filters by AdamW; an interrupted training can be continued.

A :class:`Task` provides the data and the loss, and validates the network between steps. The trainer
calls only the methods of :class:`Task`, so that the same trainer serves networks and post-filters.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from cmss.errors import InputError
from cmss.files.atomic import atomic_file


def step_seed(seed: int, step: int) -> int:
    """Return a seed for a step of a training, as a function of the seed of the training."""
    return int(np.random.SeedSequence((seed, step)).generate_state(1)[0])


def warmup_and_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Return the factor of the learning rate: a linear warm-up times a cosine decay to zero."""
    rise = min(1.0, (step + 1) / max(1, warmup_steps))
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def warmup_and_line(step: int, steps: int, warmup_steps: int) -> float:
    """Return the factor of the learning rate: a linear warm-up, then a linear decay to zero."""
    return min((step + 1) / warmup_steps, (steps - step) / (steps - warmup_steps + 1))


class Task(Protocol):
    """Defines what a trainer needs: the data, the loss, and the work between training steps."""

    @property
    def finished(self) -> bool:
        """Whether the training is to stop before the last step."""
        ...

    def losses(self, steps: range) -> Iterator[Iterable[Tensor]]:
        """Yield the terms of the loss of each step; the gradients of these terms are summed."""
        ...

    def after(self, step: int, loss: float) -> None:
        """Do the work that follows a step, such as validation; steps are counted from 1."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return a dict of the values from which the task can continue."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the values of :meth:`state_dict`, and ignore other entries of `state`."""
        ...


@dataclass
class Trainer:
    """Trains a network on a task, starting from the step at which an earlier call stopped.

    The state of the training is a dictionary in one file. The entries `model` and `optimizer` are
    state dicts, `step` is the number of completed steps, `training` is a text that identifies the
    settings, and the other entries are the state dict of the task.

    Args:
        module: network that is trained in place, and stays on its device.
        task: task that provides the data and the loss, see :class:`Task`.
        state: path of the file from which an interrupted training continues.
        steps: number of training steps.
        learning_rate: learning rate of AdamW, before the schedule is applied.
        schedule: function that returns the factor of the learning rate in each step; steps are
            counted from 0.
        weight_decay: weight decay of AdamW.
        clip_norm: maximum norm of the gradient.
        save_every_s: interval in seconds at which the state is saved.
        training: text that identifies the settings. A state is refused if its entry `training`
            differs from this text. If the text is None, any state of this network is accepted.
        seed: seed of the random numbers that the network draws, such as those of dropout.

    Raises:
        InputError: the file `state` is damaged or belongs to another training.
    """

    module: nn.Module
    task: Task
    state: Path
    steps: int
    learning_rate: float
    schedule: Callable[[int], float]
    weight_decay: float
    clip_norm: float
    save_every_s: float
    training: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        load_state(self.state, self._restore, self.training)
        # Use the learning rate of the settings, and not the learning rate in the state.
        for group in self.optimizer.param_groups:
            group["initial_lr"] = self.learning_rate
        self._schedule = LambdaLR(self.optimizer, self.schedule, last_epoch=self.step - 1)

    def run(self, progress: Callable[[range], Iterable[int]] = iter) -> None:
        """Do all remaining training steps, and set the network to evaluation mode.

        Args:
            progress: function that wraps the steps with a progress bar, such as tqdm.

        Raises:
            FloatingPointError: a loss or its gradient is not finite; the message names the step,
                counted from 1.
        """
        # A training that stopped early has no steps left when it is called again.
        steps = range(self.step, self.step if self.task.finished else self.steps)
        last_saved = time.monotonic()
        losses = self.task.losses(steps)
        for _ in progress(steps):
            # A validation leaves the network in evaluation mode.
            self.module.train()
            # An interruption does not change the random numbers of later steps.
            torch.manual_seed(step_seed(self.seed, self.step))
            loss = self._update(next(losses))
            self.task.after(self.step, loss)
            over = self.step == self.steps or self.task.finished
            if over or time.monotonic() - last_saved > self.save_every_s:
                self._save()
                last_saved = time.monotonic()
            if over:
                break
        self.module.eval()

    def _update(self, losses: Iterable[Tensor]) -> float:
        self.optimizer.zero_grad()
        total = 0.0
        for loss in losses:
            loss.backward()
            total += loss.item()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
        # Check before the parameters change, so that the saved state always has finite weights.
        check_finite(self.step + 1, loss=total, gradient=norm.item())
        self.optimizer.step()
        self._schedule.step()
        self.step += 1
        return total

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.task.load_state_dict(state)
        self.step = state["step"]

    def _save(self) -> None:
        state = {
            "training": self.training,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        with atomic_file(self.state) as temporary:
            torch.save(state | self.task.state_dict(), temporary)


def load_state(
    path: Path, restore: Callable[[dict[str, Any]], None], training: str | None = None
) -> None:
    """Read the state of a training, if the file exists.

    Tensors are loaded into main memory, so that a training that began on a GPU can continue on a
    computer without a GPU.

    Args:
        path: path of the file, in the format of :class:`Trainer` or in an earlier format.
        restore: function that receives the dictionary of values, and raises an exception if the
            values do not fit the network.
        training: text that describes the training. A file with another text in its entry
            `training` is refused. If `training` is None, every text is accepted.

    Raises:
        InputError: the file is damaged, or belongs to another training.
    """
    if not path.exists():
        return
    owner = "this training" if training else "a training of this network"
    advice = "to start anew, choose another path.exp_folder"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch.load may raise anything if the bytes are not a pickle
        raise InputError(f"{path}: cannot be read as the state of {owner}; {advice}") from error
    try:
        # In an earlier format, the states of post-filters had other names, and the states of
        # networks had no entry `training`.
        names = {"network": "model", "optimiser": "optimizer"}
        state = {names.get(name, name): value for name, value in state.items()}
        if training and state["training"] != training:
            raise ValueError(
                f"the state belongs to the training {state['training']}, expected {training}"
            )
        restore(state)
    except Exception as error:  # the values of another training may be anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path}: not the state of {owner} ({reason}); {advice}") from error


def check_finite(step: int, **values: float) -> None:
    """Raise an error if the loss, or another value of a step, is NaN or infinite.

    Raises:
        FloatingPointError: a value is not finite; the message states the step, the name of the
            value, and the value.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"step {step}: {name.replace('_', ' ')} is {value}")
