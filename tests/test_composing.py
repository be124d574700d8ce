"""The configuration of a program is composed once, and its defaults are those of hydra."""

import pytest
from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import OmegaConf

from cmss.run import composing, overrides
from tests.support.recipe_calls import call


@pytest.fixture
def composed(monkeypatch):
    """The names of the configurations that hydra composes."""
    names: list[str] = []
    original = ConfigLoaderImpl._load_configuration_impl

    def noting(loader, config_name, *args, **more):
        names.append(config_name)
        return original(loader, *args, config_name=config_name, **more)

    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", noting)
    return names


@pytest.mark.parametrize(
    ("recipe", "words", "told"),
    [
        ("enhance", [], "path.root: missing"),
        ("enhance", ["path.root=missing", "separator=passthrough"], "path.scene_listeners_file"),
        ("enhance", ["hydra.mode=RUN"], "path.root: missing"),
        ("enhance", ["soft_clip=true,false"], "soft_clip: several values, but no -m"),
        ("train", ["model=convtasnet"], "path.root: missing"),
        ("fit", [], "path.root: missing"),
    ],
)
def test_a_run_composes_once(recipe, words, told, composed, tmp_path):
    ended = call(recipe, *words, cwd=tmp_path)
    assert (ended.status, len(composed)) == (2, 1)
    assert told in ended.stderr


def test_a_refused_word_is_composed_once_more_for_its_message(composed, tmp_path):
    ended = call("enhance", "softclip=true", cwd=tmp_path)
    assert (ended.status, ended.stderr) == (2, "softclip: no such key; did you mean soft_clip?\n")
    assert len(composed) == 2


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["soft_clip=true", "evaluate.jobs=2", "split=train", "path.root='~/data'"],
        ["separator=convtasnet", "separator.weights_from=none", "ensemble=small"],
        ["profile=official", "+evaluate.other=2"],
        ["remix=mine", "hydra.searchpath=[own]"],
        ["remix=mine", "--config-dir", "own"],
        ["~remix"],
    ],
    ids=" ".join,
)
def test_defaults_are_those_that_hydra_composes(words, tmp_path, monkeypatch):
    (tmp_path / "own/remix").mkdir(parents=True)
    (tmp_path / "own/remix/mine.yaml").write_text("name: consistent\ntrust: 0.25\n")
    compared = []

    def both(of_hydra):
        known = composing.defaults_of(of_hydra)
        fresh = compose(of_hydra.job.config_name, list(composing._words_for_defaults(of_hydra)))
        contents = [OmegaConf.to_container(config, resolve=False) for config in (known, fresh)]
        compared.append(contents)
        assert OmegaConf.is_struct(known)
        return known

    monkeypatch.setattr(overrides, "defaults_of", both)
    call("enhance", *words, cwd=tmp_path)
    assert compared
    for known, fresh in compared:
        assert known == fresh
        assert ("remix=mine" in words) == (known["remix"].get("trust") == 0.25)
