"""The installed package outside the repository: commands, the stages, an extension package."""

import json
import re
from pathlib import Path

import pytest

from cmss.commands.program import COMMANDS
from tests.support.installation import ROOT, Installation, install

IN_ONE_PROCESS = """
import json, sys
from cmss.commands.program import main

script = sys.argv[0]
for words in json.load(sys.stdin):
    sys.argv = ["cmss"]
    try:
        status = main(words)
    except SystemExit as end:
        status = end.code or 0
    print(">", status, *words)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installation:
    return install(tmp_path_factory.mktemp("installation"))


def in_one_process(installed: Installation, folder: Path, *calls: tuple[str, ...]) -> str:
    """Call `cmss` several times; every call must succeed. Return the output."""
    done = installed.run("python", "-c", IN_ONE_PROCESS, cwd=folder, given=json.dumps(calls))
    assert done.returncode == 0, done.stderr
    statuses = re.findall("^> (.*)$", done.stdout, re.MULTILINE)
    assert statuses == [f"0 {' '.join(call)}" for call in calls], done.stderr
    return done.stdout


def test_the_wheel_holds_both_packages_their_data_and_nothing_else(installed):
    tops = {path.name for path in installed.folder.iterdir() if path.suffix != ".dist-info"}
    assert tops == {"cmss", "metadata_tools", "cmss_example", "bin"}
    for folder in ("cmss", "metadata_tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (installed.folder / path.relative_to(ROOT)).is_file(), path
    (info,) = installed.folder.glob("cmss-*.dist-info")
    assert {path.name for path in (info / "licenses").iterdir()} == {"LICENSE", "NOTICE"}


def test_every_command_answers(installed, tmp_path):
    first = installed.run("cmss", "--help", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert all(re.search(rf"^  {name} ", first.stdout, re.MULTILINE) for name in COMMANDS)
    calls = [(name, "--help") for name in COMMANDS]
    text = in_one_process(installed, tmp_path, ("--version",), *calls)
    assert text.startswith("0.1.0\n")
    assert "registers" in text.split("> 0 enhance")[0]
    assert list(tmp_path.iterdir()) == []
    listed = installed.run("cmss", "models", "--json", cwd=tmp_path)
    models = {model["name"]: model for model in json.loads(listed.stdout)}
    assert models["convtasnet"]["licence"] == "mit"
    assert {models[name]["package"] for name in ("registers", "gains")} == {"cmss-example"}
    code = "import cmss, metadata_tools; print(cmss.__file__, metadata_tools.__file__)"
    places = installed.run("python", "-c", code, cwd=tmp_path).stdout.split()
    assert len(places) == 2
    assert all(place.startswith(str(installed.folder)) for place in places)


def test_from_demo_data_to_the_submission(installed, tmp_path):
    in_one_process(installed, tmp_path, ("demo", "--out", "data", "--scenes-per-track", "1"))
    scenes = json.loads((tmp_path / "data/metadata/scene_listeners.valid.json").read_text())
    scene, (listener, *_) = next(iter(scenes.items()))
    (tmp_path / "one.csv").write_text(f"scene,listener\n{scene},{listener}\n")
    text = in_one_process(
        installed,
        tmp_path,
        ("validate", "data", "--quick"),
        ("enhance", "path.root=data", "separator=passthrough", "evaluate.pairs=one.csv"),
        ("evaluate", "evaluate.jobs=1"),
        ("merge", "report=false"),
    )
    assert "1 pairs scored" in text
    folder = tmp_path / "exp" / "submission_T000_noncausal"
    assert {path.suffix for path in folder.rglob("*.*")} == {".flac", ".json", ".sha256"}


def test_an_extension_package_adds_a_separator_and_a_network(installed, tmp_path):
    from tests.support.tiny_challenge import TinyChallenge
    from tests.support.tiny_run import write_metadata

    write_metadata(TinyChallenge(tmp_path / "data"))
    metadata = tmp_path / "data/metadata"
    (metadata / "music.train.json").write_bytes((metadata / "music.valid.json").read_bytes())
    short = (
        "path.root=data", "path.train_music_dir=data/audio", "path.valid_music_dir=data/audio",
        "loop.steps=2", "loop.validate_every=1", "loop.validation_batches=1",
        "loop.precision=float32", "mixtures.segment_s=0.1", "mixtures.batch_size=2", "device=cpu",
    )  # fmt: skip
    one = ("enhance", "path.root=data", "stems=true", "evaluate.small_test=true")
    target = "cmss_example.gains.PlainGains"
    best = f"exp/train/{target}/best.safetensors"
    in_one_process(
        installed,
        tmp_path,
        (*one, "separator=registers", "separator.octaves=0.5", "path.exp_folder=exp/registers"),
        ("train", *short, "model=gains"),
        (
            *one, "separator=gains", "path.exp_folder=exp/gains", "separator.device=cpu",
            "separator.weights_from=exp/train/gains_small/best.safetensors",
        ),
        ("train", *short, f"model.target={target}", "model.arguments={sources: 8}",
         "model.samplerate=8000"),
        (
            *one, "separator=module", f"separator.checkpoint={best}", "separator.device=cpu",
            "path.exp_folder=exp/module",
        ),
    )  # fmt: skip
    for name in ("registers", "gains", "module"):
        assert list((tmp_path / "exp" / name / "stems").rglob("source_*.flac"))
    kept = (tmp_path / "exp/registers/config.yaml").read_text()
    assert "octaves: 0.5" in kept
    unknown = installed.run("cmss", *one, "separator=registers", "separator.octave=1", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "separator.octave: no such key; did you mean separator.octaves?\n"
