"""Training of a network: validates, logs, and keeps the best network on validation."""

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
from cmss.models.checkpoint import Network, save_checkpoint
from cmss.models.outputs import ACCOMPANIMENT
from cmss.settings import Count, LearningRate, NotNegative, Steps
from cmss.training.losses import Loss
from cmss.training.mixtures import Batch, RandomMixtures
from cmss.training.trainer import Trainer, check_finite, warmup_and_cosine

LOG_COLUMNS = (
    "step", "seconds", "training_loss", "validation_loss", "sdr_improvement_db", "haaqi",
)  # fmt: skip


COUNTERS = ("best", "validations", "since_best", "recent")
"""What the state of a training keeps of the validations."""


@dataclass(frozen=True)
class LoopSettings:
    """The section `loop`: how long and how fast to train.

    Args:
        steps: batches in all; the learning rate falls to zero over them (half a cosine).
        learning_rate: its highest value, reached after `warmup_steps`.
        warmup_steps: steps over which the learning rate rises.
        weight_decay: of AdamW.
        clip_norm: largest norm of the gradient.
        bfloat16: run the network's convolutions in bfloat16.
        validate_every: steps between validations.
        validation_batches: fixed batches that are validated on.
        patience: validations without a lower loss after which to stop; 0 goes on to the end.
        haaqi_every: validations from one measurement of HAAQI to the next; 0 never measures it.
        save_every_s: seconds between saved states.
    """

    steps: Steps
    learning_rate: LearningRate
    warmup_steps: Annotated[int, Field(ge=0)]
    weight_decay: NotNegative
    clip_norm: Annotated[float, Field(gt=0)]
    bfloat16: bool
    validate_every: Count
    validation_batches: Steps
    patience: Annotated[int, Field(ge=0)]
    haaqi_every: Annotated[int, Field(ge=0)]
    save_every_s: NotNegative


def train(
    model: Network,
    loss: Loss,
    training: RandomMixtures,
    validation: RandomMixtures,
    settings: LoopSettings,
    folder: Path,
    progress: Callable = lambda steps, **_: steps,
    notes: dict[str, str] | None = None,
    haaqi: Callable[[Network], float] | None = None,
) -> Path:
    """Train a network, or continue its training.

    `folder` gets state.pt (to continue from), best.safetensors (the network whose loss on
    validation was lowest) and log.csv (step, seconds, losses, SDR improvement, HAAQI; for plots).

    Args:
        model: the network, on the device to train on.
        loss: what to minimise.
        training: batches to train on.
        validation: batches to validate on.
        settings: how long and how fast.
        folder: where state, weights and log go.
        progress: wraps the steps, such as tqdm.
        notes: text for the header of the weights.
        haaqi: measures HAAQI with the network, for the log; needed if `settings.haaqi_every` is.

    Returns:
        the path of best.safetensors.

    Raises:
        FloatingPointError: a loss or its gradient is not finite; names the step as the log does.
        InputError: `folder` holds the state of another network.
    """
    task = _NetworkTask(model, loss, training, validation, settings, folder, notes, haaqi)
    trainer = Trainer(
        model,
        task,
        folder / "state.pt",
        settings.steps,
        settings.learning_rate,
        lambda step: warmup_and_cosine(step, settings.steps, settings.warmup_steps),
        settings.weight_decay,
        settings.clip_norm,
        settings.save_every_s,
    )
    _open_log(task.log, trainer.step)
    trainer.run(progress)
    return task.best_path


