"""Training of the post-filter, and recipes/cad2/fit_postfilter.py as a user runs it."""

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from torch import nn

from cmss.errors import InputError
from cmss.models.postfilter_network import Postfilter, PostfilterArguments, load_postfilter
from cmss.models.weights_file import read_weights
from cmss.run.choices import add_choices
from cmss.separators.steps.chain import Stepped
from cmss.separators.steps.postfilter import PostfilterStep
from cmss.training.postfiltering import (
    Example,
    PostfilterLoss,
    PostfilterTraining,
    draw,
    mean_loss,
    train_postfilter,
)
from cmss.training.trainer import load_state
from tests.support.recipe_defaults import of_recipe
from tests.support.separation import Fixed, sources
from tests.support.stages import program
from tests.support.stopped_training import Stopped, stop_after
from tests.support.tiny_run import training_data
from tests.support.two_players import two_players

(PACKAGED,) = PostfilterStep("small").weights
(SECOND,) = PostfilterStep("second_small").weights
SMALL = PostfilterArguments(channels=4, dilations=((1, 1), (2, 2)))
SETTINGS = of_recipe(
    "fit_postfilter", "training", PostfilterTraining,
    steps=30, batch_size=1, frames=24, learning_rate=1e-2, precision="float32",
)  # fmt: skip


@pytest.fixture(scope="module")
def truth() -> torch.Tensor:
    return torch.from_numpy(two_players())


def example_of(truth: torch.Tensor, leak: float) -> Example:
    return Example.of(truth.sum(0), truth + leak * truth.flip(0), truth, SMALL)


def loss(example: Example, bands: float, modulation: float) -> float:
    network = Postfilter(SMALL)  # no filter at all
    gains = torch.tensor([0.5, 2.0])
    loss_of = PostfilterLoss(SMALL, bands, modulation)
    return float(loss_of(network, example, slice(8, 56), gains).detach())


@pytest.mark.parametrize(("bands", "modulation"), [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_loss_grows_with_what_leaks(truth, bands, modulation):
    examples = [example_of(truth, leak) for leak in (0.01, 0.2, 0.7)]
    losses = [loss(example, bands, modulation) for example in examples]
    assert losses == sorted(losses)
    assert losses[2] > 1.3 * losses[0]


@pytest.mark.parametrize("part", [slice(0, 24), slice(20, 44), slice(30, 10_000)])
def test_corrections_depend_on_the_frames_around_the_excerpt(truth, part):
    example, gains = example_of(truth, 0.3), torch.tensor([0.5, 2.0])
    torch.manual_seed(0)
    network = Postfilter(SMALL)
    nn.init.normal_(network.last.weight, std=4)
    loss_of = PostfilterLoss(SMALL, 1.0, 0.0)
    seen_whole = SimpleNamespace(context=10_000, corrections=network.corrections)
    seen_alone = SimpleNamespace(context=0, corrections=network.corrections)
    expected, found, alone = (
        loss_of(seen, example, part, gains).item() for seen in (seen_whole, network, seen_alone)
    )
    # Convolutions of other sizes round differently.
    assert found == pytest.approx(expected, rel=1e-6)
    assert alone != pytest.approx(expected, rel=1e-4)


def test_bins_above_the_corrected_ones_keep_their_masks(truth):
    example, gains, part = example_of(truth, 0.3), torch.tensor([0.5, 2.0]), slice(8, 56)
    torch.manual_seed(0)
    network = Postfilter(SMALL)
    nn.init.normal_(network.last.weight, std=4)
    narrow = network.narrowed(SMALL.bins // 2)
    corrections = torch.zeros_like(example.log_masks, dtype=torch.float32)
    corrections[:, :, : narrow.bins] = narrow.corrections(example.features.float()).detach()
    filled = SimpleNamespace(context=10_000, corrections=lambda _: corrections)
    loss_of = PostfilterLoss(SMALL, 1.0, 1.0)
    found, expected, whole = (
        loss_of(seen, example, part, gains).item() for seen in (narrow, filled, network)
    )
    # Convolutions of other sizes round differently.
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(whole, rel=1e-3)


def test_examples_have_one_level(truth):
    first, second = (example_of(factor * truth, 0.3) for factor in (1.0, 128.0))
    for name in ("features", "log_masks", "mixture", "stems"):
        one, other = (getattr(example, name).numpy() for example in (first, second))
        # A power of two rounds nothing, but the square root of the level does.
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-6, err_msg=name)


def test_training_mends_estimates_and_is_the_same_each_time(truth, tmp_path):
    example = example_of(truth, 0.5)
    before = mean_loss(Postfilter(SMALL), [example], SETTINGS)
    networks = [trained(example, tmp_path / name) for name in ("first.pt", "second.pt")]
    assert_equal(*networks)
    assert mean_loss(networks[0], [example], SETTINGS) < 0.95 * before
    assert not networks[0].training


def trained(example: Example, state: Path, settings=SETTINGS, **options) -> Postfilter:
    torch.manual_seed(1)
    network = Postfilter(SMALL)
    train_postfilter(network, [example], settings, state, save_every_s=0.0, **options)
    return network


def assert_equal(network: Postfilter, other: Postfilter) -> None:
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[key], value, err_msg=key)


def test_a_stopped_training_goes_on_as_if_it_had_not_been(truth, tmp_path):
    example, state = example_of(truth, 0.5), tmp_path / "state.pt"
    settings = replace(SETTINGS, steps=6)
    undisturbed = trained(example, tmp_path / "undisturbed.pt", settings)
    with pytest.raises(Stopped):
        trained(example, state, settings, progress=stop_after(3))
    assert_equal(trained(example, state, settings), undisturbed)
    # Nothing is left to do.
    assert_equal(trained(example, state, settings, progress=stop_after(0)), undisturbed)


def test_the_state_of_another_training_is_refused(truth, tmp_path):
    example, state = example_of(truth, 0.5), tmp_path / "state.pt"
    settings = replace(SETTINGS, steps=2)
    trained(example, state, settings)
    refused = pytest.raises(
        InputError,
        match=r"state\.pt: not the state of this training \(the state belongs to .*to start anew",
    )
    with refused:
        trained(example, state, replace(settings, learning_rate=1e-3))
    with refused:
        load_state(state, lambda _: None, settings.with_examples(2))
    load_state(state, lambda _: None, settings.with_examples(1))
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"state\.pt: cannot be read .*to start anew"):
        trained(example, state, settings)


