"""Command lines of the stages: values that hydra misreads, and their messages."""

import subprocess
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.support.recipe_calls import Ended, call
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata

ONE_PAIR = "scene,listener\nS50001,L5001\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Data of two tracks and three pairs."""
    root = tmp_path_factory.mktemp("overrides") / "data"
    write_metadata(TinyChallenge(root))
    return root


@pytest.fixture
def here(data, tmp_path):
    """A folder with the data and a list of one pair."""
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "one.csv").write_text(ONE_PAIR)
    return tmp_path


def enhance(here: Path, *words: str) -> Ended:
    """Enhance one pair by passthrough."""
    usual = ("path.root=data", "separator=passthrough", "evaluate.pairs=one.csv")
    return call("enhance", *usual, *words, cwd=here)


def line(ended: Ended, status: int = 2) -> str:
    assert (ended.status, ended.stdout) == (status, ""), ended
    (only,) = ended.stderr.splitlines()
    return only


def through_sh(word: str) -> str:
    """Return the words that a program receives for a text typed in a shell."""
    done = subprocess.run(["sh", "-c", f"printf %s. {word}"], capture_output=True, check=True)
    return done.stdout.decode().removesuffix(".")


# Names of files and folders with a special meaning for hydra.


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("path.root", "Müller"),
        ("path.exp_folder", "日本語"),
        ("path.root", "data (1)"),
        ("path.exp_folder", "fold=1"),
        ("path.root", "O'Neil"),
        ("path.exp_folder", 'say "ah"'),
        ("path.exp_folder", "a,b"),
        ("path.root", "#1"),
        ("path.root", "[1]"),
        ("path.exp_folder", "{a: 1}"),
        ("path.exp_folder", "a;b`c!&"),
        ("path.root", "${HOME}"),
        ("path.root", '\\" ("'),
        ("path.root", "true"),
        ("path.exp_folder", "null"),
    ],
)
def test_a_name_that_hydra_reads_otherwise_is_shown_as_it_works(key, name, here, data):
    if key == "path.root":
        (here / name).symlink_to(data)
    told = line(enhance(here, f"{key}={name}"))
    assert told.startswith(f"{key}: ")
    ended = enhance(here, through_sh(told.rpartition(" type ")[2]))
    assert ended.status == 0, ended
    folder = here / (name if key == "path.exp_folder" else "exp")
    assert list(folder.rglob("*.flac"))
    assert {path.name for path in here.iterdir()} <= {"data", "one.csv", "exp", name}


@pytest.mark.parametrize("name", ["2026_11_29", "1e3", "007", "x y", "a:b", "a+b@c", r"a\b"])
def test_other_names_are_taken_as_they_are(name, here):
    ended = enhance(here, f"path.exp_folder={name}")
    assert ended.status == 0, ended
    assert list((here / name).rglob("*.flac"))
    assert {path.name for path in here.iterdir()} == {"data", "one.csv", name}


def test_a_space_that_the_shell_split_at_is_pointed_out(here, data):
    (here / "my own data").symlink_to(data)
    told = line(enhance(here, "path.root=my", "own", "data"))
    assert told.startswith("own: expected KEY=VALUE")
    ended = enhance(here, through_sh(told.rpartition(" type ")[2]))
    assert ended.status == 0, ended


@pytest.mark.parametrize("word", ["Müller=1", "a b=1", "evaluate jobs"])
def test_a_word_without_a_key_is_shown(word, here):
    assert line(enhance(here, word)).startswith(f"{word}: expected KEY=VALUE")


