"""Learning of templates, and recipes/cad2/fit_dictionaries.py as a user runs it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cmss.audio import Excerpt, write_flac
from cmss.errors import InputError
from cmss.nmf.dictionaries import load_dictionaries
from cmss.nmf.spectrogram import Analysis
from cmss.separators import build_separator
from cmss.training.isolated import Learning, isolated_spectrogram
from tests.support.stages import run_stage
from tests.support.tiny_challenge import RATE_HZ, TinyChallenge

LEARNING = Learning("kl", lags=1, components=4, iterations=5, stems=2, seconds=0.5, seed=0)


def write(path: Path, level: float, seconds: float = 1.0) -> Excerpt:
    signal = np.random.default_rng(1).standard_normal((2, round(seconds * RATE_HZ)))
    write_flac(path, (level * signal).astype(np.float32), RATE_HZ)
    return Excerpt(path, 0.0, seconds)


def test_stems_count_alike_whatever_their_level_and_silent_ones_not(tmp_path):
    loud, quiet, silent = (write(tmp_path / f"{level}.flac", level) for level in (0.1, 0.01, 0.0))
    analysis = Analysis()
    one = isolated_spectrogram([loud], LEARNING, analysis, RATE_HZ)
    assert one.mean() == pytest.approx(1, rel=1e-5)
    both = isolated_spectrogram([loud, quiet], LEARNING, analysis, RATE_HZ)
    assert both.shape[-1] == 2 * one.shape[-1]
    # 16 bits: a quiet stem of 0.01 RMS has a rounding error of -71 dB.
    torch.testing.assert_close(*both.chunk(2, -1), rtol=0.05, atol=1e-2)
    torch.testing.assert_close(isolated_spectrogram([silent, loud], LEARNING, analysis, RATE_HZ),
                               one)  # fmt: skip
    with pytest.raises(InputError, match=r"0\.0\.flac: silent, as are all other stems"):
        isolated_spectrogram([silent], LEARNING, analysis, RATE_HZ)


def test_what_the_recipe_learns_separates(server, tmp_path):
    challenge = TinyChallenge(tmp_path / "data")
    challenge.paths()
    root = tmp_path / "data"
    (root / "metadata/music.json").rename(root / "metadata/music.train.json")
    (root / "audio").rename(tmp_path / "train")
    (root / "audio").mkdir()
    (tmp_path / "train").rename(root / "audio/train")
    few = ("dictionaries.components=3", "dictionaries.iterations=3", "dictionaries.lags=2")
    done = server.run("fit_dictionaries", f"path.root={root}", *few, cwd=tmp_path)
    assert done.status == 0, done.stderr
    path = tmp_path / "exp/fit_dictionaries/dictionaries.safetensors"
    assert done.stdout == (
        f"{path.relative_to(tmp_path)}: 3 templates of each of Cello, Oboe, Viola, Violin\n"
    )
    templates = load_dictionaries(path).templates
    assert {W.shape[::2] for W in templates.values()} == {(2, 3)}
    build_separator({"name": "nmf_convolutive", "weights_from": str(path)}, RATE_HZ)


def test_what_cannot_be_is_a_line(server, tmp_path):
    words = (f"path.root={tmp_path}", "dictionaries.lags=0")
    done = server.run("fit_dictionaries", *words, cwd=tmp_path)
    assert done.status == 2
    assert done.stderr.startswith("dictionaries.lags: ")
    done = run_stage("fit_dictionaries", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "path.root: missing, expected path.root=VALUE on the command line\n"
