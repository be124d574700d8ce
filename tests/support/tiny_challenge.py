"""A very small valid data set in the official layout, which tests can change."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmss.audio import write_flac
from cmss.errors import InputError
from cmss.scenes import MetadataPaths, load_pairs

RATE_HZ = 44100
SECONDS = 0.5


def excerpt(instrument: str, track: str, start: float = 0.1, duration: float = 0.3) -> dict:
    return {
        "source_dataset": "Tiny",
        "instrument": instrument,
        "track": track,
        "start": start,
        "duration": duration,
    }


def listener(name: str, level: float) -> dict:
    return {
        "name": name,
        "audiogram_cfs": [250, 500, 1000, 2000, 3000, 4000, 6000, 8000],
        "audiogram_levels_l": [level] * 8,
        "audiogram_levels_r": [level + 5] * 8,
    }


def compressor(ratio: float) -> dict:
    return {
        "frequencies": [250, 500, 1000, 2000, 4000, 8000],
        "cr_l": [ratio] * 6,
        "gain_l": [3.5] * 6,
        "cr_r": [ratio + 1] * 6,
        "gain_r": [4.5] * 6,
    }


def metadata() -> dict[str, dict[str, Any]]:
    return {
        "gains_file": {
            "gain_0001": {"source_1": -10, "source_2": 0},
            # Joined by key, never by position.
            "gain_0002": {"source_3": 3, "source_1": 10, "source_2": -6},
            "gain_0003": {"source_1": "never used"},
        },
        "listeners_file": {"L5001": listener("L5001", 40), "L5999": listener("L5999", -5)},
        "enhancer_params_file": {"L5001": compressor(2), "L5999": compressor(1)},
        "music_file": {
            "duet": {
                "source_1": excerpt("Cello", "duet/Cello.flac"),
                "source_2": excerpt("Oboe", "duet/Oboe.flac"),
                "mixture": excerpt("Mixture", "duet/Mixture.flac"),
            },
            "trio": {
                "mixture": excerpt("Mixture", "trio/Mixture.flac", 0),
                "source_2": excerpt("Violin_2", "trio/Violin_2.flac", 0),
                "source_1": excerpt("Violin_1", "trio/Violin_1.flac", 0),
                "source_3": excerpt("Viola", "trio/Viola.flac", 0),
            },
        },
        "scenes_file": {
            "S50001": {"music": "duet", "gain": "gain_0001"},
            "S50002": {"music": "trio", "gain": "gain_0002"},
        },
        "scene_listeners_file": {"S50002": ["L5999", "L5001"], "S50001": ["L5001"]},
    }


@dataclass
class TinyChallenge:
    """A small data set; `files` can be changed before `paths()` writes them."""

    root: Path
    files: dict[str, dict[str, Any]] = field(default_factory=metadata)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        for track in self.files["music_file"].values():
            for part in track.values():
                signal = 0.01 * rng.standard_normal((2, int(SECONDS * RATE_HZ)))
                write_flac(self.audio(part["track"]), signal, RATE_HZ)

    def audio(self, track: str) -> Path:
        return self.root / "audio" / track

    def paths(self) -> MetadataPaths:
        written = {}
        for name, entries in self.files.items():
            path = self.root / "metadata" / f"{name.removesuffix('_file')}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(entries), encoding="utf-8")
            written[name] = path
        return MetadataPaths(music_dir=self.root / "audio", **written)

    def problems(self) -> list[str]:
        """Return the problems that `load_pairs` finds, without the folder of the test."""
        with pytest.raises(InputError) as caught:
            load_pairs(self.paths(), RATE_HZ)
        return [line.replace(f"{self.root}/", "") for line in caught.value.problems]
