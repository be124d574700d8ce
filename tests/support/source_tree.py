"""The files of this repository, and their imports."""

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def imports(path: Path) -> set[str]:
    """Return the dotted names of all imports in a file, also those within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            names |= {f"{dots}{node.module}.{alias.name}" for alias in node.names}
    return names


def users_of(library: str, paths: Iterable[Path]) -> set[str]:
    """Return the files that import a library, relative to the repository."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(name.split(".")[0] == library for name in imports(path))
    }
