"""The benchmark that shows in which estimates the sound of each player appears."""

import numpy as np
import pytest

from benchmarks.confusion import main, parts_in_estimates
from tests.support.played_set import SHORT_PIECES, write_played_set

RATE_HZ = 8000


def stems(count: int, seconds: float = 3.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 2, int(seconds * RATE_HZ)))


@pytest.mark.parametrize("seconds", [1.0, 3.0, 3.3])
def test_the_parts_are_the_gains_of_the_mixing(seconds):
    true = stems(3, seconds)
    gains = np.random.default_rng(1).uniform(0, 1, (3, 3))
    parts = parts_in_estimates(true, np.tensordot(gains.T, true, 1), RATE_HZ)
    # The fit is exact: rounding errors of the normal equations only.
    np.testing.assert_allclose(parts, gains, atol=1e-9)


def test_what_is_in_no_stem_does_not_count():
    true = stems(2)
    noise = stems(2, seed=5)
    parts = parts_in_estimates(true, true + noise, RATE_HZ)
    # Noise is independent of the stems; the correlation of 16,000 values is about 0.008.
    np.testing.assert_allclose(parts, np.eye(2), atol=0.02)


def test_estimates_that_sum_to_the_mixture_have_parts_that_sum_to_one():
    true = stems(3)
    first = stems(3, seed=2)[0]
    estimates = np.stack([first, 0.5 * true[1], true.sum(0) - first - 0.5 * true[1]])
    np.testing.assert_allclose(parts_in_estimates(true, estimates, RATE_HZ).sum(1), 1, atol=1e-9)


def test_seconds_count_by_the_energy_of_the_player():
    true = stems(2, 2.0)
    true[0, :, :RATE_HZ] *= 3
    estimates = true.copy()
    estimates[:, :, RATE_HZ:] = true[::-1, :, RATE_HZ:]
    own = np.diag(parts_in_estimates(true, estimates, RATE_HZ))
    # The first player has 9 of 10 parts of the energy before the exchange, the second has half.
    # Energies of noise in a second vary by 1 %.
    np.testing.assert_allclose(own, [0.9, 0.5], atol=0.01)


def test_a_silent_player_has_no_parts_and_a_silent_second_no_weight():
    true = stems(2, 2.0)
    true[1] = 0
    true[0, :, :RATE_HZ] = 0
    parts = parts_in_estimates(true, true, RATE_HZ)
    np.testing.assert_allclose(parts[0], [1, 0], atol=1e-12)
    assert np.isnan(parts[1]).all()


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    """The folder of a run whose stems are the true ones."""
    folder = tmp_path_factory.mktemp("confusion")
    write_played_set(folder / "data", SHORT_PIECES, listeners_per_scene=1, listeners=1)
    options = ["path.root=data", "path.exp_folder=run", "separator=oracle", "stems=true"]
    assert server.run("enhance", *options, cwd=folder, env={}).status == 0
    return folder / "run"


def test_true_stems_are_in_their_own_estimates(run, capsys, monkeypatch):
    monkeypatch.chdir(run.parent)
    assert main(["run"]) == 0
    heads, rule, row, *others = capsys.readouterr().out.splitlines()
    assert heads == "| run | strings | winds | mixed | doubled | not doubled |"
    assert rule == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert row == "| run | 100 % | 100 % |  | 100 % | 100 % |"
    cells = [line.strip("| ").split(" | ") for line in others if "%" in line]
    assert len(cells) >= 4
    for player, *parts in cells:
        assert sorted(parts)[-1] == "100 %", player
        assert set(parts) <= {"100 %", "0 %", ""}


def test_a_run_without_stems_is_named(run, capsys, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run / "stems").rename(run / "moved")
    try:
        assert main(["run"]) == 2
    finally:
        (run / "moved").rename(run / "stems")
    assert capsys.readouterr().err.startswith("run: no stems of ")
