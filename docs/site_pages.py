"""Adds pages to the site that are not in this folder; see `hooks` in mkdocs.yml.

CONTRIBUTING.md and the provenance of the weights stay where readers of the repository expect them.
The reference is made of the docstrings of the public functions.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import cmss

ROOT = Path(__file__).parents[1]
OUTSIDE = {"CONTRIBUTING.md": "", "PROVENANCE.md": "cmss/weights"}
"""Page of the site -> folder of the file in the repository."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages; MkDocs calls this function."""
    for name, folder in OUTSIDE.items():
        text = (ROOT / folder / name).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=text))
    functions = "\n\n".join(f"::: cmss.{name}" for name in cmss.__all__)
    files.append(File.generated(config, "reference.md", content=f"# Python\n\n{functions}\n"))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Change links to files of the repository to links between pages; MkDocs calls this function.

    A link to a file that is not on the site, such as a file of the configuration, becomes text.
    """
    return re.sub(r"\[([^\]]+)\]\(([^)\s#:]+)(#[^)\s]*)?\)", _on_site, markdown)


def _on_site(link: re.Match[str]) -> str:
    text, path, anchor = link.group(1), Path(link.group(2)), link.group(3) or ""
    on_site = path.name in OUTSIDE or (ROOT / "docs" / path.name).is_file()
    return f"[{text}]({path.name}{anchor})" if on_site else text
