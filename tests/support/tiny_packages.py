"""Miniature archives in the layouts of published data sets, with synthetic sounds."""

import io
import json
import os
import signal
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import soundfile

from metadata_tools.challenge.gains_and_listeners import gain_pool, make_listeners

RATE_HZ = 44100
PITCH_HZ = {
    "Bassoon": 110.0, "Cello": 131.0, "Clarinet": 330.0, "Flute": 523.0, "Oboe": 440.0,
    "Sax": 262.0, "Viola": 220.0, "Violin": 392.0, "Violin_1": 494.0, "Violin_2": 349.0,
}  # fmt: skip


def tones(label: str, seconds: float, rate_hz: int = RATE_HZ, seed: int = 0) -> np.ndarray:
    """Notes of a player on a scale: (samples,), some -14 dB."""
    rng = np.random.default_rng([seed, sum(label.encode())])
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    steps = rng.choice([0, 2, 4, 5, 7], int(seconds / 0.4) + 1)
    pitch = PITCH_HZ.get(label, 200.0) * 2 ** (steps[(time / 0.4).astype(int)] / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / rate_hz
    tone = sum(np.sin(k * phase + rng.uniform(0, 6)) / k**1.5 for k in range(1, 6))
    return 0.2 * tone * np.exp(-2 * (time % 0.4))


def stereo(label: str, seconds: float, seed: int = 0, gain: float = 0.1) -> np.ndarray:
    """The same tones with random panning: (2, samples)."""
    pan = np.random.default_rng([seed, len(label), 7]).uniform(0.3, 0.7)
    return gain * np.outer([1 - pan, pan], tones(label, seconds, seed=seed))


def encoded(
    signal: np.ndarray, form: str = "FLAC", subtype: str = "PCM_16", rate_hz: int = RATE_HZ
) -> bytes:
    """Encode (samples,) or (channels, samples) as a sound file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, signal.T, rate_hz, format=form, subtype=subtype)
    return buffer.getvalue()


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def killed_at(rename: int, main: Callable[[list[str]], int], arguments: list[str]) -> bool:
    """Run a program in a fork that kills itself before it renames its `rename`-th file."""
    if (child := os.fork()) == 0:
        count = 0

        def hook(event: str, _: tuple) -> None:
            nonlocal count
            if event == "os.rename":
                count += 1
                if count == rename:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        os._exit(main(arguments))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# The challenge's packages.

STRINGS = ("Cello", "Viola", "Violin_1", "Violin_2")
WOODWIND = ("Bassoon", "Clarinet", "Flute", "Oboe")
PIECE_S = 2.0
START_S, EXCERPT_S = 0.5, 1
TRACKS = {  # validation: where each stem comes from
    "anitrasdance_000": [("EnsembleSet", f"anitrasdance/Mix_1/{x}.flac", x) for x in STRINGS],
    "canon_000": [("CadenzaWoodwind", f"canon/{x}.flac", x) for x in WOODWIND],
    "random_000": [
        ("EnsembleSet", "anitrasdance/Mix_1/Viola.flac", "Viola"),
        ("CadenzaWoodwind", "canon/Oboe.flac", "Oboe"),
    ],
}


def piece(
    name: str, folder: str, labels: tuple[str, ...], gain: float = 0.1, subtype: str = "PCM_16"
) -> dict[str, bytes]:
    stems = {label: stereo(label, PIECE_S, len(name), gain) for label in labels}
    files = {
        f"{folder}{label}.flac": encoded(stem, subtype=subtype) for label, stem in stems.items()
    }
    return files | {f"{folder}mix_{name}.flac": encoded(sum(stems.values()))}


def ensembleset(gain: float = 0.1, subtype: str = "PCM_16") -> dict[str, bytes]:
    """EnsembleSet_Mix_1.zip: strings of two pieces."""
    return {
        f"EnsembleSet/{path}": content
        for name in ("anitrasdance", "gavotte")
        for path, content in piece(name, f"{name}/Mix_1/", STRINGS, gain, subtype).items()
    }


def woodwind() -> dict[str, bytes]:
    """CadenzaWoodwind.zip: two pieces for quartet."""
    return {
        f"CadenzaWoodwind/{path}": content
        for name in ("canon", "fughetta")
        for path, content in piece(name, f"{name}/", WOODWIND).items()
    }


def train_tracks() -> dict[str, dict]:
    return {
        name: {
            "dataset": dataset,
            "stems_path": [f"{folder}{label}.flac" for label in labels],
            "mixture_path": f"{folder}mix_{name}.flac",
        }
        for dataset, name, folder, labels in (
            ("EnsembleSet", "gavotte", "gavotte/Mix_1/", STRINGS),
            ("CadenzaWoodwind", "fughetta", "fughetta/", WOODWIND),
        )
    }


def to_generate() -> dict[str, dict]:
    """music.valid.to_generate.json."""
    return {
        track: {
            **{
                f"source_{number}": {
                    "source_dataset": dataset, "instrument": label, "track": path,
                    "start": START_S, "duration": EXCERPT_S,
                }
                for number, (dataset, path, label) in enumerate(stems, 1)
            },
            "mixture_target": {"track": f"valid/{track}/mix_{track}.flac"},
        }
        for track, stems in TRACKS.items()
    }  # fmt: skip


def metadata() -> dict[str, dict]:
    """metadata.zip, by the name of the file: one scene a validation track, one listener."""

    def excerpt(dataset: str, instrument: str, track: str, duration: float) -> dict:
        return {
            "source_dataset": dataset, "instrument": instrument, "track": track,
            "start": 0, "duration": duration,
        }  # fmt: skip

    def music(dataset, parts, mixture, duration) -> dict:
        sources = {
            f"source_{n}": excerpt(dataset, label, path, duration)
            for n, (label, path) in enumerate(parts, 1)
        }
        return {**sources, "mixture": excerpt(dataset, "Mixture", mixture, duration)}

    pool = gain_pool(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    files = {"gains_meta": pool, "gains": {k: v for some in pool.values() for k, v in some.items()}}
    for split in ("train", "valid"):
        people, compressors = make_listeners(split, 4, rng)
        files |= {f"listeners.{split}": people, f"compressor_params.{split}": compressors}
    files["music_tracks.train"] = train_tracks()
    files["music.train"] = {
        name: music(
            track["dataset"],
            [(Path(path).stem, path) for path in track["stems_path"]],
            track["mixture_path"],
            int(PIECE_S),
        )
        for name, track in train_tracks().items()
    }
    files["music.valid.to_generate"] = to_generate()
    files["music.valid"] = {
        name: music(
            "EnsembleSet",
            [(label, f"valid/{name}/{label}.flac") for _, _, label in stems],
            f"valid/{name}/mix_{name}.flac",
            EXCERPT_S,
        )
        for name, stems in TRACKS.items()
    }
    names = list(TRACKS)
    files["scenes.valid"] = {
        f"S{50001 + n}": {"music": name, "gain": list(pool[str(len(TRACKS[name]))])[n]}
        for n, name in enumerate(names)
    }
    files["scene_listeners.valid"] = {f"S{50000 + len(names)}": ["L5001"]}
    return files


def metadata_files(content: Mapping[str, dict]) -> dict[str, bytes]:
    return {f"metadata/{name}.json": json.dumps(x).encode() for name, x in content.items()}


def write_downloads(folder: Path, gain: float = 0.1, subtype: str = "PCM_16") -> Path:
    """The three packages of training and validation."""
    write_zip(folder / "EnsembleSet_Mix_1.zip", ensembleset(gain, subtype))
    write_zip(folder / "CadenzaWoodwind.zip", woodwind())
    write_zip(folder / "metadata.zip", metadata_files(metadata()))
    return folder
