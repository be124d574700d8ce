"""The page of a run: its content, and no links to other servers."""

from html.parser import HTMLParser

import numpy as np
import pytest

from cmss.audio import read_sound
from cmss.errors import InputError
from cmss.report import page
from cmss.report.page import write_report
from cmss.results.separation import SeparationRow, write_separation
from tests.support.scored_run import RATE_HZ, SECONDS, scorer, tiny_pairs, write_run

HOSTILE = "<b>duet & \"more\"</b><script>alert('x')</script>"


class Page(HTMLParser):
    """Parser of elements with their attributes, and of the text of table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.rows[-1][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("report")
    pairs = tiny_pairs(root, {"duet": HOSTILE})
    ours = write_run(root / "ours", pairs, "ensemble", [0.5, 0.7, 0.6])
    ends = [
        write_run(root / "as_it_is", pairs, "passthrough", [0.4, 0.4, 0.4]),
        write_run(root / "true", pairs, "oracle", [0.9, 0.9, 0.9]),
    ]
    write_separation(ours, [SeparationRow("trio", "source_1", "Violin", 3.25, 5.0, 6.0)])
    written = write_report(ours, pairs, scorer(root), ends)
    return pairs, written, Page(written.read_text(encoding="utf-8"))


def test_all_that_it_shows_lies_beside_it(runs):
    _, written, found = runs
    linked = {
        attributes[key]
        for _, attributes in found.elements
        for key in ("src", "href", "data-bundle")
        if attributes.get(key)
    }
    ids = [a["id"] for _, a in found.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for link in linked - {"data:,"}:
        if link.startswith("#"):
            assert link[1:] in ids
        else:
            assert (written.parent / link).is_file(), link
    files = {p.relative_to(written.parent).as_posix() for p in written.parent.rglob("*.*")}
    assert files == linked - {"data:,"} - {f"#{i}" for i in ids} | {"index.html"}


def test_names_are_text(runs):
    _, written, found = runs
    assert HOSTILE not in written.read_text(encoding="utf-8")
    assert len(found.all("script")) == 3
    assert any(HOSTILE in cell for row in found.rows for cell in row)


def test_gains_are_those_of_each_player(runs):
    _, written, _ = runs
    gains = "Wanted: Violin 2 -6 dB, Violin +10 dB, Viola +3 dB."
    assert gains in written.read_text(encoding="utf-8")


def test_runs_side_by_side(runs):
    *_, found = runs
    head, ours, passthrough, oracle = found.rows[:4]
    assert ours == ["ours", "ensemble", "consistent", "0.6500", "0.5500", "0.6000",
        "0.6000", "", "0.6000", "0.40", "3.2"]  # fmt: skip
    assert len(head) == len(ours)
    assert passthrough[2] == ""
    assert (passthrough[-2:], oracle[-2:]) == (["0.00", ""], ["1.00", ""])


def test_differences_between_runs(runs):
    *_, found = runs
    head, *differences = found.rows[4:11]
    assert head[:2] == ["minus", "pieces for"]
    # 0.5, 0.7 and 0.6 minus 0.4; the first two pairs have the same track.
    assert differences[0][:5] == ["as_it_is", "all", "3", "2", "0.2000"]
    assert differences[2][:5] == ["as_it_is", "strings", "2", "1", "0.2000"]
    assert differences[2][5:] == ["", "", ""]
    assert [row[0] for row in differences[3:]] == ["true"] * 3


def test_every_pair_is_in_the_table_and_can_be_heard(runs):
    pairs, _, found = runs
    rows = found.rows[-3:]
    assert [row[0] for row in rows] == [pair.name for pair in pairs]
    assert [row[4:6] for row in rows] == [["0.5000", "7"], ["0.7000", "7"], ["0.6000", "7"]]
    articles = [a["id"] for a in found.all("article")]
    assert articles == [pairs[n].name for n in (0, 2, 1)]
    assert len([a for a in found.all("div") if "data-bundle" in a]) == len(pairs)


def test_versions_are_equally_loud_and_equally_long(runs):
    pairs, written, _ = runs
    for pair in pairs:
        power = {}
        for version in ("mixture", "reference", "enhanced"):
            signal, rate_hz = read_sound(written.parent / f"sounds/{pair.name}_{version}.flac")
            assert rate_hz == RATE_HZ
            assert signal.shape == (2, int(SECONDS * RATE_HZ))
            # No version is clipped at 16 bits.
            assert np.abs(signal).max() < 1
            power[version] = np.mean(signal**2)
        # Equal powers, because the signals are too short for a loudness; tolerance for 16 bits.
        assert max(power.values()) == pytest.approx(min(power.values()), rel=1e-3)


def test_every_picture_says_what_it_shows(runs):
    *_, found = runs
    captions = [image["alt"] for image in found.all("img")]
    assert all(captions)
    assert len(set(captions)) == len(captions)


def test_of_many_pairs_the_best_and_the_worst_can_be_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 1)
    pairs = tiny_pairs(tmp_path)
    folder = write_run(tmp_path / "ours", pairs, "oracle", [0.5, 0.7, 0.6])
    written = write_report(folder, pairs, scorer(tmp_path))
    found = Page(written.read_text(encoding="utf-8"))
    assert [a["id"] for a in found.all("article")] == [pairs[0].name, pairs[1].name]
    # FLAC and Opus of three versions, and a script with all Opus files of a pair.
    assert len(list(written.parent.glob("sounds/*"))) == 2 * (2 * 3 + 1)


def test_a_run_of_other_pairs_is_refused(tmp_path):
    pairs = tiny_pairs(tmp_path)
    folder = write_run(tmp_path / "ours", pairs, "oracle", [0.5, 0.7, 0.6])
    with pytest.raises(InputError, match="expected one score for each of the 2 pairs"):
        write_report(folder, pairs[:2], scorer(tmp_path))
    assert not (folder / "report").exists()
