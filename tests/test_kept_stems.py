"""Runs that keep their stems: files, ratios, and later changes."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from cmss.results.separation import read_separation
from tests.support.tiny_run import FEW_PAIRS, new_run, results

KEPT = "stems=true"
FILES = {
    "stems/duet/source_1.flac", "stems/duet/source_2.flac", "stems/duet/made_from.txt",
    "stems/trio/source_1.flac", "stems/trio/source_2.flac", "stems/trio/source_3.flac",
    "stems/trio/made_from.txt",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(server, tmp_path_factory):
    return new_run(server, tmp_path_factory.mktemp("stems"), FEW_PAIRS)


@pytest.fixture(scope="module")
def merged(run):
    """A complete run with stems, and the output of merge_results.py."""
    assert run.call("enhance", KEPT).status == 0
    assert run.call("evaluate").status == 0
    done = run.call("merge_results", "report=true")
    assert done.status == 0, done
    shutil.copytree(run.exp, run.folder / "merged")
    return done


def stems(run) -> set[str]:
    return {name for name in results(run.exp) if name.startswith("stems/")}


def test_true_stems_come_out_as_they_went_in(run, merged):
    assert stems(run) == FILES
    rows = read_separation(run.exp)
    expected = {name for name in FILES if name.endswith(".flac")}
    assert {f"stems/{row.track}/{row.source}.flac" for row in rows} == expected
    # Rounded to 16 bits.
    assert min(row.sdr for row in rows) > 40
    assert f"median SDR of {len(rows)} sources:" in merged.stdout


def test_they_can_be_heard_on_the_page(run, merged):  # noqa: ARG001
    page = (run.exp / "report" / "index.html").read_text()
    heard = [name for name in results(run.exp) if name.startswith("report/sounds/")]
    # Mixture, reference and enhanced signal of four pairs, and the stems of the three pairs of the
    # duet and of the pair of the trio; a script with the sounds of each pair.
    signals = 4 * 3 + 3 * 2 + 1 * 3
    suffixes = Counter(Path(name).suffix for name in heard)
    assert suffixes == {".flac": signals, ".opus": signals, ".js": 4}
    assert all(name.removeprefix("report/") in page for name in heard)


def test_a_run_without_stems_takes_them_up_later(run, merged):  # noqa: ARG001
    """The enhanced files do not change."""
    before = results(run.exp)
    shutil.rmtree(run.exp / "stems")
    run.succeed("enhance")
    assert not stems(run)
    assert run.call("enhance", KEPT).status == 0
    after = results(run.exp)
    assert after.keys() == before.keys()
    assert all(after[name] == before[name] for name in before if name != "config.yaml")


def test_without_stems_merging_says_what_to_do(run, merged):  # noqa: ARG001
    run.restore(run.folder / "merged")
    shutil.rmtree(run.exp / "stems" / "trio")
    line = run.refused("merge_results")
    assert line.endswith("stems/trio: no stems; enhance.py with stems=true keeps them")


def test_stems_of_another_mixture_are_noticed(run, merged):  # noqa: ARG001
    """Both by the stage that writes them and by the stage that measures them."""
    run.restore(run.folder / "merged")
    made_from = run.exp / "stems" / "duet" / "made_from.txt"
    text = made_from.read_text()
    made_from.write_text(
        " ".join(
            f"mixture={16 * '0'}" if part.startswith("mixture=") else part for part in text.split()
        )
    )
    assert "produced with different inputs or settings: mixture (1: duet)" in run.refused(
        "merge_results"
    )
    assert "on_change=redo" in run.refused("enhance", KEPT)
    assert run.call("enhance", KEPT, "on_change=redo").status == 0
    assert made_from.read_text() == text
