"""What must hold of every data set in the challenge's layout."""

import hashlib
import json
from pathlib import Path

import numpy as np
import soundfile

from cmss.audio import loudness_lufs
from cmss.scenes import MetadataPaths


def read_json(root: Path, name: str):
    return json.loads((root / "metadata" / name).read_text())


def labels(root: Path, split: str) -> list[list[str]]:
    """The instruments of each track, as written in the metadata."""
    return [
        [entry["instrument"] for key, entry in track.items() if key != "mixture"]
        for track in read_json(root, f"music.{split}.json").values()
    ]


def assert_levels_and_sums(root: Path, split: str) -> None:
    """Mixtures at -40 LUFS; each the exact sum of its stems, which are rounded first."""
    folder = MetadataPaths.of(root, split).music_dir
    for track in read_json(root, f"music.{split}.json").values():
        samples = {
            key: soundfile.read(folder / entry["track"], dtype="int16")[0].astype(int)
            for key, entry in track.items()
        }
        mixture = samples.pop("mixture")
        np.testing.assert_array_equal(sum(samples.values()), mixture)
        assert abs(loudness_lufs(mixture.T / 32768, 44100) + 40) < 0.5
        for stem in samples.values():
            assert stem.shape == (track["mixture"]["duration"] * 44100, 2)
            assert np.abs(stem).max() > 50  # everybody is heard


def digest(root: Path) -> dict[str, str]:
    """Content of every file."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