def test_a_list_of_names_is_shown_as_a_list(here):
    told = line(enhance(here, "compare=[run (1),run (2)]"))
    assert through_sh(told.rpartition(" type ")[2]) == 'compare=["run (1)","run (2)"]'


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("separator=null", "separator: expected the name of a choice, got null"),
        ("remix=7", "remix: expected the name of a choice, got 7"),
        ("enhancer=mine", "enhancer: no 'mine', expected one of challenge"),
        ("evaluate.job=2", "evaluate.job: no such key"),
        ("+nothing=2", "nothing: no such key"),
        ("soft_clip=true,false", "soft_clip: several values, but no -m"),
        ("~evaluate", "evaluate: missing, expected a section"),
        ("submission=none", "submission: expected a section with team, supplement"),
        ("path.music_dir=${nothing}", "path.music_dir: Interpolation key 'nothing' not found"),
        ("path.exp_folder=\\${x}", "path.exp_folder: hydra cannot write into a folder whose name"),
        ("split=${split}", "split: Recursive interpolation detected"),
        ("split=???", "split: missing, expected split=VALUE on the command line"),
        ("ensemble.members=[small]", "ensemble.members.0: expected a section, got 'small'"),
        ("profile=[nan]", "profile: expected the name of a choice"),
        ("enhancer.attack=[11,inf]", "enhancer.attack[1]: Input should be a finite number"),
    ],
)
def test_what_cannot_be_is_one_line_with_its_key(word, told, here):
    assert line(enhance(here, word)).startswith(told)


OWN_FOLDER = [["hydra.searchpath=[own]"], ["--config-dir", "own"]]


@pytest.mark.parametrize("words", OWN_FOLDER, ids=["searchpath", "config-dir"])
@pytest.mark.parametrize(
    ("group", "text", "chosen"),
    [
        ("ensemble", "normalise: false\nedges_hz: []\nmembers: []\n", ["separator=passthrough"]),
        ("remix", "name: consistent\ntrust: 0.25\n", []),
    ],
)
def test_choices_in_a_folder_of_the_user_are_found(group, text, chosen, words, here):
    (here / "own" / group).mkdir(parents=True)
    (here / f"own/{group}/mine.yaml").write_text(text)
    ended = enhance(here, *chosen, f"{group}=mine", *words)
    assert ended.status == 0, ended
    kept = OmegaConf.load(here / "exp/config.yaml")
    assert OmegaConf.to_yaml(kept[group]) == text


def test_several_jobs_are_still_several_values_of_a_key(here):
    words = ("evaluate.batch=0,1", "evaluate.batch_size=2", "evaluate.pairs=null")
    for stage in ("enhance", "evaluate"):
        first = ("path.root=data", "separator=passthrough") if stage == "enhance" else ()
        ended = call(stage, "-m", *first, *words, "evaluate.jobs=1", cwd=here)
        assert ended.status == 0, ended
    assert len(list((here / "exp").rglob("*.flac"))) == 3
    assert len(list((here / "exp").glob("scores*.csv"))) == 2


# Home folders and empty variables.


def test_home_is_expanded_wherever_a_path_is_given(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    words = ['path.exp_folder="~/run"', 'evaluate.pairs="~/one.csv"']
    first = ['path.root="~/data"', "separator=passthrough"]
    for stage, more in (
        ("enhance", first),
        ("evaluate", ["evaluate.jobs=1"]),
        ("merge_results", ["report=false", 'compare=["~/run"]']),
    ):
        ended = call(stage, *words, *more, cwd=elsewhere)
        assert ended.status == 0, ended
    assert not list(elsewhere.iterdir())
    assert (here / "run" / "scores.csv").is_file()
    network = ("separator=convtasnet", 'separator.weights_from="~/w.safetensors"')
    assert line(call("enhance", *words, *first, *network, cwd=elsewhere)).startswith(f"{here}/w.sa")


@pytest.mark.parametrize("key", ["path.root", "path.exp_folder", "evaluate.pairs"])
def test_a_home_of_nobody_is_refused(key, here):
    told = line(enhance(here, f'{key}="~nobody there/x"'))
    assert told.startswith(f"{key}: there is no user with the home folder ~nobody there")
    assert {path.name for path in here.iterdir()} <= {"data", "one.csv", "exp"}


@pytest.mark.parametrize("stage", ["enhance", "evaluate", "merge_results"])
def test_an_empty_variable_writes_nothing_into_the_current_folder(stage, here):
    ended = call(stage, "path.root=data", "path.exp_folder=", cwd=here)
    assert line(ended) == "path.exp_folder: empty, expected a path"
    assert {path.name for path in here.iterdir()} == {"data", "one.csv"}


@pytest.mark.parametrize(
    "word", ["path.root=", "path.gains_file=", "evaluate.pairs=", "compare=['']"]
)
def test_an_empty_path_is_named(word, here):
    assert "empty, expected a path" in line(enhance(here, word))


# Later stages.


def test_later_stages_take_the_words_of_enhance(here):
    words = [
        "path.root=data",
        "evaluate.pairs=one.csv",
        "separator=passthrough",
        "ensemble=small",
        "remix=official",
        "enhancer=challenge",
        "enhancer.attack=12",
        "profile=default",
        "soft_clip=true",
        "submission={team: T007}",
    ]
    for stage in ("enhance", "evaluate", "merge_results"):
        ended = call(stage, *words, cwd=here)
        assert ended.status == 0, ended
    assert (here / "exp" / "submission_T007_noncausal").is_dir()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("separator=oracle", "separator.name: oracle, but enhance.py has made the run with passth"),
        ("remix=official", "remix.name: official, but enhance.py has made the run with consis"),
        ("remix.trust=0.5", "remix.trust: 0.5, but enhance.py has made the run with 1.0; leave "),
        ("profile=official", "profile: official, but enhance.py has made the run with default"),
        (
            "ensemble=small",
            "ensemble.members: [{'name': 'convtasnet', 'weights_from': 'small', 'weight': 1.0}], ",
        ),
        ("soft_clip=true", "soft_clip: True, but enhance.py has made the run with False"),
        ("separator.causality=causal", "separator.causality: causal, but enhance.py has made the"),
    ],
)
def test_what_enhance_decided_is_not_changed_later(word, told, enhanced):
    assert line(call("evaluate", word, cwd=enhanced)).startswith(told)


