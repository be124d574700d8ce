"""Stems of runs measured against the true ones."""

import numpy as np
import pytest
from played_set import SHORT_PIECES, configuration, write_played_set

from benchmarks.separation import main
from cmss.audio import read_flac, write_flac
from cmss.results.separation import read_separation
from cmss.run_folder import save_configuration


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("separation") / "data"
    write_played_set(root, SHORT_PIECES[:1], 1, 1)
    return root


def run(data, folder, separator: str) -> str:
    save_configuration(configuration(data, f"path.exp_folder={folder}", f"separator={separator}"))
    return str(folder)


def test_true_stems_have_no_error_and_the_mixture_has_the_other_players(data, tmp_path, capsys):
    folders = [run(data, tmp_path / name, name) for name in ("oracle", "passthrough")]
    assert main(folders) == 0
    true, mixture = (read_separation(tmp_path / name) for name in ("oracle", "passthrough"))
    assert [row.instrument for row in mixture] == ["Oboe", "Bassoon"]
    assert [row.sdr for row in true] == [np.inf, np.inf]
    # What the mixture has too much of one player is what it should have of the other.
    assert sum(row.sdr for row in mixture) == pytest.approx(0, abs=0.1)
    # All of it is interference, but for the rounding to 16 bits.
    assert all(row.sar > 30 for row in mixture)
    assert "2 sources, median SDR inf dB" in capsys.readouterr().out


def test_a_silent_source_is_named_and_left_out(data, tmp_path, capsys):
    (path,) = data.rglob("Oboe.flac")
    signal, rate_hz = read_flac(path)
    write_flac(path, 0 * signal, rate_hz)
    try:
        assert main([run(data, tmp_path / "exp", "passthrough")]) == 0
    finally:
        write_flac(path, signal, rate_hz)
    assert "duet: source_1 is silent, left out" in capsys.readouterr().err
    assert [row.instrument for row in read_separation(tmp_path / "exp")] == ["Bassoon"]


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err
