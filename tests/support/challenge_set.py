"""Checks of data sets in the challenge's layout."""

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
    """Return the labels of each track in the metadata."""
    return [
        [entry["instrument"] for key, entry in track.items() if key != "mixture"]
        for track in read_json(root, f"music.{split}.json").values()
    ]


def assert_levels_and_sums(root: Path, split: str) -> None:
    """Check that mixtures have -40 LUFS and are the exact sum of their rounded stems."""
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
            assert np.abs(stem).max() > 50  # no stem is silent


def digest(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
