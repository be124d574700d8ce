import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cmss.errors import InputError
from cmss.models.checkpoint import build, load_checkpoint
from cmss.models.outputs import ACCOMPANIMENT, OUTPUTS, TARGET, player_index
from cmss.training.loop import (
    LOG_COLUMNS,
    sdr_improvement,
    train,
    validate,
)
from cmss.training.losses import WaveformLoss
from cmss.training.remix_loss import RemixLoss
from tests.support.stopped_training import Stopped, stop_after
from tests.support.tone_training import (
    ARGUMENTS,
    NAME,
    SETTINGS,
    log,
    mixtures,
    network,
    run,
)
from tests.support.tones import RATE_HZ


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{key: row[key] for key in row if key != "seconds"} for row in log(folder)]


# Learning.


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls_and_the_sources_come_out(tmp_path, precision):
    settings = replace(SETTINGS, steps=36, validate_every=12, precision=precision)
    before = validate(network(), RemixLoss(), mixtures(together=1.0), settings).loss
    run(tmp_path, settings=settings)
    rows = log(tmp_path)
    assert [row["step"] for row in rows] == ["12", "24", "36"]
    assert float(rows[-1]["training_loss"]) < 0.7 * float(rows[0]["training_loss"])
    assert float(rows[-1]["validation_loss"]) < 0.6 * before
    assert float(rows[-1]["sdr_improvement_db"]) > float(rows[0]["sdr_improvement_db"]) + 1


def test_a_network_of_one_instrument_learns(tmp_path):
    index = player_index((TARGET, ACCOMPANIMENT), "Violin")
    small = {"N": 24, "B": 16, "H": 24, "X": 2, "R": 1, "samplerate": RATE_HZ}
    train(
        network("convtasnet", **small), WaveformLoss(),
        mixtures(index, "Violin"), mixtures(index, "Violin", together=1.0),
        replace(SETTINGS, steps=60, validate_every=20), tmp_path,
    )  # fmt: skip
    rows = log(tmp_path)
    assert float(rows[-1]["validation_loss"]) < 0.8 * float(rows[0]["validation_loss"])


def test_what_is_kept_can_be_loaded(tmp_path):
    model = network()
    best = run(tmp_path, model, notes={"training": "tones"})
    assert best == tmp_path / "best.safetensors"
    assert load_checkpoint(best).arguments == model.arguments


# The log.


def test_log(tmp_path):
    run(tmp_path, settings=replace(SETTINGS, steps=10))
    rows = log(tmp_path)
    assert tuple(rows[0]) == LOG_COLUMNS
    assert LOG_COLUMNS == (
        "step", "seconds", "training_loss", "validation_loss", "sdr_improvement_db", "haaqi",
    )  # fmt: skip
    assert [row["step"] for row in rows] == ["4", "8", "10"]  # the last step in any case
    assert [row.pop("haaqi") for row in rows] == ["", "", ""]  # nobody asked for it
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert [int(row["seconds"]) for row in rows] == sorted(int(row["seconds"]) for row in rows)


def test_haaqi_is_measured_every_so_many_validations(tmp_path):
    """An interruption does not restart the count."""
    settings = replace(SETTINGS, steps=20, haaqi_every=2)
    with pytest.raises(Stopped):
        run(tmp_path, settings=settings, haaqi=lambda _: 0.25, progress=stop_after(6))
    run(tmp_path, settings=settings, haaqi=lambda _: 0.5)
    assert [row["haaqi"] for row in log(tmp_path)] == ["", "0.50000", "", "0.50000", ""]


# Stopping early.


def getting_worse(model, batch):  # noqa: ARG001
    """A loss that depends on the network, but always rises."""
    getting_worse.calls += 1
    return 0.0 * sum(p.sum() for p in model.parameters()) + getting_worse.calls


