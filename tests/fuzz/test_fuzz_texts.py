"""JSON and CSV files that are empty, noise, or changed: read, or refused with a line each."""

import math
from types import SimpleNamespace

import pytest

from tests.fuzz.__main__ import Findings, Tally, fuzz, run_one
from tests.fuzz.fuzz_recipes import write_template
from tests.fuzz.fuzz_texts import READERS, text_target

WHOLE = 10**9
NOISE = (b"", bytes(range(256)), b"\xff\xfe", b"[" * 100_000)
QUICK = [name for name in READERS if not name.startswith(("evaluate", "merge_results"))]
"""Readers; the others are stages, which call some of these."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """The target, and a folder to work in."""
    folder = tmp_path_factory.mktemp("texts")
    write_template(folder / "template")
    return SimpleNamespace(target=text_target(folder / "template", QUICK), scratch=folder)


def edited(reader: str, file: str, *edits: tuple[int, int, bytes]) -> dict:
    """An input of the target: places, bytes removed there and bytes put in."""
    changes = [(place, removed, inserted.hex()) for place, removed, inserted in edits]
    return {"reader": reader, "file": file, "edits": changes, "at": None, "value": None}


@pytest.mark.parametrize("reader", QUICK)
def test_unchanged_files_are_accepted(texts, reader):
    ended = run_one(texts.target, edited(reader, READERS[reader][0][0]), texts.scratch)
    if reader == "metadata_tools.validate":  # its splits have the same tracks, on purpose
        assert "train and valid share the work 'duet'" in ended.text
    else:
        assert ended.is_accepted, ended.text


@pytest.mark.parametrize("reader", QUICK)
def test_empty_files_and_noise_are_read_or_refused(texts, reader):
    for file in READERS[reader][0]:
        for put in NOISE:
            spoilt = edited(reader, file, (0, WHOLE, put))
            ended = run_one(texts.target, spoilt, texts.scratch)
            assert not ended.fault, f"{file}: {ended.text}"


def test_changed_files_are_read_or_refused(texts, tmp_path):
    findings = Findings(tmp_path / "findings")
    tally = Tally()
    fuzz(texts.target, 60, 1, texts.scratch, tally, findings, math.inf)
    assert tally.accepted
    assert tally.refused
    assert not findings.keys, "\n".join(findings.lines())
