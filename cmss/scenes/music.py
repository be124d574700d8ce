"""Builds tracks from the entries of the music file, and checks the sound files of the tracks."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cmss.audio import AudioHeader, Excerpt
from cmss.errors import InputError, did_you_mean
from cmss.scenes.files import ExcerptEntry, MetadataFile, Parts
from cmss.scenes.records import DOUBLED, INSTRUMENTS, Source, Track
from cmss.scenes.sound_files import SoundFiles

MIXTURE = "mixture"
_SOURCE_ID = re.compile(r"source_[1-9][0-9]*")
_INSTRUMENT = re.compile(rf"(?:({'|'.join(INSTRUMENTS)})|({'|'.join(DOUBLED)})_([12]))")
# In music.valid.to_generate.json, this key gives the file to which the mixture is to be written. It
# is neither a source nor the mixture, so it is ignored.
_NOT_A_PART = "mixture_target"


@dataclass
class Piece:
    """Holds the valid sources and the valid mixture of an entry of the music file.

    Args:
        source_ids: ids of all sources of the entry, including those that are not valid.
        sources: dict from the id of a source to the source. The dict contains only the valid
            sources.
        excerpts: dict from the id of a source to the excerpt of the source, and from "mixture" to
            the excerpt of the mixture. The dict contains only the valid excerpts.
        track: the track; None if a source or the mixture is not valid.
    """

    source_ids: list[str] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    excerpts: dict[str, Excerpt] = field(default_factory=dict)
    track: Track | None = None


class Music:
    """Builds tracks from the music file; each track is built only once, at its first use.

    Args:
        file: the music file. Problems are reported to `file`.
        music_dir: folder to which the paths in the music file are relative.
    """

    def __init__(self, file: MetadataFile, music_dir: Path) -> None:
        self.file = file
        self._dir = music_dir
        self._pieces: dict[str, Piece | None] = {}

    def piece(self, name: str, user: MetadataFile, where: str) -> Piece | None:
        """Return the sources and the mixture of a track; None if the track does not exist.

        Args:
            name: name of the track.
            user: metadata file that contains the name of the track.
            where: full key in `user` whose value is the name of the track.
        """
        if name not in self._pieces:
            self._pieces[name] = self._build(name, user, where)
        return self._pieces[name]

    def excerpts(self, references: bool = True) -> dict[str, dict[str, Excerpt]]:
        """Return the excerpts of all tracks in use.

        Args:
            references: whether to return the excerpts of the sources as well as the mixtures.

        Returns:
            Dict from the name of a track to its excerpts. The excerpts of a track are a dict from
            the id of a source, or "mixture", to the excerpt.
        """
        return {
            name: {
                part: excerpt
                for part, excerpt in piece.excerpts.items()
                if references or part == MIXTURE
            }
            for name, piece in self._pieces.items()
            if piece
        }

    def _build(self, name: str, user: MetadataFile, where: str) -> Piece | None:
        parts = self.file.find(name, Parts, user, where)
        if parts is None:
            return None
        piece = Piece()
        for part, value in parts.items():
            if part != MIXTURE and not _SOURCE_ID.fullmatch(part):
                if part != _NOT_A_PART:
                    self.file.report(f"{name}.{part}", "expected 'mixture' or 'source_1', ...")
                continue
            entry = self.file.validate(f"{name}.{part}", value, ExcerptEntry)
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
            self.file.report(f"{name}.{MIXTURE}", "key missing")
        if not piece.source_ids:
            self.file.report(f"{name}.source_1", "key missing")
        mixture = piece.excerpts.get(MIXTURE)
        if mixture and piece.sources and len(piece.sources) == len(piece.source_ids):
            piece.track = Track(name, piece.sources, mixture)
        return piece

    def _instrument(self, where: str, spelling: str) -> tuple[str, int | None] | None:
        match = _INSTRUMENT.fullmatch(spelling)
        if not match:
            self.file.report(
                f"{where}.instrument",
                f"expected one of {', '.join(INSTRUMENTS)} "
                f"({', '.join(DOUBLED)} also with _1 or _2), got {spelling!r}"
                + did_you_mean(spelling, INSTRUMENTS),
            )
            return None
        single, doubled, voice = match.groups()
        return (single, None) if single else (doubled, int(voice))

    def _excerpt(self, where: str, entry: ExcerptEntry) -> Excerpt | None:
        path = self._dir / entry.track
        # Resolve the path before the check whether it is in the music folder, because `..`,
        # symbolic links and absolute paths can refer to files outside this folder.
        try:
            inside = path.resolve().is_relative_to(self._dir.resolve())
        except (OSError, ValueError, RuntimeError) as error:
            self.file.report(f"{where}.track", f"{entry.track!r} is not a path: {error}")
            return None
        if not inside:
            self.file.report(
                f"{where}.track", f"{entry.track!r} leaves the audio folder {self._dir}"
            )
            return None
        return Excerpt(path, entry.start, entry.duration)


def check_sounds(
    tracks: dict[str, dict[str, Excerpt]], music: MetadataFile, sounds: SoundFiles
) -> None:
    """Check the sound file and the length of each excerpt, and report problems to `music`.

    Args:
        tracks: the excerpts of each track, see :meth:`Music.excerpts`.
        music: music file with the entries of these tracks.
        sounds: cache that opens the files; every file must have the sampling rate of this cache.
    """
    headers: dict[Path, AudioHeader | None] = {}
    for name, excerpts in tracks.items():
        lengths: dict[str, int] = {}
        for part, excerpt in excerpts.items():
            where = f"{name}.{part}"
            if excerpt.path not in headers:
                headers[excerpt.path] = _header(where, excerpt.path, music, sounds, part == MIXTURE)
            header = headers[excerpt.path]
            if header and _holds(where, excerpt, header, music):
                start, stop = excerpt.span(sounds.sample_rate_hz)
                lengths[part] = stop - start
        expected = lengths.get(MIXTURE)
        for part, length in lengths.items():
            if expected and length != expected:
                music.report(
                    f"{name}.{part}",
                    f"start and duration give {length} samples, expected {expected}, "
                    "the length of the mixture",
                )


def _header(
    where: str, path: Path, music: MetadataFile, sounds: SoundFiles, is_mixture: bool
) -> AudioHeader | None:
    """Return the header of a sound file; if the file cannot be used, report why and return None.

    Args:
        where: full key of the excerpt in the music file.
        path: path of the sound file.
        music: music file. Problems are reported to `music`.
        sounds: cache that opens the file.
        is_mixture: true if the file is a mixture, false if it is a stem.
    """
    problems = []
    try:
        header = sounds.header(path, sounds.needs_digest(is_mixture))
    except InputError as error:
        for problem in error.problems:
            music.report(f"{where}.track", problem)
        return None
    if header.sample_rate_hz != sounds.sample_rate_hz:
        problems.append(
            f"sampling rate {header.sample_rate_hz} Hz, expected {sounds.sample_rate_hz} Hz"
        )
    if header.channels != 2:
        problems.append(f"{header.channels} channel(s), expected 2")
    for problem in problems:
        music.report(f"{where}.track", f"{path}: {problem}")
    return None if problems else header


def _holds(where: str, excerpt: Excerpt, header: AudioHeader, music: MetadataFile) -> bool:
    """Return whether an excerpt is not empty and lies within the sound file; if not, report why.

    Args:
        where: full key of the excerpt in the music file.
        excerpt: the excerpt.
        header: header of the sound file.
        music: music file. Problems are reported to `music`.
    """
    start, stop = excerpt.span(header.sample_rate_hz)
    if stop > header.samples:
        music.report(
            f"{where}.duration",
            f"start {excerpt.start_s:g} s and duration {excerpt.duration_s:g} s end beyond "
            f"{excerpt.path}, which lasts {header.samples / header.sample_rate_hz:g} s",
        )
        return False
    if start == stop:
        music.report(f"{where}.duration", f"{excerpt.duration_s:g} s contain no sample")
        return False
    return True
