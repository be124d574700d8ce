"""A scored run without computation, with random sounds and given scores."""

from pathlib import Path

import numpy as np

from cmss.audio import write_flac
from cmss.files.row_file import write_rows
from cmss.results.rows import COMPONENTS, ComponentRow, ScoreRow
from cmss.run.configuration import build_hearing_aid
from cmss.run.folder import save_configuration
from cmss.run.scoring import Scorer
from cmss.scenes import Pair, load_pairs
from tests.support.played_set import configuration
from tests.support.tiny_challenge import TinyChallenge

RATE_HZ = 32000
SECONDS = 0.3


def tiny_pairs(root: Path, songs: dict[str, str] | None = None) -> list[Pair]:
    """Return the three pairs of the tiny challenge; `songs` has new names of tracks."""
    tiny = TinyChallenge(root)
    for old, new in (songs or {}).items():
        tiny.files["music_file"][new] = tiny.files["music_file"].pop(old)
        for scene in tiny.files["scenes_file"].values():
            scene["music"] = new if scene["music"] == old else scene["music"]
    return load_pairs(tiny.paths())


def write_run(folder: Path, pairs: list[Pair], separator: str, scores: list[float]) -> Path:
    """Write the folder of a run after merge_results.py; the left ear always scores 0.1 more."""
    save_configuration(
        configuration(folder.parent, f"path.exp_folder={folder}", f"separator={separator}")
    )
    rng = np.random.default_rng(1)
    rows, components = [], []
    for pair, score in zip(pairs, scores, strict=True):
        signal = 0.1 * rng.standard_normal((2, int(SECONDS * RATE_HZ)))
        write_flac(folder / pair.enhanced_file, signal, RATE_HZ)
        rows.append(ScoreRow.of(pair, score + 0.05, score - 0.05))
        names = (pair.scene.id, pair.scene.track.name, pair.listener.id)
        components.append(ComponentRow(*names, *[0.5] * (2 * len(COMPONENTS)), clipped_samples=7))
    write_rows(folder / "scores.csv", ScoreRow, rows)
    write_rows(folder / "components.csv", ComponentRow, components)
    return folder


def scorer(root: Path) -> Scorer:
    return Scorer(build_hearing_aid(configuration(root)))
