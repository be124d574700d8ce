"""recipes/cad2/fit.py as a user runs it, and its file as an ensemble."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from cmss.models.checkpoint import build, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.separators import build_separator
from tests.support.stages import run_stage
from tests.support.tiny_challenge import RATE_HZ
from tests.support.tiny_run import training_data


def fit(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run_stage("fit", *arguments, cwd=folder, timeout_s=120)


@pytest.fixture
def root(tmp_path) -> Path:
    return training_data(tmp_path / "data")


def test_the_true_stems_get_all_the_weight_and_the_file_is_an_ensemble(root, tmp_path):
    network = build("fourier_convtasnet", {"sources": OUTPUTS, "B": 4, "H": 4, "X": 1, "R": 1})
    save_checkpoint(tmp_path / "net.safetensors", "fourier_convtasnet", network)
    weights = tmp_path / "net.safetensors"
    members = f"members=[{{name: oracle}}, {{name: convtasnet, weights_from: {weights}}}]"
    done = fit(
        tmp_path,
        f"path.root={root}",
        members,
        "edges_hz=[1000]",
        "priors=[1e-6]",
        "spatial.weights=[0.0,1.0]",
        "partials.windows=[0,4096]",
        "haaqi_pairs=2",
    )
    assert done.returncode == 0, done.stderr
    path = tmp_path / "exp" / "fit" / "meta.yaml"
    told = (
        f"{path.relative_to(tmp_path)}: 2 members, 4 instruments, prior 1e-06; HAAQI by weight of "
        "directions and window: "
    )
    assert done.stdout.startswith(told)
    ensemble = OmegaConf.to_container(OmegaConf.load(path))
    assert [member["name"] for member in ensemble["members"]] == ["oracle", "convtasnet"]
    for instrument in ("Cello", "Oboe", "Viola", "Violin"):
        first, second = (member["weight"][instrument] for member in ensemble["members"])
        # A millionth for the ridge, before rounding to three digits.
        np.testing.assert_allclose((first, second), [[1, 1], [0, 0]], atol=1e-3)
    spatial, partials = ensemble.pop("spatial"), ensemble.pop("partials")
    assert build_separator({"name": "ensemble", **ensemble}, RATE_HZ).edges_hz == [1000]
    heard = {}
    for way in done.stdout.removeprefix(told).split(", "):
        weight, window, haaqi = way.split()
        heard[float(weight), int(window)] = float(haaqi)
    assert list(heard) == [(0, 0), (0, 4096), (1, 0), (1, 4096)]
    # Ways that are alike to four digits are not told apart here.
    assert heard[spatial["weight"], partials["window"]] == max(heard.values())


def test_it_can_do_without_directions_and_then_wants_no_scenes(root, tmp_path):
    (root / "metadata" / "scenes.train.json").unlink()
    done = fit(tmp_path, f"path.root={root}", "members=[{name: oracle}]", "spatial.iterations=0")
    assert done.returncode == 0, done.stderr
    ensemble = OmegaConf.load(tmp_path / "exp" / "fit" / "meta.yaml")
    assert "spatial" not in ensemble


def test_the_tracks_of_further_data_sets_are_added(root, tmp_path):
    more = training_data(tmp_path / "more")
    members = ("members=[{name: oracle}]", "spatial.iterations=0", "tracks=null")
    counts = []
    for sets in ("[]", f"[{more}]", f"[{more},{more}]"):
        done = fit(tmp_path, f"path.root={root}", f"path.more={sets}", *members)
        assert done.returncode == 0, done.stderr
        header = (tmp_path / "exp/fit/meta.yaml").read_text().splitlines()[0]
        counts.append(int(header.removeprefix("# Fitted on ").removesuffix(" tracks by fit.py.")))
    assert counts == [counts[0], 2 * counts[0], 3 * counts[0]]


def test_a_missing_key_ends_with_status_2_and_a_line(tmp_path):
    done = fit(tmp_path)
    assert done.returncode == 2
    assert done.stderr == "path.root: missing, expected path.root=VALUE on the command line\n"
