"""Stages in several jobs by hydra's launchers, as in docs/on_a_cluster.md."""

import shutil

import pytest

from tests.support.stages import run_stage, succeeded
from tests.support.tiny_run import STAGES, new_run, results

pytest.importorskip(
    "hydra_plugins.hydra_submitit_launcher", reason="wants pip install -e '.[cluster]'"
)


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory):
    """Eight pairs of two tracks, and the results of a single job in `alone`."""
    run = new_run(server, tmp_path_factory.mktemp("cluster"))
    run.succeed("enhance", "evaluate", "merge_results")
    # Copied, because results contain paths.
    shutil.copytree(run.exp, run.folder / "alone")
    return run


@pytest.fixture
def run(whole):
    """A copy that a test may change."""
    whole.restore(whole.folder / "alone")
    return whole


@pytest.mark.parametrize(
    ("launcher", "jobs"),
    [
        # Most of the time of a job is the import of libraries, so enhance.py has no jobs here.
        ("submitit_local", {"evaluate": 2}),
        pytest.param("submitit_slurm", {"enhance": 50, "evaluate": 50}, marks=pytest.mark.slurm),
    ],
)
def test_any_number_of_jobs_makes_what_one_makes(launcher, jobs, run):
    for table in run.exp.glob("*.csv"):
        table.unlink()
    if "enhance" in jobs:
        shutil.rmtree(run.exp)
    for stage, number in jobs.items():
        share = [f"evaluate.batch_size={number}", f"evaluate.batch=range({number})"]
        call = ["-m", f"hydra/launcher={launcher}", *share, *STAGES[stage]]
        succeeded(run_stage(stage, *call, cwd=run.folder, timeout_s=1800))
    merge = run.call("merge_results", f"evaluate.batch_size={jobs['evaluate']}")
    assert merge.status == 0, merge
    shards = {path.name for path in run.exp.glob("scores_*.csv")}
    assert shards == {f"scores_{n + 1}-{jobs['evaluate']}.csv" for n in range(jobs["evaluate"])}
    alone, shared = results(run.folder / "alone"), results(run.exp)
    assert {name for name in alone if shared.get(name) != alone[name]} == set()


def test_what_is_wrong_with_a_job_is_told_and_ends_the_call_and_no_other_job(run):
    (run.exp / "scores.csv").unlink()
    done = run.call("evaluate", "evaluate.batch_size=2", "evaluate.batch=2,0", "--multirun")
    line = "evaluate.batch: 2, expected 0 to 1 (evaluate.batch_size - 1)"
    assert done.status == 2
    assert done.stderr.splitlines()[-1] == line
    assert "Traceback" not in done.stderr
    assert (run.exp / "scores_1-2.csv").is_file()
