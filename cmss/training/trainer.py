"""The trainer of networks and of post-filters: AdamW, a schedule, and a state to continue from.

A :class:`Task` has the data, the loss and whatever is measured between steps; the trainer knows
nothing about them.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from cmss.training.state import load_state, save_state


def warmup_and_cosine(step: int, steps: int, warmup_steps: int) -> float:
    """Factor that rises linearly over `warmup_steps`, times half a cosine to zero at `steps`."""
    rise = min(1.0, (step + 1) / max(1, warmup_steps))
    return rise * 0.5 * (1 + math.cos(math.pi * step / steps))


def warmup_and_line(step: int, steps: int, warmup_steps: int) -> float:
    """Factor that rises linearly over `warmup_steps`, then falls linearly to zero at `steps`."""
    return min((step + 1) / warmup_steps, (steps - step) / (steps - warmup_steps + 1))


class Task(Protocol):
    """What is trained on, and what happens between steps."""

    @property
    def finished(self) -> bool:
        """Whether to stop before the last step."""
        ...

    def losses(self, steps: range) -> Iterator[Iterable[Tensor]]:
        """Yield the terms of each step's loss; their gradients are added up one by one."""
        ...

    def after(self, step: int, loss: float) -> None:
        """Do what is due after a step, the first being 1."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What is needed to continue: tensors, numbers and text by name."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore it; other names in `state` are ignored."""
        ...


@dataclass
class Trainer:
    """Trains a module on a task, from the step at which an earlier call stopped.

    Args:
        module: trained in place, on the device where it is.
        task: see :class:`Task`.
        state: file from which a stopped training continues.
        steps: number of updates.
        learning_rate: of AdamW.
        schedule: factor of the learning rate in each step, the first being 0.
        weight_decay: of AdamW.
        clip_norm: largest norm of the gradient.
        save_every_s: seconds between saved states.
        training: text that identifies the settings; a state with another text is refused. None:
            any state of this module is accepted.

    Raises:
        InputError: `state` is damaged or belongs to another training.
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

    def __post_init__(self) -> None:
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(), self.learning_rate, weight_decay=self.weight_decay
        )
        load_state(self.state, self._restore, self.training)
        # The rate is that of the settings, whatever it was when the state was saved.
        for group in self.optimizer.param_groups:
            group["initial_lr"] = self.learning_rate
        self._schedule = LambdaLR(self.optimizer, self.schedule, last_epoch=self.step - 1)

    def run(self, progress: Callable[[range], Iterable[int]] = iter) -> None:
        """Make all steps that are left; the module is in evaluation mode afterwards.

        Args:
            progress: wraps the steps, such as tqdm.

        Raises:
            FloatingPointError: a loss or its gradient is not finite; names the step, from 1.
        """
        # A training that was stopped early stays so when it is called again.
        steps = range(self.step, self.step if self.task.finished else self.steps)
        last_saved = time.monotonic()
        for _, losses in zip(progress(steps), self.task.losses(steps), strict=True):
            loss = self._update(losses)
            self.task.after(self.step, loss)
            over = self.step == self.steps or self.task.finished
            if over or time.monotonic() - last_saved > self.save_every_s:
                self._save()
                last_saved = time.monotonic()
            if over:
                break
        self.module.eval()

    def _update(self, losses: Iterable[Tensor]) -> float:
        self.module.train()
        self.optimizer.zero_grad()
        total = 0.0
        for loss in losses:
            loss.backward()
            total += loss.item()
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
        # Before the parameters change, or the next state would be one that cannot be continued.
        check_finite(self.step + 1, loss=total, gradient=norm.item())
        self.optimizer.step()
        self._schedule.step()
        self.step += 1
        return total

    def _restore(self, kept: dict[str, Any]) -> None:
        self.module.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.task.load_state_dict(kept)
        self.step = kept["step"]

    def _save(self) -> None:
        kept = {
            "training": self.training,
            "model": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        save_state(self.state, kept | self.task.state_dict())


def check_finite(step: int, **values: float) -> None:
    """Stop at a step whose loss, or another value, is NaN or infinite.

    Raises:
        FloatingPointError: names the step, the value's name and the value.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"step {step}: {name.replace('_', ' ')} is {value}")
