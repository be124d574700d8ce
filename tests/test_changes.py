"""Changes between two calls: detected by content, then refused or redone."""

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from cmss.audio import write_flac
from cmss.files.atomic import alone
from cmss.models.checkpoint import load_checkpoint, save_checkpoint
from tests.support.stage_server import stage_server
from tests.support.tiny_challenge import RATE_HZ
from tests.support.tiny_run import (
    STAGES,
    TinyRun,
    identities,
    new_run,
    results,
    write_metadata,
    write_tiny_data,
)

REDO = "on_change=redo"
DUETS = ("S50001_L5001", "S50001_L5999", "S50003_L5001", "S50003_L5999")
CHOICE = "; on_change=redo replaces these results, another path.exp_folder keeps them"


@pytest.fixture
def run(server, tmp_path):
    """A folder with its own data, not yet enhanced."""
    return new_run(server, tmp_path)


@pytest.fixture(scope="module")
def scored(server, tmp_path_factory):
    """The state of a run that has been enhanced and scored."""
    made = new_run(server, tmp_path_factory.mktemp("scored"))
    made.succeed("enhance", "evaluate")
    return made.exp


@pytest.fixture
def done(run, scored):
    """A run that is enhanced and scored; a test may damage its data."""
    run.restore(scored)
    run.succeed("enhance")  # The run has all results; the new path of the data is given.
    return run


