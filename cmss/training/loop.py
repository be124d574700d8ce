"""The training loop: resumes where it was stopped, keeps the best network on validation."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cmss.atomic import write_text
from cmss.models.checkpoint import Network, save_checkpoint
from cmss.models.outputs import ACCOMPANIMENT
from cmss.settings import Count, LearningRate, NotNegative, Steps
from cmss.text import read_text
from cmss.training.losses import Loss
from cmss.training.mixtures import Batch, RandomMixtures
from cmss.training.state import load_state, save_state

LOG_COLUMNS = (
    "step", "seconds", "training_loss", "validation_loss", "sdr_improvement_db", "haaqi",
)  # fmt: skip


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
    name: str,
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
    """Train a network, or go on training it.

    `folder` gets state.pt (to go on from), best.safetensors (the network whose loss on validation
    was lowest) and log.csv (step, seconds, losses, SDR improvement, HAAQI; for plots).

    Args:
        name: the model's name in :data:`cmss.models.registry.MODELS`.
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
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    state = _State(folder / "state.pt", model, optimizer)
    log = folder / "log.csv"
    _open_log(log, state.step)
    best_path = folder / "best.safetensors"
    began = last_saved = time.monotonic()
    # A training that was stopped early stays so when it is called again.
    steps = range(state.step, settings.steps if state.patient(settings) else state.step)
    batches = _ahead(training, steps)
    for step, batch in zip(progress(steps), batches, strict=True):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        value = _loss(model, loss, _to(batch, device), settings)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        # Before the weights are touched, or the next state would hold what cannot be gone on from.
        done = step + 1
        _check_finite(done, loss=value.item(), gradient=norm.item())
        optimizer.step()
        state.recent.append(value.item())
        if done % settings.validate_every == 0 or done == settings.steps:
            measured = validate(model, loss, validation, settings)
            _check_finite(done, validation_loss=measured[0])
            seconds = state.seconds + time.monotonic() - began
            state.validations += 1
            due = settings.haaqi_every and state.validations % settings.haaqi_every == 0
            heard = [haaqi(model)] if haaqi and due else []
            mean = sum(state.recent) / len(state.recent)
            _append_log(log, done, seconds, mean, *measured, *heard)
            state.recent.clear()
            state.since_best += 1
            if measured[0] < state.best:
                state.best, state.since_best = measured[0], 0
                save_checkpoint(best_path, name, model, torch.float16, notes)
        over = done == settings.steps or not state.patient(settings)
        if over or time.monotonic() - last_saved > settings.save_every_s:
            state.save(done, state.seconds + time.monotonic() - began)
            last_saved = time.monotonic()
        if over:
            break
    return best_path


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Rises in a straight line, then falls as half a cosine to zero at the last step."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    fall = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
    return settings.learning_rate * rise * fall


@torch.no_grad()
def validate(
    model: Network, loss: Loss, mixtures: RandomMixtures, settings: LoopSettings
) -> tuple[float, float]:
    """Mean loss, and mean improvement of the SDR of the sources over the mixture in dB."""
    model.eval()
    device = next(model.parameters()).device
    losses, improvements = [], []
    for batch in islice(_ahead(mixtures, range(settings.validation_batches)), None):
        batch = _to(batch, device)
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


def _check_finite(step: int, **values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"step {step}: {name.replace('_', ' ')} is {value}")


def _to(batch: Batch, device: torch.device) -> Batch:
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


class _State:
    """What a stopped training goes on from."""

    def __init__(self, path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.path, self.model, self.optimizer = path, model, optimizer
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self.validations, self.since_best = 0, 0  # in all, and since the best one
        self.recent: list[float] = []  # losses since the last validation
        load_state(path, self._take, "a training of this network")

    def _take(self, kept: dict[str, Any]) -> None:
        self.model.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step, self.seconds, self.best = kept["step"], kept["seconds"], kept["best"]
        self.validations, self.since_best = kept["validations"], kept["since_best"]
        self.recent = kept["recent"]

    def patient(self, settings: LoopSettings) -> bool:
        """Whether it is too early to give up."""
        return not settings.patience or self.since_best < settings.patience

    def save(self, step: int, seconds: float) -> None:
        kept = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": step,
            "seconds": seconds,
            "best": self.best,
            "validations": self.validations,
            "since_best": self.since_best,
            "recent": self.recent,
        }
        save_state(self.path, kept)


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
