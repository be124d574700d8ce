"""The lists of separators in the documentation are those that the command writes."""

import pytest

from benchmarks import ROOT, separators
from benchmarks.separators import FILE, PAGES, main
from cmss.separators import SEPARATORS


@pytest.fixture(autouse=True)
def copied_file(tmp_path_factory, monkeypatch):
    """A copy of models.json, to which the command writes."""
    copy = tmp_path_factory.mktemp("models") / FILE.name
    copy.write_bytes(FILE.read_bytes())
    monkeypatch.setattr(separators, "FILE", copy)
    return copy


def test_properties_are_what_the_command_writes(copied_file, tmp_path):
    page = tmp_path / "page.md"
    page.write_bytes((ROOT / "docs/separators.md").read_bytes())
    assert main([str(page)]) == 0
    assert copied_file.read_bytes() == FILE.read_bytes(), "run python -m benchmarks.separators"


def test_pages_are_what_the_command_writes(tmp_path):
    copies = [tmp_path / page.replace("/", "_") for page in PAGES]
    for page, copy in zip(PAGES, copies, strict=True):
        copy.write_bytes((ROOT / page).read_bytes())
    assert main(map(str, copies)) == 0
    for page, copy in zip(PAGES, copies, strict=True):
        assert copy.read_bytes() == (ROOT / page).read_bytes(), (
            f"{page} is out of date; run python -m benchmarks.separators"
        )


@pytest.mark.parametrize("name", ["families", "others"])
def test_what_stands_between_the_marks_is_replaced_and_nothing_else(tmp_path, name):
    page = tmp_path / "page.md"
    begin, end = (f"<!-- benchmarks.separators {name}: {word} -->" for word in ("begin", "end"))
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    assert main([str(page)]) == 0
    before, table, after = page.read_text().partition(begin)[0], *page.read_text().split(end)
    assert (before, after) == ("before\n", "\nafter\n")
    assert "old" not in table
    assert "`casa`" in table


def test_every_separator_is_listed():
    for page in ("docs/separators.md", "README.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        missing = [name for name in (*SEPARATORS, "ensemble") if f"`{name}`" not in text]
        assert not missing, page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no marks", "expected the lines <!-- benchmarks.separators NAME: begin -->"),
        ("<!-- benchmarks.separators others: begin -->", "others: end -->, once each"),
    ],
)
def test_a_file_without_marks_is_refused_and_left_alone(tmp_path, capsys, text, message):
    page = tmp_path / "page.md"
    page.write_text(text)
    assert main([str(page)]) == 2
    assert message in capsys.readouterr().err
    assert page.read_text() == text
