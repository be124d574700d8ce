"""Trains a network, validates it, logs the losses, and keeps the network with the lowest loss."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cmss.files.atomic import write_text
from cmss.files.text import read_text
from cmss.machine.precision import Precision, autocast
from cmss.models.checkpoint import Network, save_checkpoint
from cmss.models.outputs import ACCOMPANIMENT
from cmss.settings import Count, LearningRate, NotNegative, Steps
from cmss.training.curves import Curves, curves_in
from cmss.training.losses import Loss
from cmss.training.mixtures import Batch, Mixtures
from cmss.training.trainer import Trainer, check_finite, warmup_and_cosine

LOG_COLUMNS = (
    "step", "seconds", "training_loss", "validation_loss", "sdr_improvement_db", "haaqi",
)  # fmt: skip


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the section `loop`, such as the number of steps and the learning rate.

    Args:
        steps: number of training steps, each with one batch. The learning rate falls to zero over
            all training steps, along half a period of a cosine.
        learning_rate: maximum of the learning rate, which is reached after `warmup_steps`.
        warmup_steps: number of steps over which the learning rate rises.
        weight_decay: weight decay of AdamW.
        clip_norm: maximum norm of the gradient.
        precision: precision of the convolutions and matrix products, see
            :func:`cmss.machine.precision.autocast`.
        validate_every: number of steps between validations.
        validation_batches: number of batches in a validation; every validation uses the same
            batches.
        patience: the training stops after this number of successive validations without a lower
            loss; 0 for no early stop.
        haaqi_every: number of validations from one measurement of HAAQI to the next; 0 for no
            measurements.
        save_every_s: interval in seconds at which the state of the training is saved.
    """

    steps: Steps
    learning_rate: LearningRate
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: NotNegative
    clip_norm: Annotated[float, Field(gt=0)]
    precision: Precision
    validate_every: Count
    validation_batches: Steps
    patience: Annotated[int, Field(ge=0)]
    haaqi_every: Annotated[int, Field(ge=0)]
    save_every_s: NotNegative


def train(
    model: Network,
    loss: Loss,
    training: Mixtures,
    validation: Mixtures,
    settings: LoopSettings,
    folder: Path,
    progress: Callable = lambda steps, **_: steps,
    notes: dict[str, str] | None = None,
    haaqi: Callable[[Network], float] | None = None,
    seed: int = 0,
) -> Path:
    """Train a network, or continue its training.

    Three files are written to `folder`. The file state.pt contains the state from which the
    training can continue. The file best.safetensors contains the weights with the lowest validation
    loss. The file log.csv has the columns :data:`LOG_COLUMNS`. :mod:`cmss.training.curves` shows
    the progress of the training.

    Args:
        model: network to train. The network must already be on the device of the training.
        loss: loss to minimise.
        training: random mixtures for the training.
        validation: random mixtures for the validation.
        settings: settings of the training.
        folder: folder to which the state, the weights and the log are written.
        progress: function that wraps the steps with a progress bar, such as tqdm.
        notes: dict of entries for the header of the weights file.
        haaqi: function that measures HAAQI with the network, for the log; required if
            `settings.haaqi_every` > 0.
        seed: seed of the random numbers that the network draws, such as those of dropout.

    Returns:
        Path of best.safetensors.

    Raises:
        FloatingPointError: a loss or its gradient is not finite; the message names the step.
        InputError: `folder` contains the state of another network.
    """

    def schedule(step: int) -> float:
        return warmup_and_cosine(step, settings.steps, settings.warmup_steps)

    task = _NetworkTask(model, loss, training, validation, settings, folder, notes, haaqi)
    trainer = Trainer(
        model,
        task,
        folder / "state.pt",
        settings.steps,
        settings.learning_rate,
        schedule,
        settings.weight_decay,
        settings.clip_norm,
        settings.save_every_s,
        seed=seed,
    )
    # The log may contain steps after the step of the saved state. These steps are computed again,
    # so their lines are removed from the log.
    rows = read_text(task.log).splitlines()[1:] if task.log.exists() else []
    kept = [row for row in rows if int(row.split(",")[0]) <= trainer.step]
    write_text(task.log, "\n".join((",".join(LOG_COLUMNS), *kept, "")))
    # The schedule counts steps from 0.
    task.learning_rate = lambda step: settings.learning_rate * schedule(step - 1)
    task.curves = curves_in(folder, trainer.step, task.learning_rate)
    trainer.run(progress)
    return task.best_path


@dataclass(frozen=True)
class Validation:
    """Holds the results of a validation.

    Args:
        loss: mean of the loss.
        sdr_improvement_db: mean SDR improvement over all sources. The SDR improvement is the SDR of
            an estimate minus the SDR of the mixture.
        sdr_improvement_of_db: dict from the name of a source to the mean SDR improvement of this
            source. The dict contains only sources that play in at least one example.
    """

    loss: float
    sdr_improvement_db: float
    sdr_improvement_of_db: dict[str, float]


