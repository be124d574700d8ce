"""An unknown name ends with status 2 and one line that suggests the most similar known name."""

import pytest

from cmss.commands.program import main
from cmss.errors import did_you_mean
from tests.support.recipe_calls import call
from tests.support.tiny_challenge import TinyChallenge
from tests.support.tiny_run import write_metadata


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("suggestions") / "data"
    write_metadata(TinyChallenge(root))
    return root


@pytest.mark.parametrize(
    ("recipe", "word", "line", "suggested"),
    [
        # Keys: in the wrong section, without a section, in a section that is misspelt.
        ("enhance", "evaluate.job=2", "evaluate.job: no such key", "evaluate.jobs"),
        ("enhance", "jobs=2", "jobs: no such key", "evaluate.jobs"),
        ("enhance", "evalute.jobs=2", "evalute.jobs: no such key", "evaluate.jobs"),
        ("enhance", "seperator=nmf", "seperator: no such key", "separator"),
        ("enhance", "evaluate={jobs: 1, job: 2}", "evaluate.job: no such key", "evaluate.jobs"),
        ("enhance", "~evalute", "evalute: no such key", "evaluate"),
        ("enhance", "hydra.run.dr=x", "hydra.run.dr: no such key", "hydra.run.dir"),
        ("enhance", "+separator.devic=cpu", "separator.devic: no such setting", "device"),
        ("enhance", "+remixx=1", "remixx: no such key", "remix"),
        ("evaluate", "evaluate.batchsize=2", "evaluate.batchsize: no such key",
         "evaluate.batch_size"),
        ("merge_results", "submission.teem=T1", "submission.teem: no such key", "submission.team"),
        ("fit", "poool=linear", "poool: no such key", "pool"),
        ("fit_dictionaries", "lags=2", "lags: no such key", "dictionaries.lags"),
        ("fit_postfilter", "trianing.steps=2", "trianing.steps: no such key", "training.steps"),
        ("train", "model.targt=a.B", "model.targt: no such key", "model.target"),
        # Choices and names.
        ("enhance", "separator=nfm", "separator: no 'nfm'", "nmf"),
        ("enhance", "ensemble=mta", "ensemble: no 'mta'", "meta"),
        ("enhance", "remix=oficial", "remix: no 'oficial'", "official"),
        ("enhance", "remix.name=oficial", "remix.name: 'oficial'", "official"),
        ("enhance", "profile=Offical", "profile: no 'Offical'", "official"),
        ("enhance", "hydra/launcher=baisc", "hydra/launcher: no 'baisc'", "basic"),
        ("enhance", "on_change=rdo", "on_change: Input should be", "redo"),
        ("enhance", "separator.steps=[{name: winer}]", "separator.steps.0: ", "wiener"),
        ("enhance", "ensemble.members=[{name: nfm, weight: 1}]", "separator: 'nfm'", "nmf"),
        ("fit", "members=[{name: convtasnte}]", "members[0].name: 'convtasnte'", "convtasnet"),
        ("train", "model=waveunte", "model: no 'waveunte'", "waveunet"),
        ("train", "size=smal", "model=convtasnet size=smal: unknown",
         "model=convtasnet size=small"),
        ("train", "instrument=Vioiln size=paper", "instrument: 'Vioiln'", "Violin"),
        # Values.
        ("enhance", "split=vaild", "split: no ", "valid"),
        ("enhance", "separator.causality=casual", "separator.causality: Input should", "causal"),
        ("enhance", "ensemble.pool=logaritmic", "ensemble.pool: 'logaritmic'", "logarithmic"),
        ("enhance", "separator.device=cpuu", "separator.device: ", "cpu"),
        # Options.
        ("enhance", "--hlep", "--hlep: no such option", "--help"),
        ("train", "--mutlirun", "--mutlirun: no such option", "--multirun"),
    ],
)  # fmt: skip
def test_what_is_similar_is_suggested(recipe, word, line, suggested, data, tmp_path):
    words = word.split() if "size=" in word else [word]
    ended = call(recipe, f"path.root={data}", *words, cwd=tmp_path)
    assert (ended.status, ended.stdout) == (2, "")
    found = [text for text in ended.stderr.splitlines() if text.startswith(line)]
    assert len(found) == 1, ended.stderr
    assert found[0].endswith(f"; did you mean {suggested}?")
    assert "hydra" not in ended.stderr.replace(word.split("=")[0], "").replace(suggested, "")


def test_every_unknown_key_has_a_line(tmp_path):
    ended = call("enhance", "jobs=2", "evalute.batch=3", "nothing.similar=1", cwd=tmp_path)
    assert ended.stderr.splitlines() == [
        "jobs: no such key; did you mean evaluate.jobs?",
        "evalute.batch: no such key; did you mean evaluate.batch?",
        "nothing.similar: no such key",
    ]


def test_a_key_of_an_empty_section_must_be_added(tmp_path):
    ended = call("train", "loss.modulation=4", cwd=tmp_path)
    assert ended.stderr == "loss.modulation: no such key; to add it type +loss.modulation=VALUE\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["a=1", "-m", "b=2"], "b=2: expected options such as -m before the first KEY=VALUE"),
        (["--config-dir"], "argument --config-dir/-cd: expected one argument"),
        (["--config-name=mine"], "--config-name: no configuration 'mine'"),
    ],
)
def test_other_errors_of_options_are_one_line(words, line, tmp_path):
    ended = call("enhance", *words, cwd=tmp_path)
    assert (ended.status, ended.stderr.splitlines()) == (2, [line])


def test_an_unknown_command_is_one_line(capsys):
    assert main(["enahnce", "path.root=x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cmss: enahnce: no such command, expected one of listen, desk, enhance")
    assert line.endswith("; did you mean enhance?")


def test_nothing_is_suggested_where_nothing_is_similar():
    assert did_you_mean("xyz", ["separator", "remix"]) == ""
    assert did_you_mean("SEPARATOR", ["separator", "remix"]) == "; did you mean separator?"
