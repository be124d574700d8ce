"""The programs as a user runs them, from an empty folder, on a set of two short tracks.

Each stage is run once as a new process. All other calls are forks of a server
(:mod:`tests.support.stage_server`), because a new process takes seconds for its imports.
"""

import json
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pandas as pd
import pytest
import soundfile

from tests.support.played_set import SHORT_PIECES, write_played_set
from tests.support.published_networks import COMMIT, fill_hub_cache
from tests.support.stage_server import StageServer
from tests.support.stages import run_stage, succeeded
from tests.support.tiny_scores import OFFICIAL_COLUMNS

DATA = "path.root=../challenge"
LISTENERS = ("L5001", "L5999")
PAIRS = [(f"S5000{scene}", listener) for scene in (1, 2) for listener in LISTENERS]
FLACS = {f"enhanced_signals/valid/{scene}_{listener}_remix.flac" for scene, listener in PAIRS}
SUBSET = [("S50002", "L5999"), ("S50001", "L5001")]
SUBMISSION = "submission_T042_noncausal_aug"


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@dataclass
class Desk:
    """Where the programs are run.

    Args:
        server: runs calls in forks.
        folder: the current folder of those that run there, empty at first.
        elsewhere: another, from which the later stages are called too.
        challenge: the data.
        scratch: for temporary files.
        hub: the cache of the hub's client, which is told to stay offline.
        kept: files of a run that a later run writes over, by a name given here.
    """

    server: StageServer
    folder: Path
    elsewhere: Path
    challenge: Path
    scratch: Path
    hub: Path
    kept: dict[str, bytes] = field(default_factory=dict)

    def run(
        self, stage: str, *overrides: str, elsewhere: bool = False, new_process: bool = False
    ) -> CompletedProcess[str]:
        """Run a stage, which may fail, in a fork or in a new process."""
        cwd = self.elsewhere if elsewhere else self.folder
        env = {
            "TMPDIR": str(self.scratch),
            "HF_HUB_CACHE": str(self.hub),
            "HF_HUB_OFFLINE": "1",
        }
        if new_process:
            return run_stage(stage, *overrides, cwd=cwd, env=env)
        done = self.server.run(stage, *overrides, cwd=cwd, env=env)
        return CompletedProcess([stage, *overrides], done.status, done.stdout, done.stderr)

    def keep(self, name: str, path: str) -> None:
        """Remember a file as it is now."""
        self.kept[name] = (self.folder / path).read_bytes()


