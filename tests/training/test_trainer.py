"""The trainer: its learning rates, and the states that earlier versions have written."""

import math
from contextlib import suppress
from functools import partial
from itertools import islice

import pytest
import torch
from torch import nn

from cmss.errors import InputError
from cmss.training.trainer import Trainer, load_state, warmup_and_cosine, warmup_and_line
from tests.support.stopped_training import Stopped, stop_after


class Line:
    """A task whose gradient is 1/2."""

    finished = False

    def __init__(self, module: nn.Module) -> None:
        self.module, self.noted = module, 0

    def losses(self, steps):
        for _ in steps:
            yield (weight.sum() / 4 for weight in (self.module.weight, self.module.weight))

    def after(self, step, loss):  # noqa: ARG002
        self.noted = step

    def state_dict(self):
        return {"noted": self.noted}

    def load_state_dict(self, state):
        self.noted = state["noted"]


def trainer(path, schedule, steps, rate=2e-3, training=None) -> Trainer:
    torch.manual_seed(0)
    module = nn.Linear(1, 1, bias=False)
    return Trainer(module, Line(module), path, steps, rate, schedule, 1e-2, 1.0, 0.0, training)


def rates(run: Trainer, stop: int | None = None) -> list[float]:
    """The learning rate of each step, as the optimizer has it."""
    found = []

    def progress(steps):
        for step in islice(steps, stop):
            found.append(run.optimizer.param_groups[0]["lr"])
            yield step
        if stop is not None:
            raise Stopped

    with suppress(Stopped):
        run.run(progress)
    return found


@pytest.mark.parametrize("warmup", [0, 1, 7, 40, 100])
def test_learning_rate_of_networks(tmp_path, warmup):
    """Rises linearly and falls as half a cosine, by its formula; also across a stop."""
    path = tmp_path / "state.pt"
    schedule = partial(warmup_and_cosine, steps=40, warmup_steps=warmup)
    first = rates(trainer(path, schedule, 40), stop=11)
    found = first + rates(trainer(path, schedule, 40))
    expected = [
        2e-3 * min(1.0, (s + 1) / max(1, warmup)) * 0.5 * (1 + math.cos(math.pi * s / 40))
        for s in range(40)
    ]
    assert len(first) == 11
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("steps", [1, 30, 130])
def test_learning_rate_of_postfilters(tmp_path, steps):
    """Rises linearly over a fiftieth of the steps, then falls linearly."""
    warmup = max(steps // 50, 1)
    schedule = partial(warmup_and_line, steps=steps, warmup_steps=warmup)
    found = rates(trainer(tmp_path / "state.pt", schedule, steps))
    expected = [
        2e-3 * min((s + 1) / warmup, (steps - s) / (steps - warmup + 1)) for s in range(steps)
    ]
    assert found == pytest.approx(expected, rel=1e-12, abs=0)


def test_the_learning_rate_is_that_of_the_settings_and_not_of_the_state(tmp_path):
    path = tmp_path / "state.pt"
    rates(trainer(path, lambda _: 1.0, 6, rate=1e-3), stop=3)
    assert rates(trainer(path, lambda _: 0.5, 6, rate=4e-3)) == [2e-3] * 3


OLD = {
    "a network": {"model": "model", "optimizer": "optimizer", "training": None},
    "a post-filter": {"model": "network", "optimizer": "optimiser", "training": "training"},
}
"""Names in the states that two trainers once wrote, and the present ones; None: not there."""


@pytest.mark.parametrize("trained", OLD)
def test_states_of_earlier_versions_are_read(tmp_path, trained):
    path, text = tmp_path / "state.pt", "some settings" if trained == "a post-filter" else None
    schedule = partial(warmup_and_cosine, steps=9, warmup_steps=2)
    undisturbed = trainer(tmp_path / "other.pt", schedule, 9, training=text)
    undisturbed.run()
    with pytest.raises(Stopped):
        trainer(path, schedule, 9, training=text).run(stop_after(4))
    kept = torch.load(path, weights_only=True)
    old = {OLD[trained].get(name, name): value for name, value in kept.items()}
    old.pop(None, None)
    # LambdaLR's, which a loop of our own did not keep.
    for group in next(old[n] for n in ("optimizer", "optimiser") if n in old)["param_groups"]:
        del group["initial_lr"]
    torch.save(old, path)
    continued = trainer(path, schedule, 9, training=text)
    assert (continued.step, continued.task.noted) == (4, 4)
    continued.run()
    assert torch.equal(continued.module.weight, undisturbed.module.weight)


@pytest.mark.parametrize(
    "content", [b"", b"something else", b"PK\x03\x04abc", bytes(range(256))]
)  # each raises a different error in torch.load
def test_a_file_that_is_not_a_state_is_refused_and_not_changed(tmp_path, content):
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"state\.pt: cannot be read as the state of this tr"):
        load_state(path, print, "this")
    assert path.read_bytes() == content


def test_a_state_without_the_weights_is_refused(tmp_path):
    torch.save({"step": 3}, tmp_path / "state.pt")
    with pytest.raises(InputError, match="not the state of a training of this network"):
        trainer(tmp_path / "state.pt", lambda _: 1.0, 2)


def test_a_state_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    trainer(path, lambda _: 1.0, 2, training="these").run()
    with pytest.raises(
        InputError,
        match=r"state\.pt: not .* \(the state belongs to the training these, expected others\)",
    ):
        trainer(path, lambda _: 1.0, 2, training="others")


def test_terms_of_a_loss_add_up(tmp_path):
    """Loss and gradient of a step are the sums over its terms."""
    run = trainer(tmp_path / "state.pt", lambda _: 1.0, 1)
    values = []
    run.task.after = lambda step, loss: values.append(loss)  # noqa: ARG005
    before = run.module.weight.item()
    run.run()
    assert values == [pytest.approx(before / 2)]
    assert run.module.weight.grad.item() == 0.5
