"""Published data sets in miniature: three pieces of a second each, in their archives."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metadata_tools import bach10, cadenzawoodwind, ensembleset, musdb, urmp
from tests.support.tiny_packages import encoded, stereo, tones, write_tar, write_zip

SECONDS = 1.0


def wav(signal: np.ndarray, rate_hz: int = 44100, subtype: str = "PCM_16") -> bytes:
    return encoded(signal, "WAV", subtype, rate_hz)


def bach10_files(seconds: float = SECONDS) -> dict[str, bytes]:
    files = {}
    for name in ("01-AchGottundHerr", "02-AchLiebenChristen", "03-ChristederdubistTagundLicht"):
        stems = {player: tones(label, seconds) for player, label in bach10.PLAYERS.items()}
        del stems["saxophone"]
        folder = f"Bach10_v1.1/{name}/{name}"
        files |= {f"{folder}-{player}.wav": wav(stem) for player, stem in stems.items()}
        files |= {f"{folder}.wav": wav(sum(stems.values()) / 4), f"{folder}.mid": b"MThd"}
    return files | {"Bach10_v1.1/readme.txt": b"Bach10"}


def urmp_files(seconds: float = SECONDS) -> dict[str, bytes]:
    """48 kHz, 24 bit; a piece with trumpets, whose third file is misnamed, among them."""
    pieces = ("01_Jupiter_vn_vc", "12_Spring_vn_vn_vc", "44_K515_vn_vn_va_va_vc")
    files = {}
    for piece in (*pieces, "15_Surprise_tpt_tpt_tbn"):
        number, title, *players = piece.split("_")
        for index, player in enumerate(players, 1):
            stem = tones(urmp.PLAYERS[player], seconds, 48000, seed=index)
            named = "tpt" if title == "Surprise" else player
            file = f"Dataset/{piece}/AuSep_{index}_{named}_{number}_{title}.wav"
            files[file] = wav(stem, 48000, "PCM_24")
        files[f"Dataset/{piece}/AuMix_{piece}.wav"] = wav(np.zeros(10), 48000)
        files[f"Dataset/{piece}/Notes_1_{players[0]}_{number}_{title}.txt"] = b"0 440 1"
    return files | {"Dataset/Supplementary_Files/README.txt": b"URMP"}


def ensembleset_files(seconds: float = SECONDS) -> dict[str, bytes]:
    """Two microphones; a piece in which a horn and two oboes play, too."""
    files = {}
    for piece in ("MiseroPargoletto", "anitrasdance", "gavotte"):
        players = ["Violin_1", "Violin_2", "Viola", "Cello"]
        players += ["Horn", "Oboe_1", "Oboe_2", "Bass"] if piece == "gavotte" else []
        for microphone in ("Close", "Mix_1"):
            gain = 0.1 if microphone == "Mix_1" else 0.01
            for player in players:
                path = f"BBCSO_Ensembles/{piece}/{microphone}/{player}.flac"
                files[path] = encoded(stereo(player, seconds, sum(piece.encode()), gain))
        files[f"BBCSO_Ensembles/{piece}/Mix_1/mix_{piece}.flac"] = b"never read"
    return files


def woodwind_files(seconds: float = SECONDS) -> dict[str, bytes]:
    files = {}
    for piece in ("canon", "fughetta", "gigue"):
        for player in ("Flute", "Oboe", "Clarinet", "Alto_Sax", "Bassoon"):
            sound = encoded(stereo(player, seconds, sum(piece.encode())))
            files[f"CadenzaWoodwind/{piece}/{player}.flac"] = sound
        files[f"CadenzaWoodwind/{piece}/mix_clarinet.flac"] = b"never read"
    return files


SONGS = (
    "A Classic Education - NightOwl",
    "Actions - South Of The Water",
    "Alexander Ross - Velvet",
)


def musdb_files(seconds: float = SECONDS) -> dict[str, bytes]:
    """MUSDB18-HQ."""
    return {
        f"test/{song}/{source}.wav": wav(stereo(source, seconds, sum(song.encode())))
        for song in SONGS
        for source in ("mixture", *musdb.STREAMS)
    }


def write_stem_mp4(path: Path, sources: Mapping[str, np.ndarray]) -> None:
    """A song of MUSDB18, encoded by ffmpeg: mixture first, as AAC."""
    path.parent.mkdir(parents=True)
    folder = path.parents[2] / "parts"
    folder.mkdir()
    command = ["ffmpeg", "-v", "error", "-y"]
    for name, signal in sources.items():
        (folder / f"{name}.wav").write_bytes(wav(signal))
        command += ["-i", str(folder / f"{name}.wav")]
    for number in range(len(sources)):
        command += ["-map", f"{number}:a"]
    subprocess.run([*command, "-c:a", "aac", "-b:a", "256k", str(path)], check=True)


@dataclass(frozen=True)
class DataSet:
    """A data set in miniature.

    Args:
        works: words in the names of its pieces for train, valid and test.
        tracks: number of excerpts of a piece.
        stem: a file of the first piece.
        labels: of the players of a test piece.
        split: default split of its pieces.
    """

    main: Callable[[list[str]], int]
    files: Callable[..., dict[str, bytes]]
    archive: str
    works: tuple[str, str, str]
    stem: str
    labels: frozenset[str]
    split: str
    tracks: int = 1
    force: bool = False

    def write(self, folder: Path, files: Mapping[str, bytes] | None = None) -> Path:
        write = write_tar if self.archive.endswith(".tar.gz") else write_zip
        return write(folder / self.archive, self.files() if files is None else files)


STRINGS = frozenset({"Violin_1", "Violin_2", "Viola", "Cello"})
DATA_SETS = {
    "bach10": DataSet(
        bach10.main,
        bach10_files,
        "Bach10_v1.1.zip",
        ("01-", "02-", "03-"),
        "Bach10_v1.1/01-AchGottundHerr/01-AchGottundHerr-violin.wav",
        frozenset({"Bassoon", "Clarinet", "Sax", "Violin"}),
        "test",
        force=True,
    ),
    "urmp": DataSet(
        urmp.main,
        urmp_files,
        "Dataset.tar.gz",
        ("Jupiter", "Spring", "K515"),
        "Dataset/01_Jupiter_vn_vc/AuSep_2_vc_01_Jupiter.wav",
        frozenset({"Violin_1", "Violin_2", "Viola_1", "Viola_2", "Cello"}),
        "test",
        force=True,
    ),
    "ensembleset": DataSet(
        ensembleset.main,
        ensembleset_files,
        "BBCSO_Ensembles.zip",
        ("Misero", "anitra", "gavotte"),
        "BBCSO_Ensembles/MiseroPargoletto/Mix_1/Cello.flac",
        STRINGS,
        "train",
    ),
    "cadenzawoodwind": DataSet(
        cadenzawoodwind.main,
        woodwind_files,
        "CadenzaWoodwind.zip",
        ("canon", "fughetta", "gigue"),
        "CadenzaWoodwind/canon/Oboe.flac",
        frozenset({"Flute", "Oboe", "Clarinet", "Bassoon"}),
        "train",
        tracks=2,
    ),
    "musdb": DataSet(
        musdb.main,
        musdb_files,
        "musdb18hq.zip",
        ("Education", "Actions", "Velvet"),
        f"test/{SONGS[0]}/bass.wav",
        frozenset(musdb.STAND_INS.values()),
        "test",
    ),
}
