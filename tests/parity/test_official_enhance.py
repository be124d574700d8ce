"""`profile=official` against the official enhance.py, both run as programs on the same weights."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.official import OWNER
from cmss.scenes import INSTRUMENTS
from metadata_tools.scores.pieces import TypedPiece
from tests.support.played_set import write_played_set
from tests.support.published_networks import write_networks
from tests.support.stages import ROOT, run_python, succeeded

# Below and above the baseline's chunk of 11 s, to either side of where its fades change. In the
# first, two instruments are doubled.
PIECES = (
    TypedPiece(
        "nine_seconds",
        "made for tests",
        60,
        {
            "Flute_1": "f A5 _G5 E5 F5 A5 _G5 E5 D5",
            "Flute_2": "mf F5 _E5 C5 D5 F5 _E5 C5 B4",
            "Violin_1": "f C5 _B4 A4 A4 C5 _B4 A4 G4",
            "Violin_2": "mf A4 _G4 G4 F4 A4 _G4 G4 F4",
            "Cello": "f F3 _G3 A3 D3 F3 _G3 A3 G2",
        },
    ),
    TypedPiece(
        "fifteen_seconds",
        "made for tests",
        60,
        {
            "Oboe": "f A4:2 _B4:2 C5 _A4 G4:2 E4:2 F4:2 G4 A4",
            "Bassoon": "mf D3:2 F#3 G3 _E3:2 A2:2 C3:2 D3 E3 G3:2",
        },
    ),
)
SECONDS = {"nine_seconds": 9, "fifteen_seconds": 15}
OFFICIAL = "from benchmarks.official import official_enhance; official_enhance().enhance()"


@pytest.fixture(scope="module")
def folders(server, tmp_path_factory):
    """Enhanced files of both programs: ours, theirs."""
    folder = tmp_path_factory.mktemp("official_enhance")
    write_played_set(folder / "data", PIECES, listeners_per_scene=1, listeners=4)
    ours, theirs = folder / "ours", folder / "theirs"
    # The official program changes into its folder, and the hub's mixin takes a folder of that name
    # for the model: it loads these weights by its own code, unchanged.
    weights = theirs / OWNER
    write_networks(weights, INSTRUMENTS)

    succeeded(
        run_python(
            "-c",
            OFFICIAL,
            f"path.root={folder / 'data'}",
            f"path.exp_folder={theirs}",
            "separator.device=cpu",
            "separator.force_redownload=false",
            cwd=folder,
            env={"PYTHONPATH": str(ROOT)},
        )
    )
    server.succeed(
        "enhance",
        "profile=official",
        f"separator.weights_from={weights}",
        "separator.device=cpu",
        f"path.root={folder / 'data'}",
        f"path.exp_folder={ours}",
        cwd=folder,
    )
    return ours, theirs


def read(path: Path) -> np.ndarray:
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 32000
    return samples.astype(int)


def test_both_write_the_same_files(folders):
    ours, theirs = (
        sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.flac"))
        for folder in folders
    )
    assert ours == theirs
    assert len(ours) == len(PIECES)


def test_no_sample_differs_by_more_than_one_step(folders):
    """Float32 sums of other order come out an ulp apart and may fall on two sides of a step."""
    for path in sorted(folders[0].rglob("*.flac")):
        ours = read(path)
        theirs = read(folders[1] / path.relative_to(folders[0]))
        assert ours.shape == theirs.shape
        assert len(ours) / 32000 in SECONDS.values()
        assert np.abs(ours - theirs).max() <= 1
        # What is compared is music at a sensible level, neither silence nor clipped.
        level_dbfs = 10 * np.log10(np.mean((theirs / 32768) ** 2))
        assert -45 < level_dbfs < -15
        assert np.mean((theirs == 32767) | (theirs == -32768)) < 0.01
