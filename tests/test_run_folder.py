import json

import pytest
from omegaconf import DictConfig, OmegaConf

from cmss.errors import InputError
from cmss.run.folder import (
    absolute_paths,
    continued_configuration,
    job,
    save_configuration,
    save_provenance,
)
from tests.support.played_set import configuration


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Return the current folder, whose parent also belongs to the test."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def enhanced(*overrides: str) -> None:
    """Save a configuration as enhance.py does."""
    save_configuration(absolute_paths(configuration("../data", *overrides)))


def called(word: str) -> DictConfig:
    """Return the configuration of a later stage with a word on its command line."""
    key, _, value = word.partition("=")
    return continued_configuration(configuration("???", word), {key: value})


def test_relative_paths_are_those_of_the_callers_folder(here, monkeypatch):
    config = absolute_paths(configuration("../data", "evaluate.pairs=list.csv"))
    monkeypatch.chdir(here.parent)
    assert config.path.root == str(here.parent / "data")
    assert config.path.exp_folder == str(here / "exp")
    assert config.path.gains_file == str(here.parent / "data" / "metadata" / "gains.json")
    assert config.evaluate.pairs == str(here / "list.csv")


def test_a_later_stage_goes_on_with_the_configuration_of_enhance(here, monkeypatch):
    enhanced("separator=oracle", "remix.trust=0.5", "evaluate.pairs=list.csv", "split=train")
    monkeypatch.chdir(here.parent)
    config = continued_configuration(configuration("???", "path.exp_folder=here/exp"), {})
    assert config.separator.name == "oracle"
    assert config.remix.trust == 0.5
    assert config.path.root == str(here.parent / "data")
    assert config.path.exp_folder == str(here / "exp")
    assert config.path.scenes_file.endswith("data/metadata/scenes.train.json")
    assert config.evaluate.pairs == str(here / "list.csv")


def test_its_own_overrides_come_on_top(here):  # noqa: ARG001
    enhanced("evaluate.jobs=7", "submission.team=T001")
    config = called("evaluate.jobs=2")
    assert config.evaluate.jobs == 2
    assert config.submission.team == "T001"


def test_the_share_of_one_job_is_not_that_of_later_stages(here):  # noqa: ARG001
    enhanced("evaluate.batch_size=3", "evaluate.batch=2")
    config = continued_configuration(configuration("???"), {})
    assert (config.evaluate.batch, config.evaluate.batch_size) == (0, 1)


def test_data_that_have_moved_are_found_by_their_root_alone(here):
    enhanced("path.metadata_dir=../other/metadata", "path.gains_file=gains.json")
    config = continued_configuration(configuration("../moved"), {"path.root": "../moved"})
    assert config.path.music_dir == str(here.parent / "moved" / "audio")
    # Paths that were given separately do not change, nor do paths that refer to them.
    assert config.path.scenes_file == str(here.parent / "other" / "metadata/scenes.valid.json")
    assert config.path.gains_file == str(here / "gains.json")


def test_another_split_names_other_files(here):
    enhanced()
    config = called("split=test")
    assert config.path.music_file == str(here.parent / "data" / "metadata" / "music.test.json")


def test_results_are_not_deleted_by_a_stage_that_was_not_asked_to(here):  # noqa: ARG001
    enhanced("on_change=redo")
    assert continued_configuration(configuration("???"), {}).on_change == "error"
    asked = continued_configuration(configuration("???", "on_change=redo"), {"on_change": "redo"})
    assert asked.on_change == "redo"


def test_a_run_of_before_a_key_was_there_has_its_default(here):
    enhanced()
    path = here / "exp" / "config.yaml"
    kept = OmegaConf.load(path)
    del kept["stems"], kept["on_change"], kept["submission"]["part_mb"]
    OmegaConf.save(kept, path)
    config = called("submission.part_mb=9.5")
    assert (config.stems, config.on_change, config.submission.part_mb) == (False, "error", 9.5)


def test_a_job_is_done_by_one_process_and_clears_what_killed_ones_left(here):
    config = absolute_paths(configuration("../data"))
    signals = here / "exp" / "enhanced_signals" / "valid"
    signals.mkdir(parents=True)
    left = [place / f".a.flac.{'0' * 32}.tmp" for place in (here / "exp", signals)]
    for path in left:
        path.write_text("half")
    with job(config, "enhance", 1, 3) as folder:
        assert folder == here / "exp"
        assert not any(path.exists() for path in left)
        with job(config, "enhance", 2, 3), job(config, "evaluate", 1, 3):
            pass
        with (
            pytest.raises(InputError, match=r"exp: another process .*: enhance\.py, job 2 of 3$"),
            job(config, "enhance", 1, 3),
        ):
            pass
    assert list(folder.iterdir()) == [folder / "enhanced_signals"]


def test_without_a_run_there_must_be_data(here):
    with pytest.raises(InputError, match=f"{here}/exp/config.yaml: no such file"):
        continued_configuration(configuration("???"), {})
    config = continued_configuration(configuration("../data"), {"path.root": "../data"})
    assert config.path.root == str(here.parent / "data")


def test_provenance_says_what_made_a_run(here):
    config = absolute_paths(configuration("../data"))
    save_provenance(here, config, {"weights.safetensors": "digest"}, {"separation_s": 1.5})
    provenance = json.loads((here / "provenance.json").read_text())
    assert provenance["configuration"] == OmegaConf.to_container(config, resolve=True)
    assert provenance["weights"] == {"weights.safetensors": "digest"}
    assert {"pyclarity", "torch", "numpy"} <= set(provenance["libraries"])
    assert provenance["compute"]["separation_s"] == 1.5
    assert provenance["compute"]["processor"].endswith(" cores")


def test_jobs_that_share_a_run_out_state_the_weights_of_all(here):
    """Each job loads the weights of its instruments."""

    def weights(*overrides: str, **loaded: str) -> dict[str, str]:
        save_provenance(
            here, absolute_paths(configuration("../data", *overrides)), loaded, {"x_s": 1}
        )
        return json.loads((here / "provenance.json").read_text())["weights"]

    assert weights("evaluate.batch=1", Viola="v1", Oboe="o1") == {"Oboe": "o1", "Viola": "v1"}
    assert weights("evaluate.batch=0", Viola="v2", Cello="c") == {
        "Cello": "c",
        "Oboe": "o1",
        "Viola": "v2",
    }
    assert weights("separator.causality=causal", Flute="f") == {"Flute": "f"}
    (here / "provenance.json").write_text("[]")
    assert weights(Sax="s") == {"Sax": "s"}
    assert [path.name for path in here.iterdir()] == ["provenance.json"]
