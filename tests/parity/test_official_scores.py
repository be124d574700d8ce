"""evaluate.py against the official evaluate.py, both run as programs on the same files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmss.audio import read_excerpt, resample, write_flac
from cmss.run.configuration import build_hearing_aid, own_pairs
from cmss.scenes import Pair
from tests.support.played_set import SHORT_PIECES, configuration, write_played_set
from tests.support.stages import run_python, succeeded

KEY = ["scene", "song", "listener"]
EARS = ["left_haaqi", "right_haaqi", "avg_haaqi"]
OFFICIAL = "from recipes.cad2.task2.baseline.evaluate import run_calculate_aq; run_calculate_aq()"


def write_enhanced(folder: Path, root: Path) -> list[Pair]:
    """Files from bad to good: the amplified mixture with less and less noise from pair to pair."""
    config = configuration(root)
    rate_hz = config.input_sample_rate
    hearing_aid = build_hearing_aid(config)
    pairs = own_pairs(config)
    rng = np.random.default_rng(5)
    for number, pair in enumerate(pairs):
        mixture = read_excerpt(pair.scene.track.mixture, rate_hz)
        noise = 0.25 ** (number + 1) * mixture.std() * rng.standard_normal(mixture.shape)
        ears = hearing_aid(mixture + noise, pair.listener)
        signal = resample(ears, rate_hz, config.remix_sample_rate)
        write_flac(folder / pair.enhanced_file, signal, config.remix_sample_rate)
    return pairs


@pytest.fixture(scope="module")
def scores(server, tmp_path_factory):
    """Rows of both programs: ours, theirs."""
    folder = tmp_path_factory.mktemp("official_scores")
    write_played_set(folder / "data", SHORT_PIECES, listeners_per_scene=3, listeners=3)
    pairs = write_enhanced(folder, folder / "data")
    assert len(pairs) == 6
    assert len({pair.scene.track.name for pair in pairs}) == 2
    assert "L5999" in {pair.listener.id for pair in pairs}
    given = [f"path.root={folder / 'data'}", f"path.exp_folder={folder}"]
    succeeded(run_python("-c", OFFICIAL, *given, cwd=folder))
    theirs = pd.read_csv((folder / "scores.csv").rename(folder / "theirs.csv"))
    server.succeed("evaluate", *given, "evaluate.jobs=1", cwd=folder)
    return pd.read_csv(folder / "scores.csv"), theirs


def test_scores_equal_the_official_ones(scores):
    """What is left comes from compressors that agree to 1e-9 and sums of another order."""
    ours, theirs = (table.sort_values(KEY).reset_index(drop=True) for table in scores)
    assert list(ours.columns) == list(theirs.columns) == KEY + EARS
    pd.testing.assert_frame_equal(ours[KEY], theirs[KEY])
    np.testing.assert_allclose(ours[EARS], theirs[EARS], rtol=0, atol=1e-6)


def test_the_files_were_worth_comparing(scores):
    """Scores all over the scale, and different in both ears."""
    ours = scores[0]
    assert ours.avg_haaqi.max() - ours.avg_haaqi.min() > 0.3
    assert (ours.left_haaqi - ours.right_haaqi).abs().min() > 1e-4