@dataclass
class _NetworkTask:
    """Random mixtures, and validations that are logged and choose the best network."""

    model: Network
    loss: Loss
    training: RandomMixtures
    validation: RandomMixtures
    settings: LoopSettings
    folder: Path
    notes: dict[str, str] | None
    haaqi: Callable[[Network], float] | None

    def __post_init__(self) -> None:
        self.log, self.best_path = self.folder / "log.csv", self.folder / "best.safetensors"
        self.began = time.monotonic()
        self.best = math.inf  # lowest loss on validation
        self.validations, self.since_best = 0, 0  # in all, and since the best one
        self.recent: list[float] = []  # losses since the last validation

    @property
    def finished(self) -> bool:
        return 0 < self.settings.patience <= self.since_best

    def losses(self, steps: range) -> Iterator[list[Tensor]]:
        for batch in _ahead(self.training, steps):
            yield [_loss(self.model, self.loss, _to(batch, self.model), self.settings)]

    def after(self, step: int, loss: float) -> None:
        self.recent.append(loss)
        if step % self.settings.validate_every == 0 or step == self.settings.steps:
            self._validate(step)

    def _validate(self, step: int) -> None:
        measured = validate(self.model, self.loss, self.validation, self.settings)
        check_finite(step, validation_loss=measured[0])
        seconds = self.seconds
        self.validations += 1
        every = self.settings.haaqi_every
        due = self.haaqi and every and self.validations % every == 0
        scores = [self.haaqi(self.model)] if self.haaqi and due else []
        mean = sum(self.recent) / len(self.recent)
        _append_log(self.log, step, seconds, mean, *measured, *scores)
        self.recent.clear()
        self.since_best += 1
        if measured[0] < self.best:
            self.best, self.since_best = measured[0], 0
            name = self.model.model_name
            save_checkpoint(self.best_path, name, self.model, torch.float16, self.notes)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, **{name: getattr(self, name) for name in COUNTERS}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.began -= state["seconds"]
        for name in COUNTERS:
            setattr(self, name, state[name])


@torch.no_grad()
def validate(
    model: Network, loss: Loss, mixtures: RandomMixtures, settings: LoopSettings
) -> tuple[float, float]:
    """Mean loss, and mean improvement of the SDR of the sources over the mixture in dB."""
    model.eval()
    losses, improvements = [], []
    for batch in _ahead(mixtures, range(settings.validation_batches)):
        batch = _to(batch, model)
        losses.append(_loss(model, loss, batch, settings).item())
        improvements.append(sdr_improvement(model, batch))
    return sum(losses) / len(losses), torch.cat(improvements).mean().item()


def sdr_improvement(model: Network, batch: Batch) -> Tensor:
    """Improvement in dB of each source that plays: 10 log10 of the ratio of the error energies."""
    wanted = batch.wanted(len(model.sources))
    estimates = model(batch.mixture, batch.present(len(model.sources)))
    # What goes with a target is not a source.
    sources = torch.tensor([name != ACCOMPANIMENT for name in model.sources], device=wanted.device)
    playing = sources & (wanted.abs().amax((2, 3)) > 1e-4)
    before = (batch.mixture.unsqueeze(1) - wanted).square().sum((2, 3))
    after = (estimates - wanted).square().sum((2, 3))
    return 10 * torch.log10((before[playing] + 1e-9) / (after[playing] + 1e-9))


def _loss(model: Network, loss: Loss, batch: Batch, settings: LoopSettings) -> Tensor:
    with torch.autocast(batch.stems.device.type, torch.bfloat16, enabled=settings.bfloat16):
        return loss(model, batch)


def _to(batch: Batch, model: Network) -> Batch:
    device = next(model.parameters()).device
    return Batch(batch.stems.to(device), batch.index.to(device), batch.gains.to(device))


def _ahead(mixtures: RandomMixtures, steps: range, depth: int = 3) -> Iterator[Batch]:
    """Batches of some steps, drawn in a thread while the network works on earlier ones."""
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(mixtures.batch, step) for step in steps[:depth]]
        for step in steps:
            batch = waiting.pop(0).result()
            if step + depth < steps.stop:
                waiting.append(pool.submit(mixtures.batch, step + depth))
            yield batch


def _open_log(path: Path, step: int) -> None:
    """Keep the rows up to a step: those after it were written later than the state was."""
    rows = read_text(path).splitlines()[1:] if path.exists() else []
    kept = [row for row in rows if int(row.split(",")[0]) <= step]
    write_text(path, "\n".join((",".join(LOG_COLUMNS), *kept, "")))


def _append_log(path: Path, step: int, seconds: float, *values: float) -> None:
    row = [str(step), str(round(seconds)), *(f"{value:.5f}" for value in values)]
    row += [""] * (len(LOG_COLUMNS) - len(row))
    with path.open("a") as file:
        file.write(",".join(row) + "\n")
