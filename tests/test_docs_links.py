"""Links between the pages lead somewhere, and the pages that list things list all of them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = [*(ROOT / "docs").glob("*.md")]
PROVENANCE = ROOT / "cmss" / "weights" / "PROVENANCE.md"
PAGES = [*ROOT.glob("*.md"), *DOCS, PROVENANCE]


def anchors(page: Path) -> set[str]:
    """Names under which the headings of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_links_to_every_page():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in DOCS:
        assert page.name == "index.md" or f"]({page.name})" in index


def test_the_site_shows_every_page():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = {line.split()[-1] for line in navigation.splitlines() if line.endswith(".md")}
    # Made by docs/site_pages.py.
    assert pages - {page.name for page in DOCS} == {
        "CONTRIBUTING.md",
        "PROVENANCE.md",
        "reference.md",
    }
    assert {page.name for page in DOCS} <= pages


def test_every_weight_file_has_its_provenance():
    text = PROVENANCE.read_text(encoding="utf-8")
    weights = [*PROVENANCE.parent.glob("*.safetensors"), *PROVENANCE.parent.glob("*.csv")]
    assert weights
    for path in weights:
        # A log has its suffix, which tells it from the weights that it belongs to.
        assert f"`{path.name if path.suffix == '.csv' else path.stem}`" in text, path.name