def test_it_stops_when_validation_does_not_improve_and_stays_stopped(tmp_path):
    getting_worse.calls = 0
    settings = replace(SETTINGS, steps=40, patience=2)
    best = run(tmp_path, loss=getting_worse, settings=settings)
    assert [row["step"] for row in log(tmp_path)] == ["4", "8", "12"]  # best, and two after it
    before = best.read_bytes()
    run(tmp_path, loss=getting_worse, settings=settings)
    assert len(log(tmp_path)) == 3
    assert best.read_bytes() == before


# Going on.


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, dict[str, Tensor]]:
    folder, model = tmp_path_factory.mktemp("undisturbed"), network()
    run(folder, model)
    return folder, model.state_dict()


@pytest.mark.parametrize("stops", [(7,), (4, 1, 5)])
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path, undisturbed, stops):
    expected_folder, expected_weights = undisturbed
    for count in stops:
        with pytest.raises(Stopped):
            run(tmp_path, progress=stop_after(count))
    torch.manual_seed(5)  # fresh weights are replaced by the kept ones
    model = build(NAME, ARGUMENTS)
    best = run(tmp_path, model)
    assert without_seconds(tmp_path) == without_seconds(expected_folder)
    for key, value in model.state_dict().items():
        assert torch.equal(value, expected_weights[key]), key
    assert best.read_bytes() == (expected_folder / "best.safetensors").read_bytes()


def test_dropout_and_batch_statistics_do_not_notice_an_interruption(tmp_path):
    """Nor a validation, after which an interrupted training begins with a new network."""
    small = {
        "sources": OUTPUTS, "samplerate": RATE_HZ, "n_fft": 254, "hop": 64, "bands": 32,
        "dims": (4, 8), "dropout": 0.5,
    }  # fmt: skip
    settings = replace(SETTINGS, steps=6, validate_every=2)
    modes, whole, stopped = set(), *(network("multichannel_unet", **small) for _ in range(2))
    whole.unet.register_forward_hook(
        lambda unet, *_: modes.add((unet.training, torch.is_grad_enabled()))
    )
    run(tmp_path / "whole", whole, settings=settings, seed=3)
    assert modes == {(True, True), (False, False)}
    for count in (2, 1):
        with pytest.raises(Stopped):
            run(tmp_path / "stopped", progress=stop_after(count), model=stopped, settings=settings,
                seed=3)  # fmt: skip
        stopped = network("multichannel_unet", **small)
    run(tmp_path / "stopped", stopped, settings=settings, seed=3)
    for key, value in stopped.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key]), key
    other = network("multichannel_unet", **small)
    run(tmp_path / "other", other, settings=settings, seed=4)
    assert not torch.equal(other.unet.output.weight, whole.unet.output.weight)


def test_steps_that_the_state_knows_nothing_of_are_logged_once(tmp_path, undisturbed):
    """Killed after a validation and before the next state was saved."""
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(6))
    state = (tmp_path / "state.pt").read_bytes()
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(4))
    assert len(log(tmp_path)) == 2
    (tmp_path / "state.pt").write_bytes(state)
    run(tmp_path)
    assert without_seconds(tmp_path) == without_seconds(undisturbed[0])


def test_a_finished_training_stays_as_it_is(tmp_path):
    best = run(tmp_path)
    before = best.read_bytes(), log(tmp_path)
    assert run(tmp_path) == best
    assert (best.read_bytes(), log(tmp_path)) == before


def test_a_state_without_its_log_goes_on(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(6))
    (tmp_path / "log.csv").unlink()
    run(tmp_path)
    assert [row["step"] for row in log(tmp_path)] == ["8", "12"]


def test_the_state_of_another_network_is_refused(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, progress=stop_after(2))
    with pytest.raises(InputError, match=r"state\.pt: not the state .* path\.exp_folder"):
        run(tmp_path, network(B=20))


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"PK\x03\x04"])
def test_a_state_that_cannot_be_read_is_refused(tmp_path, content):
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"state\.pt"):
        run(tmp_path)


# The loss decides which network is kept.


