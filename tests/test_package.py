"""Requirements of the package; tests/test_installed.py installs it."""

import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cmss.desk.start import NEEDED
from tests.support.source_tree import files, imports, users_of

ROOT = Path(__file__).parents[1]


def requirements(section: str, key: str) -> dict[str, Requirement]:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = setup[section][key].split("\n")
    return {canonicalize_name(r.name): r for r in map(Requirement, filter(None, lines))}


@pytest.fixture(scope="module")
def declared() -> dict[str, Requirement]:
    return requirements("options", "install_requires")


BY_HAND = {"tinysoundfont"}
"""Installed without its dependencies, one of which needs a compiler; what imports it says how."""


def test_the_extra_of_the_desk_is_imported_only_by_the_desk():
    extra = requirements("options.extras_require", "desk")
    assert set(extra) == set(NEEDED)
    for name in extra:
        users = users_of(name, files("cmss", "metadata_tools", "recipes", "benchmarks"))
        assert users
        assert all(path.startswith("cmss/desk/") for path in users)


def test_every_library_imported_is_declared(declared):
    own = {"cmss", "metadata_tools", "benchmarks", *NEEDED}
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
