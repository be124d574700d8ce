"""recipes/cad2/train.py as a user runs it."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from cmss.audio import write_flac
from cmss.commands import train as train_command
from cmss.files.digests import file_sha256
from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.outputs import OUTPUTS
from cmss.run.choices import add_choices
from cmss.training.presets import PRESETS
from cmss.training.publish import TrainingRecord
from tests.support.stages import run_stage
from tests.support.tiny_challenge import RATE_HZ, excerpt

SHORT = (
    "loop.steps=1", "loop.validation_batches=1", "mixtures.batch_size=1", "mixtures.segment_s=0.3",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A train and a valid split of one duet each, in the challenge's layout."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for split, music_dir in (("train", root / "audio" / "train"), ("valid", root / "audio")):
        parts = {}
        for part, instrument in (("mixture", "Mixture"), ("source_1", "Violin_1"),
                                 ("source_2", "Cello")):  # fmt: skip
            track = f"{split}_duet/{instrument}.flac"
            write_flac(music_dir / track, 0.005 * rng.standard_normal((2, RATE_HZ // 2)), RATE_HZ)
            parts[part] = excerpt(instrument, track, 0, 0.5)
        path = root / "metadata" / f"music.{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({f"{split}_duet": parts}))
    return root


def test_it_trains_and_says_where_the_weights_are(root, tmp_path):
    shown = {"HYDRA_FULL_ERROR": "1"}
    done = run_stage("train", f"path.root={root}", *SHORT, cwd=tmp_path, env=shown, timeout_s=120)
    assert done.returncode == 0, done.stderr
    assert "%|" not in done.stderr  # no bars where there is no terminal
    folder = tmp_path / "exp" / "train" / "convtasnet_small"
    best = folder / "best.safetensors"
    assert done.stdout.split()[-1] == file_sha256(best)
    assert load_checkpoint(best).sources == OUTPUTS
    assert best.stat().st_size < 10e6
    assert len((folder / "log.csv").read_text().splitlines()) == 2
    assert (folder / "state.pt").is_file()
    assert (folder / ".hydra" / "train" / "config.yaml").is_file()


def test_a_missing_key_ends_with_status_2_and_a_line(server, tmp_path):
    done = server.run("train", cwd=tmp_path)
    assert done.status == 2
    assert done.stderr == "path.root: missing, expected path.root=VALUE on the command line\n"
    assert done.stdout == ""


# In this process, because a new process takes seconds to import everything.


def train_here(*arguments: str) -> None:
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        train_command.main(compose("train", list(arguments)))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["size=huge"],
            "model=convtasnet size=huge: unknown, expected one of model=arunet size=small",
        ),
        (["size=paper"], "instrument: None, expected one of Bassoon, Cello"),
        (["size=paper", "instrument=Horn"], "instrument: 'Horn', expected one of Bassoon, Cello"),
        (["instrument=Violin"], "instrument: expected null, because the network separates all"),
        (["+compile=true"], "compile: no such key any more, expected nothing in its place"),
        (["init_from=no.safetensors"], "init_from: no.safetensors: no such file"),
        (["mixtures.segment_s=5"], "mixtures.segment_s: a segment of 5 s needs 5.9 s"),
    ],
)
def test_bad_input_ends_with_status_2_and_a_line(root, tmp_path, capsys, arguments, expected):
    with pytest.raises(SystemExit) as caught:
        train_here(f"path.root={root}", f"path.exp_folder={tmp_path}", *arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(expected)


def test_weights_to_start_from(root, tmp_path, capsys):
    """With a learning rate of 0 they are kept unchanged; weights of another network are refused."""
    arguments = {"N": 8, "B": 6, "H": 8, "X": 2, "R": 1}
    torch.manual_seed(3)
    given = build("fourier_convtasnet", {"sources": OUTPUTS, "B": 8, "H": 8, "X": 1, "R": 1})
    save_checkpoint(tmp_path / "given.safetensors", "fourier_convtasnet", given)
    other = build("convtasnet", arguments)
    save_checkpoint(tmp_path / "other.safetensors", "convtasnet", other)
    with pytest.MonkeyPatch.context() as patch:
        small = replace(PRESETS["convtasnet", "small"], arguments=asdict(given.arguments))
        patch.setitem(PRESETS, ("convtasnet", "small"), small)
        common = f"path.root={root}", f"path.exp_folder={tmp_path}", *SHORT
        with pytest.raises(SystemExit):
            train_here(*common, f"init_from={tmp_path / 'other.safetensors'}")
        assert "init_from: " in capsys.readouterr().err
        train_here(*common, f"init_from={tmp_path / 'given.safetensors'}", "loop.learning_rate=0")
    kept = load_checkpoint(tmp_path / "best.safetensors").state_dict()
    for key, value in given.state_dict().items():
        assert torch.equal(kept[key], value.half().float()), key
    record = TrainingRecord.read(tmp_path / "best.safetensors")
    assert record.data == "train: 1 tracks, 0.00 h; valid: 1 tracks, 0.00 h"
    assert "init_from: given.safetensors" in record.settings
    assert str(tmp_path) not in record.settings


def test_each_instrument_has_a_folder_of_its_own(root, tmp_path, monkeypatch):
    """With one for all, the second instrument would find a finished training: the first one's."""
    paper = PRESETS["convtasnet", "paper"]
    small = replace(paper, arguments={"N": 8, "B": 6, "H": 8, "X": 2, "R": 1})
    monkeypatch.setitem(PRESETS, ("convtasnet", "paper"), small)
    for instrument in ("Violin", "Cello"):
        train_here(
            f"path.root={root}", f"path.exp_folder={tmp_path}", "size=paper",
            f"instrument={instrument}", *SHORT,
        )  # fmt: skip
    digests = [file_sha256(tmp_path / name / "best.safetensors") for name in ("Violin", "Cello")]
    assert digests[0] != digests[1]
