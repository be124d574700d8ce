"""Imports point one way, and the libraries that shape a program stay at its edge."""

import ast
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LAYERS = (
    (
        "errors",
        "atomic",
        "command_line",
        "compiled",
        "device",
        "forms",
        "memory",
        "output_file",
        "processor",
        "quantities",
        "renamed",
        "settings",
        "text",
        "weights",
        "words",
    ),
    ("audio", "containers", "scenes", "transforms", "row_file", "fingerprint"),
    (
        "models",
        "nmf",
        "casa",
        "remix",
        "prescription",
        "hearing_aid",
        "torch_hearing_aid",
        "haaqi",
        "bss_eval",
        "results",
    ),
    ("separators",),
    (
        "pipeline",
        "enhancing",
        "scoring",
        "enhanced_files",
        "stem_files",
        "submission",
        "training",
        "run_folder",
        "configuration",
        "overrides",
        "stage",
        "report",
    ),
    ("listen",),
)
"""Parts of cmss, lowest first: each imports from its own layer and those before it."""

LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer}


def files(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found
    return found


def imports(path: Path) -> set[str]:
    """Full dotted names of all that a file imports, wherever in it the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            names |= {f"{dots}{node.module}.{alias.name}" for alias in node.names}
    return names


def part(name: str) -> str | None:
    """The part of cmss that a dotted name belongs to."""
    package, _, rest = name.partition(".")
    return rest.split(".")[0] if package == "cmss" else None


def users_of(library: str, paths: Iterable[Path]) -> set[str]:
    """Files, relative to the repository, that import a library."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if any(name.split(".")[0] == library for name in imports(path))
    }


def test_every_part_has_a_layer():
    parts = {path.relative_to(ROOT / "cmss").parts[0].removesuffix(".py") for path in files("cmss")}
    assert parts - {"__init__"} == LAYER.keys()


@pytest.mark.parametrize("path", files("cmss"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_from_own_layer_or_below(path):
    own = path.relative_to(ROOT / "cmss").parts[0].removesuffix(".py")
    above = {
        name
        for name in imports(path)
        if part(name) in LAYER and (own == "__init__" or LAYER[part(name)] > LAYER[own])
    }
    assert not above


def test_imports_are_absolute():
    relative = {
        (path, name)
        for path in files("cmss", "metadata_tools", "recipes", "benchmarks")
        for name in imports(path)
        if name.startswith(".")
    }
    assert not relative


def test_no_import_cycles():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files("cmss", "metadata_tools")
    }

    def module_of(name: str) -> str | None:
        while name and name not in modules:
            name = name.rpartition(".")[0]
        return name or None

    graph = {
        module: {module_of(name) for name in imports(path)} - {None, module}
        for module, path in modules.items()
    }
    TopologicalSorter(graph).prepare()  # a CycleError names the cycle


def test_metadata_tools_need_no_more_than_the_lower_layers():
    used = {
        part(name)
        for path in files("metadata_tools")
        for name in imports(path)
        if part(name) is not None
    }
    assert {LAYER[name] for name in used} <= {0, 1, 2}


def test_nothing_imports_upwards_out_of_the_packages():
    everywhere = files("cmss", "metadata_tools", "recipes", "benchmarks")
    # The pyclarity wheel owns the name `recipes`: such an import would find the official code.
    assert users_of("recipes", files("cmss", "metadata_tools", "recipes")) == set()
    assert users_of("metadata_tools", files("cmss", "recipes")) == set()
    assert users_of("benchmarks", files("cmss", "metadata_tools", "recipes")) == set()
    assert users_of("tests", everywhere) == set()


def test_recipes_is_no_package():
    assert not list((ROOT / "recipes").rglob("__init__.py"))


def test_helpers_of_tests_have_different_names():
    # pytest puts the folder of each test on one path, where the first of two of a name wins.
    names = [path.name for path in files("tests") if path.name != "conftest.py"]
    assert len(names) == len(set(names))


def test_libraries_at_the_edge():
    everywhere = files("cmss", "metadata_tools", "recipes", "benchmarks", "tests")
    assert users_of("torchaudio", everywhere) == set()
    inside = files("cmss", "metadata_tools")
    assert users_of("hydra", inside) == {"cmss/overrides.py", "cmss/stage.py"}
    assert users_of("omegaconf", inside) == {
        "cmss/overrides.py",
        "cmss/configuration.py",
        "cmss/run_folder.py",
        "cmss/stage.py",
    }
