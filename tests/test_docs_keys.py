"""The documentation agrees with the configuration."""

import re
from importlib.resources import files as package_files
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from cmss.hearing.hearing_aid import HearingAid
from cmss.models.registry import NAMES
from cmss.run.configuration import REMIXES
from cmss.run.stage import REFUSED
from cmss.scenes import MetadataPaths
from cmss.separators import SEPARATORS
from cmss.separators.estimators import Segments

ROOT = Path(__file__).parents[1]
CONF = ROOT / "cmss/conf"
PAGE = (ROOT / "docs" / "from_the_baseline.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table below a heading: key in the first column -> the other columns."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:3] == "| `"]
    return {first.strip("`"): rest for first, *rest in cells}


OFFICIAL = rows("Keys of the official configuration")
NEW = rows("Keys that are new")


def leaves(config: DictConfig) -> set[str]:
    """Yield the full keys of all values that are not sections."""
    return _leaves(OmegaConf.to_container(config, resolve=False), "")


def _leaves(section: dict, prefix: str) -> set[str]:
    keys = set()
    for name, value in section.items():
        deeper = isinstance(value, dict)
        keys |= _leaves(value, f"{prefix}{name}.") if deeper else {f"{prefix}{name}"}
    return keys


def choices(group: str) -> list[str]:
    # The common part of the separators' files is not a separator.
    shared = ("base", "network", "templates")
    found = {p.stem for p in (CONF / group).glob("*.yaml") if p.stem not in shared}
    return sorted(found | {*NAMES}) if group == "separator" else sorted(found)


@pytest.fixture(scope="module")
def ours() -> set[str]:
    """Return the keys of every choice of configuration, and the keys of hydra that we set."""
    config = OmegaConf.load(CONF / "config.yaml")
    keys = leaves(OmegaConf.create({"hydra": config.hydra}))
    with initialize_config_module("cmss.conf", version_base=None):
        for group in ("separator", "remix"):
            for choice in choices(group):
                keys |= leaves(compose("config", [f"{group}={choice}"]))
        keys |= leaves(compose("config", ["profile=official"]))
    return keys


def test_every_official_key_is_explained_and_nothing_else():
    path = package_files("recipes.cad2.task2.baseline") / "config.yaml"
    assert OFFICIAL.keys() == leaves(OmegaConf.create(path.read_text(encoding="utf-8")))
    assert {here for here, *_ in OFFICIAL.values()} == {"honoured", "official profile", "refused"}


def test_what_is_refused_is_what_the_page_says():
    assert {key for key, (here, *_) in OFFICIAL.items() if here == "refused"} == REFUSED.keys()


def test_every_key_of_ours_is_explained_and_there(ours):
    honoured = {key for key, (here, *_) in OFFICIAL.items() if here != "refused"}
    assert ours - REFUSED.keys() == honoured | NEW.keys()


def test_every_key_of_ours_is_read():
    """Return the keys outside sections whose dataclasses refuse unknown keys."""
    built = {
        "path": MetadataPaths,
        "enhancer": HearingAid,
        "separator.separation": Segments,
    }
    as_arguments = {f"{k}.{name}" for k, c in built.items() for name in c.__dataclass_fields__}
    for section, kinds in (("separator", SEPARATORS), ("remix", REMIXES)):
        for kind in kinds.values():
            as_arguments |= {f"{section}.{name}" for name in kind.__dataclass_fields__}
    code = "\n".join(
        path.read_text(encoding="utf-8")
        for folder in ("cmss", "recipes")
        for path in (ROOT / folder).rglob("*.py")
    )
    yaml = "\n".join(path.read_text(encoding="utf-8") for path in CONF.rglob("*.yaml"))
    config = OmegaConf.load(CONF / "config.yaml")
    del config["defaults"], config["hydra"]
    for key in leaves(config) - as_arguments:
        read = re.search(rf"\bconfig\.{re.escape(key)}\b", code) or f"${{{key}}}" in yaml
        assert read, f"{key} is read by nobody"


@pytest.mark.parametrize("group", ["remix", "profile"])
def test_choices_are_named_where_users_look(group):
    help_text = (CONF / "hydra" / "help" / "stages.yaml").read_text(encoding="utf-8")
    comments = (CONF / "config.yaml").read_text(encoding="utf-8")
    # A list whose line ends in a bar continues in the next line.
    named = re.search(rf"{group}=((?:\S+\|\s+)*\S+)", help_text)
    assert named
    assert set("".join(named[1].split()).split("|")) == set(choices(group))
    line = next(line for line in comments.splitlines() if line.startswith(f"  - {group}:"))
    for choice in choices(group):
        assert choice in line


def test_the_help_text_names_what_the_registry_has():
    text = (CONF / "hydra" / "help" / "stages.yaml").read_text(encoding="utf-8")
    assert "separator=${separators:}" in text
    named = OmegaConf.create({"text": "${separators:}"}).text
    assert set("".join(named.split()).split("|")) == set(choices("separator"))


def test_every_separator_is_a_choice():
    assert set(choices("separator")) == {*SEPARATORS, "ensemble"}