@pytest.mark.parametrize("part", ["mixture", "features"])
def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step(truth, tmp_path, part):
    example = example_of(truth, 0.5)
    broken = replace(example, **{part: torch.full_like(getattr(example, part), torch.nan)})
    with pytest.raises(FloatingPointError, match="step 1: loss is nan"):
        trained(broken, tmp_path / "state.pt")
    assert not (tmp_path / "state.pt").exists()


def test_excerpts_lie_inside_and_gains_are_the_challenges(truth):
    example = example_of(truth, 0.5)
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(40):
        drawn, part, gains = draw([example], 20, generator)
        assert drawn is example
        cut = drawn.cut(part)
        assert cut.features.shape[-1] == cut.stems.shape[-1] == 20
        seen |= {round(float(20 * torch.log10(gain))) for gain in gains}
    assert seen == {-10, -6, -3, 0, 3, 6, 10}


def test_the_program_writes_what_a_separator_takes(server, tmp_path):
    root = training_data(tmp_path / "data")
    done = server.run(
        "fit_postfilter", f"path.root={root}", f"path.more=[{root}]", "separator=nmf", "held_out=2",
        "training.steps=2", "training.batch_size=1", "training.frames=24", "+postfilter.channels=4",
        "separator.iterations=2", cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.stderr
    path = tmp_path / "exp/fit_postfilter/postfilter.safetensors"
    assert done.stdout.startswith(f"{path.relative_to(tmp_path)}: ")
    truth = two_players(1.0)
    separator = Stepped(Fixed(*truth), [PostfilterStep(str(path))])
    stems = separator.separate(truth.sum(0), sources("Oboe", "Flute"))
    np.testing.assert_allclose(sum(stems.values()), truth.sum(0), rtol=0, atol=1e-5)
    assert list(separator.weights) == ["fixed", str(path)]


@pytest.mark.parametrize("ensemble", ["meta", "paper"])
def test_a_post_filter_is_trained_on_what_it_gets_in_a_run(ensemble):
    """In a run, the differences of doubled players are shrunk after the post-filters."""
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        config = compose("fit_postfilter", [f"ensemble={ensemble}", "path.root=data"])
    assert config.separator.shrink_doubled is False


def test_a_killed_training_goes_on_when_called_again(server, tmp_path):
    arguments = (
        f"path.root={training_data(tmp_path / 'data')}", "separator=nmf", "held_out=2",
        "training.steps=20", "training.batch_size=1", "training.frames=24", "save_every_s=0",
        "+postfilter.channels=4", "separator.iterations=1", "training.precision=float32",
    )  # fmt: skip
    weights = Path("exp/fit_postfilter/postfilter.safetensors")
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    killed.mkdir()
    straight.mkdir()
    with subprocess.Popen(
        [sys.executable, program("fit_postfilter"), *arguments],
        cwd=killed, stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        end = time.monotonic() + 120
        while not (killed / "exp/fit_postfilter/state.pt").exists() and time.monotonic() < end:
            time.sleep(0.01)
        process.kill()
    assert not (killed / weights).exists()
    for folder in (killed, straight):
        done = server.run("fit_postfilter", *arguments, cwd=folder)
        assert done.status == 0, done.stderr
    assert (killed / weights).read_bytes() == (straight / weights).read_bytes()


def test_the_state_of_another_training_is_refused_before_anything_is_separated(server, tmp_path):
    state = tmp_path / "exp/fit_postfilter/state.pt"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"something else")
    root = training_data(tmp_path / "data")
    words = (f"path.root={root}", "separator=oracle", "held_out=2")
    done = server.run("fit_postfilter", *words, cwd=tmp_path)
    assert done.status == 2
    assert re.match(
        r"exp/\S+state\.pt: cannot be read as the state of this training; to start anew",
        done.stderr,
    )
    assert "separate" not in done.stderr
    assert state.read_bytes() == b"something else"


def test_a_second_filter_is_trained_after_the_first_and_may_begin_like_it(server, tmp_path):
    root = training_data(tmp_path / "data")
    relatives = [*load_postfilter(Path(SECOND)).arguments.relatives, 4.0]
    done = server.run(
        "fit_postfilter", f"path.root={root}", "separator=nmf", "held_out=2", "training.steps=1",
        "training.batch_size=1", "training.frames=24", "separator.iterations=1",
        f"separator.steps=[{{name: postfilter, weights_from: {PACKAGED}}}]",
        f"begin_like={SECOND}",
        f"+postfilter.relatives={relatives}", cwd=tmp_path,
    )  # fmt: skip
    assert done.status == 0, done.stderr
    network = load_postfilter(tmp_path / "exp/fit_postfilter/postfilter.safetensors")
    assert network.arguments.relatives == tuple(relatives)
    header = read_weights(tmp_path / "exp/fit_postfilter/postfilter.safetensors")[1]
    assert f"weights_from: {Path(PACKAGED).name}\n" in header["separator"]
    first, second = (
        filter_.blocks[3].own.weight.detach().numpy()
        for filter_ in (load_postfilter(Path(SECOND)), network)
    )
    # One step of AdamW moves no weight by much more than its rate, which is 3e-3.
    np.testing.assert_allclose(first, second, rtol=0, atol=4e-3)


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        (
            f"begin_like={PACKAGED} init_from={PACKAGED}",
            "begin_like: expected null if init_from is given",
        ),
        (
            f"begin_like={PACKAGED} +postfilter.channels=5",
            "begin_like: .* channels differ: 32, expected 5",
        ),
        (
            f"begin_like={SECOND} +postfilter.relatives=[2]",
            r"begin_like: .* relatives differ: \(2.0, 0.5, .* expected a beginning of \(2.0,\)",
        ),
        ("save_every=100", r"save_every: no such key any more, expected save_every_s=60.0"),
        ("held_out=1000", r"held_out: 1000, expected 2 to "),
        ("+training.frame=3", r"training.frame: no such setting"),
        ("training.bins=5000", r"training.bins: 5000, expected at most 1536"),
        ("init_from=no.safetensors", r"no.safetensors: no such file"),
    ],
)
def test_what_cannot_be_ends_with_status_2_and_a_line(server, tmp_path, argument, line):
    root = training_data(tmp_path / "data")
    words = (f"path.root={root}", "separator=oracle", *argument.split())
    done = server.run("fit_postfilter", *words, cwd=tmp_path)
    assert done.status == 2, done.stderr
    assert re.match(line, done.stderr.splitlines()[-1])
    assert not (tmp_path / "exp/fit_postfilter/postfilter.safetensors").exists()
