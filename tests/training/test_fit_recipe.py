"""recipes/cad2/fit.py as a user runs it, and its file as an ensemble."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.separators import build_separator
from tests.support.stage_server import Done
from tests.support.tiny_challenge import RATE_HZ
from tests.support.tiny_run import training_data


@pytest.fixture
def fit(server, tmp_path) -> Callable[..., Done]:
    """Run fit.py in the folder of the test."""
    return lambda *arguments: server.run("fit", *arguments, cwd=tmp_path)


@pytest.fixture
def root(tmp_path) -> Path:
    return training_data(tmp_path / "data")


STEPS = (
    "[[],[{name: directions, weight: 0.0}],[{name: directions}],"
    "[{name: directions},{name: partials, window: 4096}]]"
)


def test_an_invalid_step_is_reported_before_anything_is_separated(fit, root):
    bad = "steps=[[{name: wiener, iterations: 0}],[{name: echo}]]"
    done = fit(f"path.root={root}", "members=[{name: oracle}]", bad)
    assert done.status == 2
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        "steps.0.0.iterations",
        "steps.1.0",
    ]


def test_the_true_stems_get_all_the_weight_and_the_file_is_an_ensemble(fit, root, tmp_path):
    network = build("fourier_convtasnet", {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1})
    save_checkpoint(tmp_path / "net.safetensors", "fourier_convtasnet", network)
    weights = tmp_path / "net.safetensors"
    members = f"members=[{{name: oracle}}, {{name: convtasnet, weights_from: {weights}}}]"
    done = fit(
        f"path.root={root}",
        members,
        "edges_hz=[1000]",
        "priors=[1e-6]",
        f"steps={STEPS}",
        "haaqi_pairs=2",
    )
    assert done.status == 0, done.stderr
    path = tmp_path / "exp" / "fit" / "meta.yaml"
    first, *tried = done.stdout.splitlines()
    assert first == f"{path.relative_to(tmp_path)}: 2 members, 4 instruments, prior 1e-06"
    ensemble = OmegaConf.to_container(OmegaConf.load(path))
    assert [member["name"] for member in ensemble["members"]] == ["oracle", "convtasnet"]
    for instrument in ("Cello", "Oboe", "Viola", "Violin"):
        first, second = (member["weight"][instrument] for member in ensemble["members"])
        # A millionth for the ridge, before rounding to three digits.
        np.testing.assert_allclose((first, second), [[1, 1], [0, 0]], atol=1e-3)
    assert ensemble["edges_hz"] == [1000]
    build_separator({"name": "ensemble", **ensemble}, RATE_HZ)
    scores = {}
    for line in tried:
        haaqi, way = line.split(" HAAQI ")
        scores[way] = float(haaqi)
    assert list(scores) == [str(way) for way in yaml.safe_load(STEPS)]
    # Several lists may have the same score in four digits.
    assert scores[str(ensemble["steps"])] == max(scores.values())


def test_without_steps_no_scenes_are_needed(fit, root, tmp_path):
    (root / "metadata" / "scenes.train.json").unlink()
    done = fit(f"path.root={root}", "members=[{name: oracle}]", "steps=[]")
    assert done.status == 0, done.stderr
    ensemble = OmegaConf.load(tmp_path / "exp" / "fit" / "meta.yaml")
    assert "steps" not in ensemble


def test_the_tracks_of_further_data_sets_are_added(fit, root, tmp_path):
    more = training_data(tmp_path / "more")
    members = ("members=[{name: oracle}]", "steps=[]", "tracks=null")
    counts = []
    for sets in ("[]", f"[{more}]", f"[{more},{more}]"):
        done = fit(f"path.root={root}", f"path.more={sets}", *members)
        assert done.status == 0, done.stderr
        header = (tmp_path / "exp/fit/meta.yaml").read_text().splitlines()[0]
        counts.append(int(header.removeprefix("# Fitted on ").removesuffix(" tracks by fit.py.")))
    assert counts == [counts[0], 2 * counts[0], 3 * counts[0]]


def test_a_missing_key_ends_with_status_2_and_a_line(fit):
    done = fit()
    assert done.status == 2
    assert done.stderr == "path.root: missing, expected path.root=VALUE on the command line\n"
