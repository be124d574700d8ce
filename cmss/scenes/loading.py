"""From the six metadata files to the pairs of a run, joined by key and checked."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cmss.audio import Excerpt
from cmss.errors import InputError
from cmss.scenes import files
from cmss.scenes.files import MetadataFile
from cmss.scenes.records import (
    DOUBLED,
    INSTRUMENTS,
    Audiogram,
    Compression,
    Ear,
    Listener,
    Pair,
    Scene,
    Source,
    Track,
)
from cmss.scenes.sounds import MIXTURE, check_sounds


@dataclass(frozen=True)
class MetadataPaths:
    """Where the metadata and the music are, under the official names of the configuration."""

    music_dir: Path
    gains_file: Path
    listeners_file: Path
    enhancer_params_file: Path
    music_file: Path
    scenes_file: Path
    scene_listeners_file: Path


def load_pairs(paths: MetadataPaths, sample_rate_hz: int = 44100) -> list[Pair]:
    """Read and check everything that the listed scenes and listeners refer to.

    Args:
        paths: metadata files and music folder.
        sample_rate_hz: what every sound file must have.

    Returns:
        all pairs, in the order of scene_listeners_file, which is the official order.

    Raises:
        InputError: everything found wrong, one line each: file, key, what was expected.
    """
    loader = _Loader(paths)
    pairs = loader.pairs()
    if not paths.music_dir.is_dir():
        loader.problems.append(f"{paths.music_dir}: path.music_dir: no such folder")
    else:
        check_sounds(loader.excerpts(), loader.music, sample_rate_hz)
    if loader.problems:
        raise InputError(dict.fromkeys(loader.problems))
    return pairs


# Ids become parts of file names.
_LISTENER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SCENE_ID = re.compile(r"S[0-9]{1,9}")
_SOURCE_ID = re.compile(r"source_[1-9][0-9]*")
_INSTRUMENT = re.compile(rf"(?:({'|'.join(INSTRUMENTS)})|({'|'.join(DOUBLED)})_([12]))")
# In music.valid.to_generate.json: the file that a mixture is to be written to.
_NOT_A_PART = "mixture_target"


@dataclass
class _Piece:
    """An entry of the music file as far as it could be used; `track` only if all of it could."""

    source_ids: list[str] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    excerpts: dict[str, Excerpt] = field(default_factory=dict)
    track: Track | None = None


class _Loader:
    """Builds each record once. What is wrong goes to `problems` and leaves the record out."""

    def __init__(self, paths: MetadataPaths) -> None:
        self.problems: list[str] = []
        self._music_dir = paths.music_dir
        self._pieces: dict[str, _Piece | None] = {}
        self._pairs = self._open(paths, "scene_listeners_file")
        self._scenes = self._open(paths, "scenes_file")
        self.music = self._open(paths, "music_file")
        self._gains = self._open(paths, "gains_file")
        self._listeners = self._open(paths, "listeners_file")
        self._compressors = self._open(paths, "enhancer_params_file")

    def _open(self, paths: MetadataPaths, option: str) -> MetadataFile:
        return MetadataFile(getattr(paths, option), option, self.problems)

    def pairs(self) -> list[Pair]:
        """All that could be built."""
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

    def excerpts(self) -> dict[str, dict[str, Excerpt]]:
        """Of each track that a scene uses, by source or mixture."""
        return {name: piece.excerpts for name, piece in self._pieces.items() if piece}

    # Listeners.

    def _listener_ids(self, scene_id: str, value: object) -> list[str]:
        listener_ids = self._pairs.validate(scene_id, value, files.LISTENER_IDS) or []
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
        hearing = self._listeners.find(listener_id, files.LISTENER, self._pairs, scene_id)
        aid = self._compressors.find(listener_id, files.COMPRESSOR, self._pairs, scene_id)
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

    # Scenes: a track and its gains.

    def _scene(self, scene_id: str) -> Scene | None:
        if not _SCENE_ID.fullmatch(scene_id):
            self._pairs.report(scene_id, "expected a scene id: S and digits, as in 'S50001'")
            return None
        entry = self._scenes.find(scene_id, files.SCENE, self._pairs, scene_id)
        if not entry:
            return None
        if entry.music not in self._pieces:
            self._pieces[entry.music] = self._piece(entry.music, f"{scene_id}.music")
        piece = self._pieces[entry.music]
        where = f"{scene_id}.gain"
        gains_db = self._gains.find(entry.gain, files.GAINS, self._scenes, where)
        if piece is None or gains_db is None:
            return None
        for source_id in sorted(gains_db.keys() - piece.source_ids):
            self._scenes.report(
                where,
                f"{entry.gain!r} has a gain for {source_id!r}, "
                f"but {entry.music!r} in {self.music.path} has no such source",
            )
        for source_id in sorted(set(piece.source_ids) - gains_db.keys()):
            self._scenes.report(
                where,
                f"{entry.gain!r} in {self._gains.path} has no gain for {source_id!r} "
                f"of {entry.music!r}",
            )
        if piece.track is None or gains_db.keys() != piece.track.sources.keys():
            return None
        return Scene(scene_id, piece.track, {key: gains_db[key] for key in piece.source_ids})

    # Music.

    def _piece(self, name: str, where: str) -> _Piece | None:
        parts = self.music.find(name, files.PARTS, self._scenes, where)
        if parts is None:
            return None
        piece = _Piece()
        for part, value in parts.items():
            if part != MIXTURE and not _SOURCE_ID.fullmatch(part):
                if part != _NOT_A_PART:
                    self.music.report(f"{name}.{part}", "expected 'mixture' or 'source_1', ...")
                continue
            entry = self.music.validate(f"{name}.{part}", value, files.EXCERPT)
            excerpt = entry and self._excerpt(f"{name}.{part}", entry)
            if excerpt:
                piece.excerpts[part] = excerpt
            if part == MIXTURE:
                continue
            piece.source_ids.append(part)
            instrument = entry and self._instrument(f"{name}.{part}", entry.instrument)
            if excerpt and instrument:
                piece.sources[part] = Source(part, *instrument, excerpt)
        if MIXTURE not in parts:
            self.music.report(f"{name}.{MIXTURE}", "key missing")
        if not piece.source_ids:
            self.music.report(f"{name}.source_1", "key missing")
        mixture = piece.excerpts.get(MIXTURE)
        if mixture and piece.sources and len(piece.sources) == len(piece.source_ids):
            piece.track = Track(name, piece.sources, mixture)
        return piece

    def _instrument(self, where: str, spelling: str) -> tuple[str, int | None] | None:
        match = _INSTRUMENT.fullmatch(spelling)
        if not match:
            self.music.report(
                f"{where}.instrument",
                f"expected one of {', '.join(INSTRUMENTS)} "
                f"({', '.join(DOUBLED)} also with _1 or _2), got {spelling!r}",
            )
            return None
        single, doubled, voice = match.groups()
        return (single, None) if single else (doubled, int(voice))

    def _excerpt(self, where: str, entry: files.ExcerptEntry) -> Excerpt | None:
        path = self._music_dir / entry.track
        # Resolved, so that neither `..` nor a symbolic link gets out; an absolute track replaces
        # the folder when joined to it.
        try:
            inside = path.resolve().is_relative_to(self._music_dir.resolve())
        except (OSError, ValueError, RuntimeError) as error:
            self.music.report(f"{where}.track", f"{entry.track!r} is not a path: {error}")
            return None
        if not inside:
            self.music.report(
                f"{where}.track", f"{entry.track!r} leaves the audio folder {self._music_dir}"
            )
            return None
        return Excerpt(path, entry.start, entry.duration)
