"""Imports point one way, and the libraries that shape a program stay at its edge."""

from graphlib import TopologicalSorter

import pytest

from tests.support.source_tree import ROOT, files, imports, users_of

LAYERS = (
    (
        "errors",
        "command_line",
        "conf",
        "files",
        "machine",
        "quantities",
        "renamed",
        "settings",
        "weights",
    ),
    ("audio", "scenes", "transforms", "fingerprint"),
    ("models", "nmf", "casa", "remix", "rendering", "hearing", "results"),
    ("separators",),
    ("pages",),
    ("run", "report", "training"),
    ("pipeline", "api"),
    ("listen",),
    ("desk",),
    ("commands",),
)
"""Parts of cmss, lowest first: each imports from its own layer and those before it."""

PUBLIC = {"api", "errors"}
"""Parts whose names are public names of cmss, see cmss/__init__.py."""

TOOL_LAYERS = ("inputs", "challenge", "scores", "notes", "rendering", "readers", "commands")
"""Folders of metadata_tools, lowest first; commands are the modules beside them."""

LAYER = {part: number for number, layer in enumerate(LAYERS) for part in layer}


def part(name: str) -> str | None:
    """The part of cmss that a dotted name belongs to."""
    package, _, rest = name.partition(".")
    return rest.split(".")[0] if package == "cmss" else None


def test_every_part_has_a_layer():
    parts = {path.relative_to(ROOT / "cmss").parts[0].removesuffix(".py") for path in files("cmss")}
    assert parts - {"__init__"} == LAYER.keys()


@pytest.mark.parametrize("path", files("cmss"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_from_own_layer_or_below(path):
    own = path.relative_to(ROOT / "cmss").parts[0].removesuffix(".py")
    above = {
        name
        for name in imports(path)
        if part(name) in LAYER
        and (part(name) not in PUBLIC if own == "__init__" else LAYER[part(name)] > LAYER[own])
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


def tool_layer(dotted: str) -> int | None:
    """Number of the layer that a module of metadata_tools belongs to."""
    package, _, rest = dotted.partition(".")
    if package != "metadata_tools":
        return None
    folder = rest.split(".")[0]
    return TOOL_LAYERS.index(folder if folder in TOOL_LAYERS else "commands")


def test_every_folder_of_metadata_tools_has_a_layer():
    folders = {path.parent.name for path in files("metadata_tools")} - {"metadata_tools"}
    assert folders == set(TOOL_LAYERS) - {"commands"}


@pytest.mark.parametrize(
    "path", files("metadata_tools"), ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_metadata_tools_import_from_folders_below(path):
    inner = path.relative_to(ROOT / "metadata_tools").parts
    own = TOOL_LAYERS.index(inner[0] if len(inner) > 1 else "commands")
    used = {name: tool_layer(name) for name in imports(path)}
    above = {name for name, layer in used.items() if layer is not None and layer > own}
    if len(inner) == 1:  # what two commands share stands in a folder
        above = {name for name, layer in used.items() if layer == own}
    assert not above


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
    # cmss.commands.program knows two of its programs by their names, as strings.
    assert users_of("metadata_tools", files("cmss", "recipes")) == set()
    assert users_of("benchmarks", files("cmss", "metadata_tools", "recipes")) == set()
    assert users_of("tests", everywhere) == set()


def test_recipes_is_no_package():
    assert not list((ROOT / "recipes").rglob("__init__.py"))


def test_modules_of_tests_have_different_names():
    # pytest imports them by their names alone, each once.
    names = [path.name for path in files("tests") if path.name.startswith("test_")]
    assert len(names) == len(set(names))


def test_what_tests_share_lies_in_their_support():
    beside = {path.stem for path in files("tests")} - {"conftest", "__main__"}
    for path in files("tests"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "tests":
                assert parts[1] in ("support", "fuzz"), f"{path}: {name}"
            else:
                assert parts[0] not in beside, f"{path}: {name}"


def test_support_imports_no_fuzzing():
    assert not {name for path in files("tests/support") for name in imports(path) if "fuzz" in name}


def test_libraries_at_the_edge():
    everywhere = files("cmss", "metadata_tools", "recipes", "benchmarks", "tests")
    assert users_of("torchaudio", everywhere) == set()
    inside = files("cmss", "metadata_tools")
    assert users_of("hydra", inside) == {
        "cmss/run/choices.py",
        "cmss/run/composing.py",
        "cmss/run/overrides.py",
        "cmss/run/quoting.py",
        "cmss/run/refusals.py",
        "cmss/run/stage.py",
    }
    programs = {
        path.relative_to(ROOT).as_posix()
        for path in files("cmss/commands")
        if path.stem not in ("__init__", "models", "program")
    }
    assert users_of("omegaconf", inside) - programs == {
        "cmss/run/composing.py",
        "cmss/run/overrides.py",
        "cmss/run/configuration.py",
        "cmss/run/folder.py",
        "cmss/run/refusals.py",
        "cmss/run/stage.py",
    }
