"""Loads and checks scenes, listeners, tracks and audiograms from the metadata files."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from cmss.errors import InputError
from cmss.quantities import MUTED_DB, all_muted
from cmss.scenes.files import CompressorEntry, Gains, ListenerEntry, MetadataFile, SceneEntry
from cmss.scenes.music import Music, check_sounds
from cmss.scenes.records import (
    Audiogram,
    Compression,
    Ear,
    Listener,
    Pair,
    Scene,
    Track,
)
from cmss.scenes.sound_files import SoundFiles


@dataclass(frozen=True)
class MetadataPaths:
    """Holds the paths of the metadata files and of the music folder.

    The fields have the names of the official configuration keys.
    """

    music_dir: Path
    gains_file: Path
    listeners_file: Path
    enhancer_params_file: Path
    music_file: Path
    scenes_file: Path
    scene_listeners_file: Path

    @classmethod
    def of(cls, root: Path, split: str) -> "MetadataPaths":
        """Return the paths in a data folder that has the challenge's layout.

        Args:
            root: the data folder, which contains the folders audio and metadata.
            split: "train", "valid" or "test".
        """
        metadata = root / "metadata"
        return cls(
            music_dir=root / "audio" / "train" if split == "train" else root / "audio",
            gains_file=metadata / "gains.json",
            listeners_file=metadata / f"listeners.{split}.json",
            enhancer_params_file=metadata / f"compressor_params.{split}.json",
            music_file=metadata / f"music.{split}.json",
            scenes_file=metadata / f"scenes.{split}.json",
            scene_listeners_file=metadata / f"scene_listeners.{split}.json",
        )


def load_pairs(
    paths: MetadataPaths,
    sample_rate_hz: int = 44100,
    references: bool = True,
    sounds: SoundFiles | None = None,
) -> list[Pair]:
    """Read all pairs of scene and listener, and check everything to which these pairs refer.

    Args:
        paths: paths of the metadata files and of the music folder.
        sample_rate_hz: required sampling rate of every sound file.
        references: whether the ground truth stems must exist, in addition to the mixtures.
        sounds: cache that opens the sound files. If `sounds` is given, the sampling rate of
            `sounds` replaces `sample_rate_hz`. If `sounds` is None, a new cache is created.

    Returns:
        All pairs in the official order, the order of scene_listeners_file.

    Raises:
        InputError: inputs are not valid. The message has a line for each problem, with the file,
            the key and the expected value.
    """
    loader = _Loader(paths)
    pairs = loader.pairs()
    sounds = sounds or SoundFiles(sample_rate_hz)
    _check_sounds(loader.music, paths.music_dir, sounds, loader.problems, references)
    return pairs


def load_tracks(music_file: Path, music_dir: Path, sample_rate_hz: int = 44100) -> list[Track]:
    """Read and check all tracks of a music file, for training; scenes and listeners are not needed.

    Args:
        music_file: path of the music file, for instance music.train.json.
        music_dir: folder to which the paths in the music file are relative.
        sample_rate_hz: required sampling rate of every sound file.

    Raises:
        InputError: inputs are not valid. The message has a line for each problem, with the file,
            the key and the expected value.
    """
    problems: list[str] = []
    file = MetadataFile(music_file, "music_file", problems)
    music = Music(file, music_dir)
    pieces = [music.piece(name, file, name) for name in file.entries]
    _check_sounds(music, music_dir, SoundFiles(sample_rate_hz), problems)
    return [piece.track for piece in pieces if piece and piece.track]


def load_audiograms(path: Path, listener: str | None = None) -> tuple[Audiogram, Audiogram]:
    """Read the audiograms of a listener from a file of the user.

    Args:
        path: path of a JSON file. For a single listener, the file contains the keys audiogram_cfs,
            audiogram_levels_l and audiogram_levels_r. For several listeners, the file contains a
            mapping from ids of listeners to these keys, as in the challenge's listeners.json.
        listener: id of the listener; needed if the file contains several listeners.

    Returns:
        The audiograms of the left ear and of the right ear.

    Raises:
        InputError: the file is not valid, or does not contain the listener; the message has a line
            for each problem.
    """
    problems: list[str] = []
    file = MetadataFile(path, "audiogram", problems)
    if "audiogram_cfs" in file.entries:
        entry = file.validate("audiogram", file.entries, ListenerEntry)
    elif file.entries:
        entry = None
        name = listener or (next(iter(file.entries)) if len(file.entries) == 1 else None)
        if name in file.entries:
            entry = file.validate(str(name), file.entries[str(name)], ListenerEntry)
        else:
            found = ", ".join(list(file.entries)[:8])
            problems.append(f"{path}: expected a listener of this file ({found}), got {name}")
    elif not problems:
        problems.append(f"{path}: audiogram_cfs: key missing")
    if problems:
        raise InputError(problems)
    assert entry
    frequencies_hz = tuple(entry.audiogram_cfs)
    return (
        Audiogram(frequencies_hz, tuple(entry.audiogram_levels_l)),
        Audiogram(frequencies_hz, tuple(entry.audiogram_levels_r)),
    )


def _check_sounds(
    music: Music,
    music_dir: Path,
    sounds: SoundFiles,
    problems: list[str],
    references: bool = True,
) -> None:
    """Check the sound files of all tracks in use.

    Args:
        music: tracks in use.
        music_dir: folder of the sound files.
        sounds: cache that opens the sound files.
        problems: problems that were found before; the problems of sound files are appended.
        references: whether to check the ground truth stems as well as the mixtures.

    Raises:
        InputError: this function found problems, or `problems` was not empty; the message has a
            line for each problem.
    """
    if not music_dir.is_dir():
        problems.append(f"{music_dir}: path.music_dir: no such folder")
    else:
        check_sounds(music.excerpts(references), music.file, sounds)
    if problems:
        raise InputError(dict.fromkeys(problems))


# The ids become parts of file names, so only these characters are allowed.
_LISTENER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCENE_ID = re.compile(r"S[0-9]{1,9}")


class _Loader:
    """Builds the records of all pairs from the metadata files.

    Each scene and each listener is built only once. The problems of an entry are appended to
    `problems`, and the pairs that need this entry are left out.
    """

    def __init__(self, paths: MetadataPaths) -> None:
        self.problems: list[str] = []
        self._pairs = self._open(paths, "scene_listeners_file")
        self._scenes = self._open(paths, "scenes_file")
        self.music = Music(self._open(paths, "music_file"), paths.music_dir)
        self._gains = self._open(paths, "gains_file")
        self._listeners = self._open(paths, "listeners_file")
        self._compressors = self._open(paths, "enhancer_params_file")

    def _open(self, paths: MetadataPaths, option: str) -> MetadataFile:
        return MetadataFile(getattr(paths, option), option, self.problems)

    def pairs(self) -> list[Pair]:
        """Return all pairs whose entries have no problems."""
        listeners: dict[str, Listener | None] = {}
        pairs = []
        for scene_id, value in self._pairs.entries.items():
            scene = self._scene(scene_id)
            for listener_id in self._listener_ids(scene_id, value):
                if listener_id not in listeners:
                    listeners[listener_id] = self._listener(listener_id, scene_id)
                listener = listeners[listener_id]
                if scene and listener:
                    pairs.append(Pair(scene, listener))
        if not pairs and not self.problems:
            self.problems.append(f"{self._pairs.path}: no scene has a listener, expected some")
        return pairs

    # The next methods build listeners.
    def _listener_ids(self, scene_id: str, value: object) -> list[str]:
        listener_ids = self._pairs.validate(scene_id, value, list[str]) or []
        for listener_id, times in Counter(listener_ids).items():
            if times > 1:
                self._pairs.report(
                    scene_id, f"listener {listener_id!r} listed {times} times, expected once"
                )
        return listener_ids

    def _listener(self, listener_id: str, scene_id: str) -> Listener | None:
        if not _LISTENER_ID.fullmatch(listener_id):
            self._pairs.report(
                scene_id,
                f"listener {listener_id!r}: expected letters, digits and . _ -, as in 'L0001'",
            )
            return None
        hearing = self._listeners.find(listener_id, ListenerEntry, self._pairs, scene_id)
        aid = self._compressors.find(listener_id, CompressorEntry, self._pairs, scene_id)
        if hearing and hearing.name not in (None, listener_id):
            self._listeners.report(
                f"{listener_id}.name", f"expected {listener_id!r}, got {hearing.name!r}"
            )
        if not (hearing and aid):
            return None
        cfs, bands = tuple(hearing.audiogram_cfs), tuple(aid.frequencies)
        left = Compression(bands, tuple(aid.cr_l), tuple(aid.gain_l))
        right = Compression(bands, tuple(aid.cr_r), tuple(aid.gain_r))
        return Listener(
            listener_id,
            Ear(Audiogram(cfs, tuple(hearing.audiogram_levels_l)), left),
            Ear(Audiogram(cfs, tuple(hearing.audiogram_levels_r)), right),
        )

    # The next method builds a scene from its track and its gains.

    def _scene(self, scene_id: str) -> Scene | None:
        if not _SCENE_ID.fullmatch(scene_id):
            self._pairs.report(scene_id, "expected a scene id: S and digits, as in 'S50001'")
            return None
        entry = self._scenes.find(scene_id, SceneEntry, self._pairs, scene_id)
        if not entry:
            return None
        piece = self.music.piece(entry.music, self._scenes, f"{scene_id}.music")
        where = f"{scene_id}.gain"
        gains_db = self._gains.find(entry.gain, Gains, self._scenes, where)
        if piece is None or gains_db is None:
            return None
        for source_id in sorted(gains_db.keys() - piece.source_ids):
            self._scenes.report(
                where,
                f"{entry.gain!r} has a gain for {source_id!r}, "
                f"but {entry.music!r} in {self.music.file.path} has no such source",
            )
        for source_id in sorted(set(piece.source_ids) - gains_db.keys()):
            self._scenes.report(
                where,
                f"{entry.gain!r} in {self._gains.path} has no gain for {source_id!r} "
                f"of {entry.music!r}",
            )
        if piece.track is None or gains_db.keys() != piece.track.sources.keys():
            return None
        if all_muted(gains_db.values()):
            self._scenes.report(
                where,
                f"{entry.gain!r} mutes every player ({MUTED_DB:g} dB or less), "
                "expected at least one audible player",
            )
            return None
        return Scene(scene_id, piece.track, {key: gains_db[key] for key in piece.source_ids})