@dataclass
class _NetworkTask:
    """Trains on random mixtures, logs validations, and saves the network with the lowest loss."""

    model: Network
    loss: Loss
    training: Mixtures
    validation: Mixtures
    settings: LoopSettings
    folder: Path
    notes: dict[str, str] | None
    haaqi: Callable[[Network], float] | None

    def __post_init__(self) -> None:
        self.log, self.best_path = self.folder / "log.csv", self.folder / "best.safetensors"
        self.began = time.monotonic()
        self.best = math.inf  # lowest validation loss
        # Number of all validations, and number of validations since the lowest loss.
        self.validations, self.since_best = 0, 0
        self.recent: list[float] = []  # training losses since the last validation
        self.curves: Curves
        self.learning_rate: Callable[[int], float]

    @property
    def finished(self) -> bool:
        return 0 < self.settings.patience <= self.since_best

    def losses(self, steps: range) -> Iterator[list[Tensor]]:
        for batch in _prefetched(self.training, steps, self.model):
            yield [_loss(self.model, self.loss, batch, self.settings)]

    def after(self, step: int, loss: float) -> None:
        self.recent.append(loss)
        self.curves.trained(step, loss, self.learning_rate(step))
        if step % self.settings.validate_every == 0 or step == self.settings.steps:
            self._validate(step)

    def _validate(self, step: int) -> None:
        result = validate(self.model, self.loss, self.validation, self.settings)
        check_finite(step, validation_loss=result.loss)
        seconds = time.monotonic() - self.began
        self.validations += 1
        every = self.settings.haaqi_every
        due = self.haaqi and every and self.validations % every == 0
        scores = {"HAAQI": self.haaqi(self.model)} if self.haaqi and due else {}
        training_loss = sum(self.recent) / len(self.recent)
        values = [training_loss, result.loss, result.sdr_improvement_db, *scores.values()]
        row = [str(step), str(round(seconds)), *(f"{value:.5f}" for value in values)]
        row += [""] * (len(LOG_COLUMNS) - len(row))
        with self.log.open("a") as file:
            file.write(",".join(row) + "\n")
        self._show(step, result, scores)
        self.recent.clear()
        self.since_best += 1
        if result.loss < self.best:
            self.best, self.since_best = result.loss, 0
            name = self.model.model_name
            save_checkpoint(self.best_path, name, self.model, torch.float16, self.notes)

    @torch.no_grad()
    def _show(self, step: int, result: Validation, scores: dict[str, float]) -> None:
        """Show the results of a validation, and the estimates for two mixtures."""
        of_instrument = result.sdr_improvement_of_db.items()
        self.curves.validated(
            step,
            {
                "loss/validation": result.loss,
                "SDR improvement/mean": result.sdr_improvement_db,
                **{f"SDR improvement/{name}": value for name, value in of_instrument},
                **scores,
            },
        )
        if not self.curves.has_sounds:
            return
        (batch,) = _prefetched(self.validation, range(1), self.model)
        present = batch.present(len(self.model.sources))  # (B, S)
        for number in range(min(2, len(present))):
            mixture = batch.mixture[number]
            estimates = self.model(mixture[None], present[number : number + 1])[0]  # (S, 2, T)
            signals = {f"example {number + 1}/mixture": mixture} | {
                f"example {number + 1}/{name}": estimate
                for name, estimate, plays in zip(
                    self.model.sources, estimates, present[number], strict=True
                )
                if plays
            }
            self.curves.sounds(step, signals, self.model.sample_rate_hz)

    def state_dict(self) -> dict[str, Any]:
        return {
            "seconds": time.monotonic() - self.began,
            "best": self.best,
            "validations": self.validations,
            "since_best": self.since_best,
            "recent": self.recent,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.began -= state["seconds"]
        self.best, self.recent = state["best"], state["recent"]
        self.validations, self.since_best = state["validations"], state["since_best"]


@torch.no_grad()
def validate(model: Network, loss: Loss, mixtures: Mixtures, settings: LoopSettings) -> Validation:
    """Measure the loss and the SDR improvement of a network on the validation batches."""
    model.eval()
    losses, improvements = [], []
    for batch in _prefetched(mixtures, range(settings.validation_batches), model):
        losses.append(_loss(model, loss, batch, settings).item())
        improvements.append(sdr_improvement(model, batch))
    of_sources = torch.cat(improvements)  # (examples, S)
    means = of_sources.nanmean(0).tolist()
    return Validation(
        sum(losses) / len(losses),
        of_sources.nanmean().item(),
        {name: mean for name, mean in zip(model.sources, means, strict=True) if mean == mean},
    )


def sdr_improvement(model: Network, batch: Batch) -> Tensor:
    """Return the SDR improvement in dB of each source of each example, a tensor (B, S).

    The SDR improvement is SDR(estimate) - SDR(mixture). This difference equals the ratio of the
    energy of (mixture - stem) to the energy of (estimate - stem), in dB. The value of a source that
    does not play is NaN.
    """
    targets = batch.targets(len(model.sources))  # (B, S, 2, T)
    estimates = model(batch.mixture, batch.present(len(model.sources)))
    # The accompaniment is an output of the network, but not a source.
    sources = torch.tensor([name != ACCOMPANIMENT for name in model.sources], device=targets.device)
    playing = sources & (targets.abs().amax((2, 3)) > 1e-4)  # (B, S)
    before = (batch.mixture.unsqueeze(1) - targets).square().sum((2, 3))
    after = (estimates - targets).square().sum((2, 3))
    improvement = 10 * torch.log10((before + 1e-9) / (after + 1e-9))
    return improvement.where(playing, torch.nan)


def _loss(model: Network, loss: Loss, batch: Batch, settings: LoopSettings) -> Tensor:
    with autocast(settings.precision, batch.stems.device.type):
        return loss(model, batch)


def _prefetched(mixtures: Mixtures, steps: range, model: Network) -> Iterator[Batch]:
    """Yield the batch of each step on the model's device.

    A thread draws the next three batches while the network processes the current batch.
    """
    device = next(model.parameters()).device
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(mixtures.batch, step) for step in steps[:3]]
        for step in steps:
            batch = waiting.pop(0).result()
            if step + 3 < steps.stop:
                waiting.append(pool.submit(mixtures.batch, step + 3))
            yield Batch(batch.stems.to(device), batch.index.to(device), batch.gains.to(device))
