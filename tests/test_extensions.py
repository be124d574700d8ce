"""Separators and networks of installed packages that cannot be used; see test_installed.py."""

from importlib.metadata import EntryPoint

import pytest

from cmss.machine import extensions
from cmss.models import registry
from cmss.separators import catalogue
from tests.support.recipe_calls import call
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata


class _Package:
    name = "mine"


@pytest.fixture
def add(monkeypatch):
    """Returns a function that adds an entry point, as an installed package does."""
    entries: list[EntryPoint] = []

    def forget() -> None:
        for function in (registry.listed, registry.names, registry.records, registry.models):
            function.cache_clear()
        catalogue.SEPARATORS.__dict__.pop("entries", None)

    def add(group: str, name: str, value: str) -> None:
        entry = EntryPoint(name, value, group)
        vars(entry)["dist"] = _Package()
        entries.append(entry)
        forget()

    monkeypatch.setattr(
        extensions, "installed", lambda group: [e for e in entries if e.group == group]
    )
    yield add
    monkeypatch.undo()
    forget()


@pytest.fixture
def data(tmp_path):
    write_metadata(TinyChallenge(tmp_path / "data"))
    return tmp_path


def refused(*words: str, cwd) -> str:
    ended = call("enhance", "path.root=data", *words, cwd=cwd)
    assert (ended.status, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere.at_all:Class", "mine: cannot import nowhere.at_all:Class of the package mine"),
        ("collections:Nothing", "mine: cannot import collections:Nothing of the package mine"),
        ("collections:OrderedDict", "expected collections:OrderedDict to be a dataclass"),
        ("collections:abc", "expected collections:abc to be a dataclass"),
    ],
)
def test_a_separator_that_cannot_be_used_is_a_line(value, message, add, data):
    add("cmss.separators", "mine", value)
    assert message in refused("separator=mine", cwd=data)
    # Other separators are not affected.
    ended = call(
        "enhance", "path.root=data", "separator=passthrough", "evaluate.small_test=true", cwd=data
    )
    assert ended.status == 0, ended.stderr


@pytest.mark.parametrize(
    ("group", "name"),
    [("cmss.separators", "nmf"), ("cmss.separators", "ensemble"), ("cmss.models", "waveunet")],
)
def test_a_name_that_is_in_use_is_refused(group, name, add, data):
    add(group, name, "collections:OrderedDict")
    line = refused("separator=passthrough", cwd=data)
    assert line.startswith(f"{name}: the name of this entry point of the package mine")
    assert "already in use" in line


def test_a_network_without_a_record_is_a_line(add, data):
    add("cmss.models", "mine", "collections:OrderedDict")
    line = refused("separator=mine", "separator.weights_from=none.safetensors", cwd=data)
    assert "expected collections:OrderedDict to be a NetworkRecord with name='mine'" in line


def test_an_unknown_name_may_be_meant_for_an_extension(add, data):
    add("cmss.separators", "registers", "nowhere:Class")
    assert refused("separator=registres", cwd=data).endswith("; did you mean registers?")
