"""Mixtures without stems, as in an evaluation set: enhanced and packed, not scored."""

import zipfile

import pytest

from cmss.report.technical import TECHNICAL_REPORT
from tests.support.tiny_run import TinyRun, new_run

SYSTEM = ("path.root=data", "separator=passthrough")


@pytest.fixture
def run(server, tmp_path):
    return new_run(server, tmp_path)


@pytest.fixture
def mixtures(run):
    """A run on data without stems."""
    take_stems_away(run)
    return run


def take_stems_away(run: TinyRun) -> None:
    for path in (run.folder / "data/audio").rglob("*.flac"):
        if path.name != "Mixture.flac":
            path.unlink()


def flacs(run: TinyRun) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.exp.rglob("enhanced_signals/**/*.flac")}


def test_what_is_handed_in_is_made_from_mixtures(run):
    run.server.succeed("enhance", *SYSTEM, cwd=run.folder)
    expected = flacs(run)
    assert len(expected) == 8
    run.exp.rename(run.folder / "with_stems")
    take_stems_away(run)
    run.server.succeed("enhance", *SYSTEM, "references=false", cwd=run.folder)
    assert flacs(run) == expected
    assert run.refused("evaluate") == "references: false, but HAAQI needs the ground truth stems"
    # The default submission and report, unlike in the other tests.
    run.server.succeed("merge_results", cwd=run.folder)
    (archive,) = run.exp.glob("submission_*.zip")
    with zipfile.ZipFile(archive) as packed:
        assert {name.split("/")[-1] for name in packed.namelist()} >= expected.keys()
    assert "Not scored" in (run.exp / TECHNICAL_REPORT).read_text(encoding="utf-8")
    assert not (run.exp / "report").exists()
    assert not list(run.exp.glob("scores*.csv"))


def test_missing_stems_are_named_unless_said_to_be_missing(mixtures):
    done = mixtures.server.run("enhance", *SYSTEM, cwd=mixtures.folder)
    assert done.status == 2
    assert "duet/Cello.flac: no such audio file" in done.stderr
    assert not list(mixtures.folder.rglob("*_remix.flac"))


def test_a_missing_mixture_is_named_all_the_same(mixtures):
    (mixtures.folder / "data/audio/duet/Mixture.flac").unlink()
    done = mixtures.server.run("enhance", *SYSTEM, "references=false", cwd=mixtures.folder)
    assert done.status == 2
    assert "duet/Mixture.flac: no such audio file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_oracle_needs_references(mixtures):
    line = mixtures.refused("enhance", "references=false")
    assert line == "references: false, but separator=oracle needs the ground truth stems"