class Scripted:
    """A loss with given values on validation; it records the weights of each validation."""

    def __init__(self, validation: list[float], training: list[float] | None = None) -> None:
        self.validation, self.training = iter(validation), iter(training or [1.0] * 100)
        self.weights: list[dict[str, Tensor]] = []

    def __call__(self, model: nn.Module, batch) -> Tensor:  # noqa: ARG002
        total = sum((p.square().mean() for p in model.parameters()), torch.zeros(()))
        if torch.is_grad_enabled():
            return total * next(self.training)
        self.weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return torch.tensor(next(self.validation))


@pytest.mark.parametrize(
    ("losses", "best"), [((3.0, 1.0, 2.0), 1), ((1.0, 2.0, 3.0), 0), ((3.0, 2.0, 1.0), 2)]
)
def test_the_best_on_validation_is_kept(tmp_path, losses, best):
    scripted = Scripted(list(losses))
    path = run(tmp_path, loss=scripted, settings=replace(SETTINGS, validation_batches=1))
    for key, value in load_checkpoint(path).state_dict().items():
        assert torch.equal(value, scripted.weights[best][key].half().float()), key


def test_the_best_is_remembered_when_going_on(tmp_path):
    settings = replace(SETTINGS, validation_batches=1)
    with pytest.raises(Stopped):
        run(tmp_path, loss=Scripted([1.0]), settings=settings, progress=stop_after(5))
    before = (tmp_path / "best.safetensors").read_bytes()
    run(tmp_path, loss=Scripted([2.0, 1.5]), settings=settings)
    assert (tmp_path / "best.safetensors").read_bytes() == before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(tmp_path, value):
    model = network()
    with pytest.raises(FloatingPointError, match="step 3: loss is"):
        run(tmp_path, model, Scripted([], [1.0, 1.0, value]))
    assert all(p.isfinite().all() for p in model.parameters())
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2


def test_a_gradient_that_is_no_number_stops_the_training(tmp_path):
    def loss(model: nn.Module, batch) -> Tensor:  # noqa: ARG001
        # The root has no slope at zero, though a value.
        return sum(((p - p.detach()).square().sum().sqrt() for p in model.parameters()),
                   torch.zeros(()))  # fmt: skip

    model = network()
    with pytest.raises(FloatingPointError, match="step 1: gradient is nan"):
        run(tmp_path, model, loss)
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_validation_that_is_no_number_stops_the_training(tmp_path):
    with pytest.raises(FloatingPointError, match="step 4: validation loss is nan"):
        run(tmp_path, loss=Scripted([math.nan] * 2))


# Parts.


class Fixed(nn.Module):
    """Returns given estimates, in place of a network of one instrument."""

    def __init__(self, estimates: Tensor) -> None:
        super().__init__()
        self.estimates = estimates

    @property
    def sources(self) -> tuple[str, ...]:
        return (TARGET,)

    def forward(self, mixture: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        return self.estimates


@pytest.mark.parametrize("error", [0.1, 1.0, 2.0])
def test_sdr_improvement_compares_with_the_mixture_as_estimate(error):
    """An error `error` times the accompaniment improves by -20 log10(error) dB."""
    batch = mixtures(player_index((TARGET, ACCOMPANIMENT), "Violin"), "Violin").batch(0)
    target = (batch.stems * (batch.index == 0)[..., None, None]).sum(1)
    estimate = target + error * (batch.mixture - target)
    (improvement,) = sdr_improvement(Fixed(estimate[:, None]), batch).T
    torch.testing.assert_close(
        improvement, torch.full((4,), -20 * math.log10(error)), rtol=0, atol=0.01
    )


@torch.no_grad()
def test_sdr_improvement_leaves_out_who_does_not_play():
    batch = mixtures(together=1.0).batch(0)
    players = int((batch.index >= 0).sum())
    assert sdr_improvement(network(), batch).isfinite().sum() == players
    batch.stems[0, 0] = 0
    assert sdr_improvement(network(), batch).isfinite().sum() == players - 1
