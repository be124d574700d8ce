"""A very small data set, and the three stages that process it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cmss.report.technical import TECHNICAL_REPORT
from cmss.run.folder import PROVENANCE
from tests.support.stage_server import Done, StageServer
from tests.support.tiny_challenge import TinyChallenge

STAGES = {
    "enhance": ("path.root=data", "separator=oracle"),
    "evaluate": ("evaluate.jobs=1",),
    # Without the report, which takes seconds.
    "merge_results": ("report=false",),
}
TABLES = ("scores.csv", "components.csv", "fingerprints.csv")
OFFICIAL_NAMES = {
    "gains_file": "gains.json",
    "listeners_file": "listeners.valid.json",
    "enhancer_params_file": "compressor_params.valid.json",
    "music_file": "music.valid.json",
    "scenes_file": "scenes.valid.json",
    "scene_listeners_file": "scene_listeners.valid.json",
}


FEW_PAIRS = {
    "S50001": ["L5999", "L5001"],
    "S50002": ["L5001"],
    "S50003": ["L5001"],
}
"""Scenes and listeners for tests of the report, which takes a second for each pair.

One track has two scenes, and one scene has two listeners.
"""


def write_tiny_data(
    root: Path, scene_listeners: Mapping[str, list[str]] | None = None
) -> TinyChallenge:
    """Write two tracks, each in two scenes that are not consecutive.

    Args:
        root: new folder for the data.
        scene_listeners: the listeners of each scene; None for two listeners of all scenes.
    """
    root.mkdir(parents=True)
    tiny = TinyChallenge(root)
    tiny.files["scenes_file"] |= {
        "S50003": {"music": "duet", "gain": "gain_0001"},
        "S50004": {"music": "trio", "gain": "gain_0002"},
    }
    scenes = sorted(tiny.files["scenes_file"])
    everybody = {scene: ["L5999", "L5001"] for scene in scenes}
    tiny.files["scene_listeners_file"] = dict(scene_listeners or everybody)
    write_metadata(tiny)
    return tiny


def write_metadata(tiny: TinyChallenge) -> None:
    """Write `tiny.files` under the official names."""
    (tiny.root / "metadata").mkdir(exist_ok=True)
    for name, entries in tiny.files.items():
        (tiny.root / "metadata" / OFFICIAL_NAMES[name]).write_text(json.dumps(entries))


@dataclass
class TinyRun:
    """Stages that are called in a folder with `data`, with results in `exp`.

    Args:
        server: runs the stages.
        folder: the current folder of all calls.
    """

    server: StageServer
    folder: Path

    @property
    def exp(self) -> Path:
        """The folder of the run."""
        return self.folder / "exp"

    def call(self, stage: str, *overrides: str, **limits: float) -> Done:
        """Run a stage with its usual and further overrides; any status is accepted."""
        return self.server.run(
            stage,
            *STAGES[stage],
            *overrides,
            cwd=self.folder,
            **limits,  # type: ignore[arg-type]
        )

    def succeed(self, *stages: str) -> None:
        """Run stages that must succeed."""
        for stage in stages:
            self.server.succeed(stage, *STAGES[stage], cwd=self.folder)

    def refused(self, stage: str, *overrides: str, status: int = 2) -> str:
        """Run a stage that must fail without changing results; return its only line."""
        before = results(self.exp)
        done = self.call(stage, *overrides)
        assert (done.status, done.stdout) == (status, ""), done
        assert results(self.exp) == before
        (line,) = done.stderr.splitlines()
        return line

    def restore(self, state: Path) -> None:
        """Restore the run from a copy."""
        shutil.rmtree(self.exp, ignore_errors=True)
        shutil.copytree(state, self.exp)


def new_run(
    server: StageServer, folder: Path, scene_listeners: Mapping[str, list[str]] | None = None
) -> TinyRun:
    """Return a run in a folder with new data (:func:`write_tiny_data`), not yet enhanced."""
    write_tiny_data(folder / "data", scene_listeners)
    return TinyRun(server, folder)


def results(exp: Path) -> dict[str, bytes]:
    """Return all files of a run, without provenance, commands and computing time."""
    files = {path.relative_to(exp): path for path in exp.rglob("*") if path.is_file()}
    contents = {
        name.as_posix(): path.read_bytes()
        for name, path in files.items()
        if name.parts[0] != ".hydra" and name.name not in (PROVENANCE, TECHNICAL_REPORT)
    }
    for name in contents:
        if name.endswith("checksums.sha256"):
            lines = contents[name].splitlines()
            contents[name] = b"".join(x for x in lines if not x.endswith(PROVENANCE.encode()))
    return contents


def identities(exp: Path) -> dict[str, tuple[int, int]]:
    """Return inode and time of each FLAC, which change when it is written again."""
    found = {path.name: path.stat() for path in (exp / "enhanced_signals").rglob("*.flac")}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in found.items()}


def training_data(folder: Path) -> Path:
    """Write the tracks of the tiny challenge as a train split."""
    write_metadata(TinyChallenge(folder))
    for path in (folder / "metadata").glob("*.valid.json"):
        path.rename(path.with_name(path.name.replace("valid", "train")))
    (folder / "audio").rename(folder / "train")
    (folder / "audio").mkdir()
    (folder / "train").rename(folder / "audio/train")
    return folder
