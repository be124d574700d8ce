"""The documentation agrees with the configuration."""

import re
from importlib.resources import files as package_files
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from cmss.commands.program import COMMANDS, help_text
from cmss.hearing.hearing_aid import HearingAid
from cmss.run.choices import COMMON_FILES, add_choices
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
    if group == "separator":
        return ["ensemble", *SEPARATORS]
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(scope="module")
def ours() -> set[str]:
    """Return the keys of every choice of configuration, and the keys of hydra that we set."""
    add_choices()
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
    text = help_text(COMMANDS["enhance"], "cmss enhance")
    comments = (CONF / "config.yaml").read_text(encoding="utf-8")
    # A list whose line ends in a bar continues in the next line.
    named = re.search(rf"{group}=((?:\S+\|\s+)*\S+)", text)
    assert named
    assert set("".join(named[1].split()).split("|")) == set(choices(group))
    line = next(line for line in comments.splitlines() if line.startswith(f"  - {group}:"))
    for choice in choices(group):
        assert choice in line


@pytest.mark.parametrize("name", ["enhance", "evaluate", "merge"])
def test_the_help_text_names_every_separator(name):
    text = help_text(COMMANDS[name], "cmss")
    named = re.search(r"separator=((?:\S+\|\s+)*\S+)", text)
    assert named
    assert "".join(named[1].split()).split("|") == choices("separator")


def test_every_separator_is_a_choice_and_no_file_is_another():
    files = {path.stem for path in (CONF / "separator").glob("*.yaml")}
    assert files - set(choices("separator")) == set(COMMON_FILES)
    add_choices()
    with initialize_config_module("cmss.conf", version_base=None):
        for name in choices("separator"):
            assert compose("config", [f"separator={name}"]).separator.name == name