def noise(seed: int, samples: int = RATE_HZ // 2) -> np.ndarray:
    return 0.01 * np.random.default_rng(seed).standard_normal((2, samples))


# enhance.py


def test_another_setting_is_refused_or_redone(done):
    exp = done.exp / "enhanced_signals"
    assert done.refused("enhance", "remix.trust=0.5") == (
        f"{exp}: produced with different inputs or settings: remix (8: S50001_L5001, ...){CHOICE}"
    )
    before = identities(done.exp)
    assert done.call("enhance", "remix.trust=0.5", REDO).status == 0
    assert not set(before.values()) & set(identities(done.exp).values())
    redone = results(exp)
    shutil.rmtree(done.exp)
    assert done.call("enhance", "remix.trust=0.5").status == 0
    assert results(exp) == redone


def test_the_choice_is_for_one_call(done):
    """Otherwise evaluate.py would delete scores because of an earlier on_change=redo."""
    assert done.call("enhance", "remix.trust=0.5", REDO).status == 0
    assert done.refused("evaluate") == (
        f"{done.exp}/scores.csv: produced with different inputs or settings: "
        f"enhanced (8: S50001_L5001, ...){CHOICE}"
    )


def test_another_mixture_costs_its_pairs_alone(done):
    write_flac(done.folder / "data" / "audio" / "duet" / "Mixture.flac", noise(99), RATE_HZ)
    line = done.refused("enhance", "separator=passthrough")
    # The ground truth stems are inputs of the oracle, but not of this separator.
    assert "mixture (4: S50001_L5001, ...), separator (8: " in line
    line = done.refused("enhance")
    assert f"inputs or settings: mixture (4: S50001_L5001, ...){CHOICE}" in line
    # Enhanced files of other music are neither scored nor submitted.
    for stage in ("evaluate", "merge_results"):
        line = done.refused(stage)
        assert line.endswith(
            "mixture (4: S50001_L5001, ...); run enhance.py with on_change=redo to replace these "
            "results"
        )
    before = identities(done.exp)
    again = done.call("enhance", REDO)
    assert "8 pairs enhanced in" in again.stdout
    assert "(4 of them before)" in again.stdout
    now = identities(done.exp)
    assert {name for name in now if now[name] != before[name]} == {
        f"{pair}_remix.flac" for pair in DUETS
    }


def test_a_stem_is_an_input_of_scores_and_of_the_oracle(done):
    write_flac(done.folder / "data" / "audio" / "duet" / "Oboe.flac", noise(7), RATE_HZ)
    assert "inputs or settings: references (4: S50001_L5001, ...)" in done.refused("enhance")
    assert (
        "enhanced_signals: produced with different inputs or settings: references (4: "
        in done.refused("evaluate")
    )
    assert done.call("enhance", REDO).status == 0
    line = done.refused("evaluate")
    assert "scores.csv: " in line
    assert "references (4: " in line


def test_metadata_count_by_what_a_pair_has_of_them(done):
    tiny = write_tiny_data(done.folder / "other")
    shutil.rmtree(done.folder / "data")
    tiny.files["gains_file"] |= {"gain_0009": {"source_1": 3}}
    tiny.files["gains_file"]["gain_0002"]["source_3"] = 6
    tiny.files["enhancer_params_file"]["L5001"]["cr_l"] = [2.5] * 6
    tiny.files["listeners_file"]["L5999"]["audiogram_levels_l"][0] += 5
    write_metadata(tiny)
    tiny.root.rename(done.folder / "data")
    assert done.refused("enhance").endswith(
        f"inputs or settings: listener (4: S50001_L5001, ...), scene (4: S50002_L5001, ...){CHOICE}"
    )
    assert done.call("enhance", REDO).status == 0
    # Scores also depend on the audiogram, which the hearing aid does not use.
    line = done.refused("evaluate")
    assert "enhanced (6: " in line
    assert "listener (8: S50001_L5001, ...), scene (4: S50002_L5001, ...)" in line


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Two networks that differ in one weight."""
    folder = tmp_path_factory.mktemp("weights")
    from importlib.resources import files

    network = load_checkpoint(files("cmss") / "weights" / "convtasnet_small.safetensors")
    paths = [folder / "first.safetensors", folder / "second.safetensors"]
    save_checkpoint(paths[0], "fourier_convtasnet", network)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] += 0.1
    save_checkpoint(paths[1], "fourier_convtasnet", network)
    return paths


def test_weights_count_by_their_content(run, weights):
    shutil.copy(weights[0], run.folder / "a.safetensors")
    network = ["separator=convtasnet", "separator.device=cpu"]
    first = run.call("enhance", *network, "separator.weights_from=a.safetensors")
    assert first.status == 0, first.stderr
    (run.folder / "a.safetensors").rename(run.folder / "b.safetensors")
    moved = run.call("enhance", *network, "separator.weights_from=b.safetensors")
    assert "(8 of them before)" in moved.stdout
    shutil.copy(weights[1], run.folder / "b.safetensors")
    line = run.refused("enhance", *network, "separator.weights_from=b.safetensors")
    for instrument in ("Cello", "Oboe"):
        assert f"weights.{instrument} (4: S50001_L5001, ...)" in line
    for instrument in ("Viola", "Violin"):
        assert f"weights.{instrument} (4: S50002_L5001, ...)" in line


def test_what_does_not_shape_a_result_may_change(done):
    (done.folder / "data").rename(done.folder / "moved")
    done.exp.rename(done.folder / "elsewhere")
    before = identities(done.folder / "elsewhere")
    moved = ("path.root=moved", "path.exp_folder=elsewhere")
    for batch in range(3):
        shard = (f"evaluate.batch={batch}", "evaluate.batch_size=3")
        done_again = done.call("enhance", *moved, *shard, "submission.team=T042")
        assert done_again.status == 0, done_again.stderr
    assert identities(done.folder / "elsewhere") == before
    scored = done.call("evaluate", "evaluate.batch_size=1", "evaluate.batch=0", *moved)
    assert "(8 of them before)" in scored.stdout


def test_files_of_another_program_are_not_lost_unasked(done):
    path = done.exp / "enhanced_signals" / "valid" / "S50001_L5001_remix.flac"
    write_flac(path, noise(3, 9600), 32000)
    assert f"inputs or settings: origin (1: S50001_L5001){CHOICE}" in done.refused("enhance")
    # These files can also be scored.
    assert f"inputs or settings: enhanced (1: S50001_L5001){CHOICE}" in done.refused("evaluate")
    assert done.call("evaluate", REDO).status == 0


def test_a_truncated_enhanced_file_is_made_anew(done):
    whole = results(done.exp)
    path = done.exp / "enhanced_signals" / "valid" / "S50001_L5001_remix.flac"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "(7 of them before)" in done.call("enhance").stdout
    assert results(done.exp) == whole


# evaluate.py


def test_another_way_of_scoring_is_refused_or_redone(done):
    setting = "HAAQI_sample_rate=16000"
    line = done.refused("evaluate", setting)
    assert line == (
        f"{done.exp}/scores.csv: produced with different inputs or settings: "
        f"HAAQI_sample_rate (8: S50001_L5001, ...){CHOICE}"
    )
    before = results(done.exp)
    assert done.call("evaluate", setting, REDO).status == 0
    assert results(done.exp)["scores.csv"] != before["scores.csv"]
    assert done.call("evaluate", REDO).status == 0
    assert results(done.exp) == before


def test_fewer_pairs_do_not_drop_the_scores_of_the_others_unasked(done):
    (done.folder / "some.csv").write_text("scene,listener\nS50002,L5999\n")
    line = done.refused("evaluate", "evaluate.pairs=some.csv")
    assert f"inputs or settings: pairs (7: S50001_L5001, ...){CHOICE}" in line
    assert done.call("evaluate", "evaluate.pairs=some.csv", REDO).status == 0
    assert (done.exp / "scores.csv").read_text().count("\n") == 2
    again = done.call("evaluate")
    assert "(1 of them before)" in again.stdout


def test_shards_of_two_systems_are_not_scored_nor_handed_in_as_one(run):
    for batch, trust in enumerate((1.0, 0.5)):
        shard = (f"evaluate.batch={batch}", "evaluate.batch_size=2", f"remix.trust={trust}")
        assert run.call("enhance", *shard).status == 0
    for stage, whole in (("evaluate", "evaluate.batch_size=1"), ("merge_results", "split=valid")):
        line = run.refused(stage, whole, *(["evaluate.batch=0"] if stage == "evaluate" else []))
        assert (
            "inputs or settings: remix (4: S50002_L5001, ...); run enhance.py with on_change=redo"
            in line
        )


# Several processes at a time.


def test_jobs_side_by_side_make_what_one_makes(run, scored):
    jobs = [(f"evaluate.batch={batch}", "evaluate.batch_size=2") for batch in range(2)]
    with stage_server() as second, ThreadPoolExecutor(2) as pool:
        pair = [run, TinyRun(second, run.folder)]
        for stage in ("enhance", "evaluate"):
            calls = [
                pool.submit(one.call, stage, *job) for one, job in zip(pair, jobs, strict=True)
            ]
            assert [call.result().status for call in calls] == [0, 0], calls
    # Stages may differ in their number of jobs; merge_results.py needs that of evaluate.py.
    assert run.call("merge_results", "evaluate.batch_size=2").status == 0
    made, expected = results(run.exp), results(scored)
    for name in expected.keys() - {"config.yaml"}:  # From one of the two jobs.
        assert made[name] == expected[name], name
    assert not [name for name in made if name.endswith((".tmp", ".lock"))]


@pytest.mark.parametrize("stage", STAGES)
def test_the_same_job_is_not_done_twice_at_a_time(done, stage):
    lock = done.exp / f".{stage}_1-1.lock"
    with alone(lock, "the first"):
        line = done.refused(stage)
    assert line == f"{done.exp}: another process is working in this folder: {stage}.py, job 1 of 1"
    assert done.call(stage).status == 0
    assert not lock.exists()