@pytest.fixture(scope="module")
def enhanced(data, tmp_path_factory):
    """A folder with a run that was enhanced."""
    folder = tmp_path_factory.mktemp("enhanced")
    (folder / "data").symlink_to(data)
    (folder / "one.csv").write_text(ONE_PAIR)
    assert enhance(folder).status == 0
    return folder


# No pairs.


@pytest.mark.parametrize("text", ["scene,listener\n", "listener,scene,why\n\n"])
@pytest.mark.parametrize("stage", ["enhance", "evaluate", "merge_results"])
def test_a_list_without_pairs_is_refused(stage, text, enhanced):
    path = enhanced / "none.csv"
    path.write_text(text)
    told = line(call(stage, "path.root=data", "evaluate.pairs=none.csv", cwd=enhanced))
    assert told.startswith(f"{path}: evaluate.pairs: no rows")


def test_metadata_without_pairs_are_refused(here):
    (here / "none.json").write_text("{}")
    ended = enhance(here, "path.scene_listeners_file=none.json", "evaluate.pairs=null")
    assert line(ended).startswith(f"{here}/none.json: no scene has a listener")


def test_a_job_without_a_track_has_nothing_to_do(here):
    for stage in ("enhance", "evaluate"):
        words = ("path.root=data", "separator=passthrough", "evaluate.pairs=one.csv")
        ended = call(stage, *words, "evaluate.batch_size=3", "evaluate.batch=2", cwd=here)
        assert ended.status == 0, ended


# The configuration that enhance.py has written.


DAMAGES = {
    "zero byte": lambda text: text[:200] + b"\x00" + text[200:],
    "list": lambda text: b"- a\n- list\n" + text[:0],
    "brackets": lambda text: text.replace(b"evaluate:", b"evaluate: [").replace(b"remix:", b"'"),
    "cut": lambda text: text.split(b"evaluate:")[0],
    "empty": lambda text: text[:0],
    "no text": lambda text: b"\xff\xfe\xfd" + text,
}


def test_a_damaged_configuration_of_a_run_is_named(here):
    assert enhance(here, "path.exp_folder=run").status == 0
    kept = here / "run" / "config.yaml"
    as_it_was = kept.read_bytes()
    for name, damage in DAMAGES.items():
        kept.write_bytes(damage(as_it_was))
        for stage in ("evaluate", "merge_results"):
            ended = call(stage, "path.exp_folder=run", cwd=here)
            assert ended.status == 2, (name, ended)
            assert all(str(kept) in line for line in ended.stderr.splitlines()), (name, ended)
    # As advised by the message.
    assert enhance(here, "path.exp_folder=run").status == 0
    assert call("evaluate", "path.exp_folder=run", "evaluate.jobs=1", cwd=here).status == 0
