"""Every key of the training recipes with values of every type: accepted, or refused in a line."""

import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from cmss.models.outputs import OUTPUTS
from cmss.run.choices import add_choices
from cmss.training.presets import PRESETS
from tests.support.recipe_calls import keys as keys_of
from tests.support.stages import RECIPES, run_python, succeeded
from tests.support.tiny_run import training_data

VALUES: tuple[Any, ...] = (None, "abc", [None], {"abc": 1}, True, 0, math.nan, 10**30)

RECIPE_NAMES = ("train", "fit", "fit_postfilter", "fit_dictionaries")

OVERRIDES = {
    "train": ["loop.haaqi_every=1", "mixtures.segment_s=0.1"],
    "fit": ["members=[{name: oracle}, {name: nmf, iterations: 1}]"],
    "fit_postfilter": ["separator=nmf", "held_out=2", "+postfilter.channels=4"],
    "fit_dictionaries": [],
}


class WorkBeginsError(Exception):
    """Raised in place of the work."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A train and a valid split of the same tracks."""
    root = training_data(tmp_path_factory.mktemp("data"))
    for path in (root / "metadata").glob("*.train.json"):
        shutil.copy(path, path.with_name(path.name.replace("train", "valid")))
    for track in list((root / "audio/train").iterdir()):
        shutil.copytree(track, root / "audio" / track.name)
    return root


def recipe_of(name: str) -> Any:
    return import_module(f"cmss.commands.{name}")


@pytest.fixture
def small(monkeypatch):
    """The default network, but tiny."""
    arguments = {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1}
    chosen = replace(PRESETS["convtasnet", "small"], arguments=arguments)
    monkeypatch.setitem(PRESETS, ("convtasnet", "small"), chosen)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_a_value_of_any_type_is_accepted_or_named(name, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = recipe_of(name)

    def begin(*_: Any, **__: Any) -> None:
        raise WorkBeginsError

    # When all is checked: a training begins with its first step, all others with a progress bar.
    if name == "train":
        monkeypatch.setattr("cmss.commands.train.train", begin)
    else:
        monkeypatch.setattr(recipe, "progress", begin)
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        composed = compose(name, [f"path.root={root}", *OVERRIDES[name]])
    with pytest.raises(WorkBeginsError):
        recipe.main(composed)
    capsys.readouterr()
    every = keys_of(name, *OVERRIDES[name])
    sections = [key for key in every if any(other.startswith(f"{key}.") for other in every)]
    # A section cannot be replaced together with a value in it.
    groups = [[key for key in every if key not in sections], *([key] for key in sections)]
    wrong = [
        complaint
        for group in groups
        for value in VALUES
        for complaint in complaints(recipe.main, composed, group, value, capsys)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def complaints(
    main: Callable[[Any], None], composed: DictConfig, keys: list[str], value: Any, capsys: Any
) -> Iterator[tuple]:
    """Set all keys to a value, without those refused, until all are accepted; yield complaints."""
    while keys:
        config = composed.copy()
        for number, key in enumerate(keys):
            # Texts differ, because a missing file is reported by its own path.
            given = f"abc{number:03}" if value == "abc" else value
            OmegaConf.update(config, key, given, merge=False, force_add=True)
        try:
            main(config)
        except WorkBeginsError:
            capsys.readouterr()
            return
        except SystemExit as end:
            lines = capsys.readouterr().err.splitlines()
            named = [key for key in keys if any(re.match(rf"{re.escape(key)}\b", x) for x in lines)]
            # A line may also name a key, or a missing file, after its beginning.
            named = named or [
                key
                for number, key in enumerate(keys)
                if any(re.search(rf"(?<![\w.]){re.escape(key)}\b|abc{number:03}", x) for x in lines)
            ]
            if end.code not in (1, 2) or not named:
                yield keys, value, end.code, lines
                return
            keys = [key for key in keys if key not in named]
        except Exception as error:
            yield keys, value, repr(error)
            return
        else:
            return


# Bad values, several together, by the programs themselves.


@pytest.mark.parametrize(
    ("name", "arguments", "keys"),
    [
        (
            "train",
            ["device=tpu", "+mixtures.foo=1", "loop.learning_rate=-1", "mixtures.together=.nan"],
            ["device", "mixtures.foo", "loop.learning_rate", "mixtures.together"],
        ),
        ("train", ["+loss.x=1", "init_from=no.ckpt"], ["loss.x"]),
        ("train", ["+loss.remix=-2", "enhancer.attack=[0]"], ["enhancer.attack", "loss.remix"]),
        (
            "fit",
            ["tracks=0", "priors=[]", "haaqi_pairs=0", "device=cuda:99", "steps=[[{name: echo}]]"],
            ["tracks", "priors", "haaqi_pairs", "device"],
        ),
        ("fit", ["members=[]", "+path.foo=1"], ["members", "path.foo"]),
        ("fit", ["members=[{name: nmf}, {nam: nmf}]"], ["members[1].name"]),
        ("fit", ["members=[{name: oracle}, {name: passthrough}]"], ["members[1].name"]),
        ("fit", ["edges_hz=[500, 30000]"], ["edges_hz"]),
        (
            "fit_postfilter",
            ["held_out=1", "+postfilter.bins=5000.5", "training.steps=0", "save_every_s=-1"],
            ["held_out", "postfilter.bins", "training.steps", "save_every_s"],
        ),
        ("fit_postfilter", ["+postfilter.bins=5000"], ["postfilter.bins"]),
        ("fit_postfilter", ["separator=passthrough"], ["separator.name"]),
        ("fit_postfilter", ["separator=nmf", "held_out=1000"], ["held_out"]),
        (
            "fit_dictionaries",
            ["dictionaries.components=0", "dictionaries.seconds=.inf", "input_sample_rate=44.1"],
            ["dictionaries.components", "dictionaries.seconds", "input_sample_rate"],
        ),
    ],
)
def test_mistakes_are_reported_together(name, arguments, keys, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        config = compose(name, [f"path.root={root}", *arguments])
    with pytest.raises(SystemExit) as caught:
        recipe_of(name).main(config)
    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert sorted(line.split(":")[0] for line in lines) == sorted(keys)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("name", "key"),
    [("fit", "ensemble_file"), ("fit_postfilter", "weights_file"),
     ("fit_dictionaries", "weights_file"), ("train", "exp_folder")],
)  # fmt: skip
def test_a_result_that_cannot_be_written_is_a_line_before_any_work(
    name, key, root, tmp_path, monkeypatch, capsys
):
    """In /proc no file can be created."""
    monkeypatch.chdir(tmp_path)
    overrides = [f"path.root={root}", f"path.{key}=/proc/deeper", *OVERRIDES[name]]
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        config = compose(name, overrides)
    with pytest.raises(SystemExit) as caught:
        recipe_of(name).main(config)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 1
    assert line.startswith("/proc/deeper")


ALL_FOUR = """
import runpy, sys
for program in sys.argv[1:]:
    sys.argv = [program, "path.root=/nowhere", "nothing.of.this=1"]
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        print(end.code)
"""


def test_what_hydra_itself_refuses_is_no_traceback(tmp_path):
    """In one process, since each would take seconds to import all."""
    programs = [str(RECIPES / f"{name}.py") for name in RECIPE_NAMES]
    done = succeeded(run_python("-c", ALL_FOUR, *programs, cwd=tmp_path))
    assert done.stdout.split() == ["2"] * 4
    assert done.stderr.count("nothing.of.this") >= 4
    assert "Traceback" not in done.stderr