@pytest.fixture(scope="module")
def desk(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("end_to_end")
    names = ("desk", "elsewhere", "challenge", "scratch", "hub")
    made = Desk(server, *(folder / name for name in names))
    write_played_set(made.challenge, SHORT_PIECES, listeners_per_scene=2, listeners=2)
    for empty in (made.folder, made.elsewhere, made.scratch):
        empty.mkdir()
    return made


@pytest.fixture(scope="module")
def runs(desk):
    """Run the chains of all stages; return what each stage of the first chain printed."""
    before = contents(desk.challenge)
    pairs_file = desk.challenge.parent / "pairs.csv"
    pairs_file.write_text("scene,listener\n" + "".join(f"{s},{n}\n" for s, n in SUBSET))

    def oracle() -> dict[str, CompletedProcess[str]]:
        at = "path.exp_folder=../desk/oracle"
        done = {}
        done["enhance"] = succeeded(
            desk.run(
                "enhance", DATA, "path.exp_folder=oracle", "separator=oracle", new_process=True
            )
        )
        done["evaluate"] = succeeded(
            desk.run("evaluate", at, "evaluate.jobs=2", elsewhere=True, new_process=True)
        )
        desk.keep("oracle", "oracle/scores.csv")
        desk.keep("components", "oracle/components.csv")
        for batch in range(2):
            shard = [f"evaluate.batch={batch}", "evaluate.batch_size=2", "evaluate.jobs=1"]
            succeeded(desk.run("evaluate", "path.exp_folder=oracle", *shard))
        (desk.folder / "oracle" / "scores.csv").unlink()
        done["merge"] = succeeded(
            desk.run(
                "merge_results",
                at,
                "evaluate.batch_size=2",
                "submission.team=T042",
                "submission.supplement=aug",
                elsewhere=True,
                new_process=True,
            )
        )
        return done

    def passthrough() -> None:
        at = "path.exp_folder=passthrough"
        succeeded(desk.run("enhance", DATA, at, "separator=passthrough"))
        succeeded(desk.run("evaluate", at, "evaluate.jobs=1"))
        desk.keep("passthrough", "passthrough/scores.csv")
        succeeded(
            desk.run(
                "evaluate",
                at,
                "evaluate.pairs=../pairs.csv",
                "evaluate.jobs=1",
                "on_change=redo",
            )
        )
        desk.keep("subset", "passthrough/scores.csv")

    done = oracle()
    passthrough()
    assert contents(desk.challenge) == before
    return done


def scores(desk: Desk, name: str) -> pd.DataFrame:
    path = desk.scratch.parent / f"{name}.csv"
    path.write_bytes(desk.kept[name])
    return pd.read_csv(path)


# The chain.


def test_every_pair_has_an_enhanced_file_as_the_rules_want(desk, runs):
    for name in ("oracle", "passthrough"):
        files = {path for path in contents(desk.folder / name) if path.startswith("enhanced")}
        assert files == FLACS
        for path in FLACS:
            info = soundfile.info(desk.folder / name / path)
            assert (info.format, info.subtype) == ("FLAC", "PCM_16")
            assert (info.samplerate, info.channels, info.frames) == (32000, 2, 2 * 32000)
    assert runs["enhance"].stdout.startswith("4 pairs enhanced in")


def test_true_stems_score_high_and_the_mixture_lower(desk, runs):
    true, mixture = scores(desk, "oracle"), scores(desk, "passthrough")
    assert true.avg_haaqi.mean() > 0.95
    assert mixture.avg_haaqi.mean() < true.avg_haaqi.mean() - 0.1
    assert f"mean HAAQI {true.avg_haaqi.mean():.4f}" in runs["evaluate"].stdout


def test_the_scores_file_has_the_official_columns_and_all_pairs(desk, runs):  # noqa: ARG001
    table = scores(desk, "oracle")
    assert list(table.columns) == OFFICIAL_COLUMNS
    assert sorted(zip(table.scene, table.listener, strict=True)) == PAIRS
    np.testing.assert_allclose(
        table.avg_haaqi, (table.left_haaqi + table.right_haaqi) / 2, rtol=1e-12
    )


def test_scored_again_in_shards_and_joined_is_the_same_file(desk, runs):  # noqa: ARG001
    """Whatever the number of processes, and whatever one of them scored before."""
    joined = contents(desk.folder / "oracle")
    assert joined["scores.csv"] == desk.kept["oracle"]
    assert joined["components.csv"] == desk.kept["components"]
    rows = [joined[f"scores_{batch}-2.csv"].decode().splitlines()[1:] for batch in (1, 2)]
    assert [len(shard) for shard in rows] == [2, 2]


def test_a_listed_subset_has_the_scores_of_the_whole(desk, runs):  # noqa: ARG001
    key = ["scene", "listener"]
    whole = scores(desk, "passthrough").set_index(key)
    subset = scores(desk, "subset").set_index(key)
    assert sorted(subset.index) == sorted(SUBSET)
    pd.testing.assert_frame_equal(subset, whole.loc[subset.index])


def test_nothing_is_written_outside_the_folder_of_the_run(desk, runs, others):  # noqa: ARG001
    assert contents(desk.elsewhere) == {}
    assert contents(desk.scratch) == {}
    names = {path.name for path in desk.folder.iterdir()}
    assert names == {"oracle", "passthrough", "small", "hub", "refused"}


def test_the_folder_of_a_run_holds_what_was_announced(desk, runs):  # noqa: ARG001
    hydra = {
        f".hydra/{stage}/{name}.yaml"
        for stage in ("enhance", "evaluate", "merge_results")
        for name in ("config", "hydra", "overrides")
    }
    kinds = ("scores", "components", "fingerprints")
    tables = {f"{kind}.csv" for kind in (*kinds, "summary")}
    tables |= {f"{kind}_{batch}-2.csv" for kind in kinds for batch in (1, 2)}
    submission = {f"{SUBMISSION}/{name}" for name in ("checksums.sha256", "provenance.json")}
    submission |= {f"{SUBMISSION}/{path}" for path in FLACS}
    expected = hydra | tables | submission | FLACS
    expected |= {f"listeners/{listener}.csv" for listener in LISTENERS}
    expected |= {"config.yaml", "provenance.json", "technical_report.md", f"{SUBMISSION}.zip"}
    assert {x for x in contents(desk.folder / "oracle") if not x.startswith("report/")} == expected
    page = (desk.folder / "oracle" / "report" / "index.html").read_text()
    for pair in FLACS:
        assert Path(pair).stem.removesuffix("_remix") in page


def test_the_archive_holds_the_enhanced_files_and_no_more(desk, runs):
    run = desk.folder / "oracle"
    with zipfile.ZipFile(run / f"{SUBMISSION}.zip") as archive:
        assert set(archive.namelist()) == FLACS
        for path in FLACS:
            assert archive.read(path) == (run / path).read_bytes()
    assert f"archive: {run / SUBMISSION}.zip" in runs["merge"].stdout


def test_the_summary_names_ensembles_and_listeners(desk, runs):
    table = pd.read_csv(desk.folder / "oracle" / "summary.csv")
    names = {(row["group"], row["name"]) for _, row in table.iterrows()}
    assert {("overall", "all"), ("ensemble", "string"), ("ensemble", "wind")} <= names
    assert {("listener", listener) for listener in LISTENERS} <= names
    for name in ("string", "wind", *LISTENERS):
        assert name in runs["merge"].stdout


def test_later_stages_use_the_configuration_of_enhance(desk, runs):  # noqa: ARG001
    """They were called from another folder, without path.root and separator."""
    provenance = json.loads((desk.folder / "oracle" / "provenance.json").read_text())
    configuration = provenance["configuration"]
    assert configuration["separator"]["name"] == "oracle"
    assert configuration["path"]["root"] == str(desk.challenge)
    assert configuration["path"]["exp_folder"] == str(desk.folder / "oracle")


def test_no_bars_where_there_is_no_terminal(runs):
    for done in runs.values():
        assert done.stderr == ""


# Other ways to run it.


@pytest.fixture(scope="module")
def others(desk, runs):  # noqa: ARG001
    """Return what other runs printed, most of them refused."""
    spoilt = desk.challenge.parent / "spoilt"
    spoil(desk.challenge, spoilt)
    gap = desk.challenge.parent / "gap"
    shutil.copytree(desk.folder / "passthrough", gap)
    (gap / sorted(FLACS)[1]).unlink()
    (gap / sorted(FLACS)[2]).unlink()
    (desk.challenge.parent / "no_weights").mkdir()
    fill_hub_cache(desk.hub, ["Oboe", "Bassoon", "Violin", "Cello"])
    first = "evaluate.small_test=true"  # of four pairs
    refused = "path.exp_folder=refused"
    network = ["separator=convtasnet", "separator.device=cpu"]
    calls = {
        "default": ["enhance", DATA, "path.exp_folder=small", first],
        "hub": [
            "enhance",
            DATA,
            "path.exp_folder=hub",
            *network,
            "separator.weights_from=official",
        ],
        "no weights": ["enhance", DATA, refused, *network, "separator.weights_from=../no_weights"],
        "metadata": ["enhance", "path.root=../spoilt", refused, "separator=oracle"],
        "no root": ["enhance", refused],
        "key": ["evaluate", DATA, refused, "separator.sgment=3"],
        "separator": ["evaluate", DATA, refused, "separator=sorcery"],
        "decided": ["evaluate", "path.exp_folder=oracle", "separator=passthrough"],
        "gap": ["evaluate", "path.exp_folder=../gap"],
        "help": ["evaluate", "--help"],
    }
    # The client of the hub reads the variables of its cache when it is imported.
    return {name: desk.run(*call, new_process=name == "hub") for name, call in calls.items()}


def spoil(challenge: Path, spoilt: Path) -> None:
    """A copy with four things wrong."""
    shutil.copytree(challenge, spoilt)
    music = json.loads((spoilt / "metadata" / "music.valid.json").read_text())
    scenes = json.loads((spoilt / "metadata" / "scenes.valid.json").read_text())
    (spoilt / "audio" / music["duet"]["source_2"]["track"]).unlink()
    cut = spoilt / "audio" / music["trio"]["source_3"]["track"]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    for name, change in (
        ("gains.json", lambda gains: gains[scenes["S50001"]["gain"]].update(source_9=3)),
        ("listeners.valid.json", lambda listeners: listeners.pop("L5001")),
    ):
        path = spoilt / "metadata" / name
        entries = json.loads(path.read_text())
        change(entries)
        path.write_text(json.dumps(entries))


def test_the_default_networks_are_in_the_package(desk, others):
    succeeded(others["default"])
    (path,) = (desk.folder / "small").rglob("*.flac")
    assert soundfile.info(path).frames == 2 * 32000
    weights = json.loads((desk.folder / "small" / "provenance.json").read_text())["weights"]
    names = sorted(name.rpartition("cmss/")[2] for name in weights)
    networks = ("convtasnet", "multichannel_unet", "postfilter_second", "postfilter")
    assert names == [f"weights/{network}_small.safetensors" for network in networks]
    assert all(len(digest) == 64 for digest in weights.values())


def test_published_networks_are_taken_from_the_hubs_cache(desk, others):
    succeeded(others["hub"])
    assert {path for path in contents(desk.folder / "hub") if path.endswith(".flac")} == FLACS
    weights = json.loads((desk.folder / "hub" / "provenance.json").read_text())["weights"]
    assert sorted(Path(path).parents[2].name.split("_")[1] for path in weights) == [
        "Bassoon",
        "Cello",
        "Oboe",
        "Violin",
    ]
    assert all(COMMIT in path for path in weights)


# What ends a run before it begins.


def lines(done: CompletedProcess[str], status: int = 2) -> list[str]:
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_refused_run_writes_nothing_but_hydras_record_of_it(desk, others):  # noqa: ARG001
    written = contents(desk.folder / "refused")
    assert {path.split("/")[0] for path in written} == {".hydra"}


def test_all_that_is_wrong_with_the_metadata_is_told_at_once(others):
    told = lines(others["metadata"])
    music = "music.valid.json: "
    expected = [
        [music, "duet.source_2.track: ", "Bassoon.flac: no such audio file"],
        [music, "trio.source_3.track: ", "Cello.flac: truncated"],
        ["scenes.valid.json: ", "S50001.gain: ", "has a gain for 'source_9'"],
        ["scene_listeners.valid.json: ", "'L5001' is not in ", "listeners.valid.json"],
    ]
    for parts in expected:
        assert sum(all(part in line for part in parts) for line in told) >= 1, (parts, told)
    # The listener is asked for by two scenes, but a problem with an entry is told once.
    assert len(told) == len(expected)


def test_a_missing_root_is_named(others):
    assert lines(others["no root"]) == [
        "path.root: missing, expected path.root=VALUE on the command line"
    ]


def test_an_unknown_key_is_named(others):
    assert lines(others["key"]) == ["separator.sgment: no such key"]


def test_an_unknown_separator_is_told_which_there_are(others):
    told = "\n".join(lines(others["separator"]))
    for name in ("sorcery", "ensemble", "convtasnet", "oracle", "passthrough"):
        assert name in told


def test_what_enhance_decided_stays(others):
    assert lines(others["decided"]) == [
        "separator.name: passthrough, but enhance.py has made the run with oracle; leave separator "
        "out, or run enhance.py again to change it"
    ]


def test_missing_enhanced_files_are_all_named(desk, others):
    gap = desk.challenge.parent / "gap"
    assert sorted(lines(others["gap"])) == [
        f"{gap / sorted(FLACS)[number]}: no such enhanced file" for number in (1, 2)
    ]


def test_missing_weights_name_the_command_that_trains_them(others):
    told = lines(others["no weights"])
    assert len(told) == 4
    for line, instrument in zip(told, ("Oboe", "Bassoon", "Violin", "Cello"), strict=True):
        assert f"no_weights/{instrument}/best.safetensors: no such weights; to train them: " in line
        assert "recipes/cad2/train.py model=convtasnet path.root=DATA size=paper instr" in line


def test_help_says_what_the_program_does_and_fits_a_terminal(others):
    text = succeeded(others["help"]).stdout
    assert "HAAQI" in text
    for key in ("path.root", "path.exp_folder", "evaluate.pairs", "evaluate.batch"):
        assert key in text
    assert max(map(len, text.splitlines())) <= 100
