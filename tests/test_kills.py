"""Each stage is killed at random points and started again; results do not differ.

The environment variable CMSS_KILLS sets how many times the test kills a stage, over all stages.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from cmss.files.atomic import is_temporary
from tests.support.tiny_run import (
    STAGES,
    TABLES,
    identities,
    new_run,
    results,
)

KILLS = int(os.environ.get("CMSS_KILLS", "4"))
START_S = 0.3
"""What the quickest stage takes to read its configuration; a kill before that has no effect."""


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    return new_run(server, tmp_path_factory.mktemp("kills"))


@pytest.fixture(scope="module")
def undisturbed(run):
    """Return the results of each stage, and the folders with the state before and after it."""
    done, states = {}, [run.folder / "before"]
    states[0].mkdir()
    for stage in STAGES:
        done[stage] = run.call(stage)
        assert done[stage].status == 0, done[stage]
        states.append(run.folder / f"after_{stage}")
        shutil.copytree(run.exp, states[-1])
    return done, states


def assert_what_is_there_is_right(exp: Path, whole: dict[str, bytes]) -> None:
    """Check after a kill that every file is complete and correct, and tables have complete rows."""
    for name, data in results(exp).items():
        if is_temporary(Path(name)) or any(is_temporary(parent) for parent in Path(name).parents):
            continue
        if name in TABLES:
            # Scores are computed by track, and sorted at the end.
            rows = data[: data.rfind(b"\n") + 1].splitlines()
            assert len(set(rows)) == len(rows), name
            assert set(rows) <= set(whole[name].splitlines()), name
        elif not name.endswith(".lock"):
            assert data == whole[name], name


def test_killed_and_started_again_a_run_ends_with_the_same_bytes(run, undisturbed, capsys):
    whole_run, states = undisturbed
    rng = random.Random(KILLS)
    killed = dict.fromkeys(STAGES, 0)
    stages = list(STAGES)
    while sum(killed.values()) < KILLS:
        number = min(range(len(stages)), key=lambda n: killed[stages[n]])
        stage = stages[number]
        run.restore(states[number])
        whole = results(states[number + 1])
        for _ in range(rng.choice((1, 2))):
            # Every other kill is between two steps of writing a file, the most critical time.
            if sum(killed.values()) % 2:
                moment = {"kill_at_write": rng.randint(1, whole_run[stage].writes)}
            else:
                moment = {"kill_after_s": rng.uniform(START_S, whole_run[stage].seconds)}
            done = run.call(stage, **moment)
            assert done.status in (0, -9), done.stderr
            killed[stage] += done.status == -9
            assert_what_is_there_is_right(run.exp, whole)
        before = identities(run.exp)
        run.succeed(stage)
        assert results(run.exp) == whole
        assert identities(run.exp).items() >= before.items(), "a whole file was made anew"
    if "CMSS_KILLS" in os.environ:
        with capsys.disabled():
            print(f"\nkilled and restarted: {killed}")
