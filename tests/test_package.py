"""What is installed: both packages, weights and all, and not the recipes."""

import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.source_tree import files, imports

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """Names of the files in a wheel that is built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder)
    for name in ("cmss", "metadata_tools", "recipes", "benchmarks", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(folder / done.stdout.splitlines()[-1]) as archive:
        return archive.namelist()


def test_wheel_holds_both_packages_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cmss", "metadata_tools"}
    sources = {path.relative_to(ROOT).as_posix() for path in files("cmss", "metadata_tools")}
    assert sources <= set(wheel)


def test_wheel_holds_weights_configuration_types_and_licences(wheel):
    suffixes = {".safetensors", ".csv", ".yaml", ".md"}
    folders = (ROOT / "cmss/weights", ROOT / "cmss/conf")
    paths = [p for folder in folders for p in folder.rglob("*") if p.suffix in suffixes]
    assert {path.suffix for path in paths} == suffixes
    assert {path.relative_to(ROOT).as_posix() for path in paths} <= set(wheel)
    assert "cmss/py.typed" in wheel
    for name in ("LICENSE", "NOTICE"):
        assert any(re.fullmatch(rf"cmss-.*\.dist-info/licenses/{name}", file) for file in wheel)


@pytest.fixture(scope="module")
def declared() -> dict[str, Requirement]:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].split("\n")
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}


BY_HAND = {"tinysoundfont"}
"""Installed without its dependencies, one of which needs a compiler; what imports it says how."""


def test_every_library_imported_is_declared(declared):
    own = {"cmss", "metadata_tools", "benchmarks"}
    imported = {
        name.split(".")[0]
        for path in files("cmss", "metadata_tools", "recipes", "benchmarks")
        for name in imports(path)
    }
    owners = packages_distributions()
    for library in imported - own - BY_HAND - sys.stdlib_module_names:
        names = {canonicalize_name(owner) for owner in owners[library]}
        assert names & declared.keys(), f"{library} is imported, setup.cfg does not require it"


def test_tested_versions_are_exact_and_within_the_ranges(declared):
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    tested = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert {canonicalize_name(requirement.name) for requirement in tested} == declared.keys()
    for requirement in tested:
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        assert pin.version in declared[canonicalize_name(requirement.name)].specifier, requirement
