"""Tracks from the entries of the music file."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cmss.audio import Excerpt
from cmss.scenes import files
from cmss.scenes.files import MetadataFile
from cmss.scenes.records import DOUBLED, INSTRUMENTS, Source, Track
from cmss.scenes.sounds import MIXTURE

_SOURCE_ID = re.compile(r"source_[1-9][0-9]*")
_INSTRUMENT = re.compile(rf"(?:({'|'.join(INSTRUMENTS)})|({'|'.join(DOUBLED)})_([12]))")
# In music.valid.to_generate.json: the file to which the mixture is to be written.
_NOT_A_PART = "mixture_target"


@dataclass
class Piece:
    """The valid parts of an entry of the music file; `track` is set only if all parts are valid."""

    source_ids: list[str] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    excerpts: dict[str, Excerpt] = field(default_factory=dict)
    track: Track | None = None


class Music:
    """Builds each track once, when first used. Problems are reported to the file."""

    def __init__(self, file: MetadataFile, music_dir: Path) -> None:
        self.file = file
        self._dir = music_dir
        self._pieces: dict[str, Piece | None] = {}

    def piece(self, name: str, user: MetadataFile, where: str) -> Piece | None:
        """Return the track `name`, to which the key `where` of the file `user` refers."""
        if name not in self._pieces:
            self._pieces[name] = self._build(name, user, where)
        return self._pieces[name]

    def excerpts(self, references: bool = True) -> dict[str, dict[str, Excerpt]]:
        """Return the excerpts of all tracks in use, by source or mixture; or only the mixtures."""
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
        parts = self.file.find(name, files.PARTS, user, where)
        if parts is None:
            return None
        piece = Piece()
        for part, value in parts.items():
            if part != MIXTURE and not _SOURCE_ID.fullmatch(part):
                if part != _NOT_A_PART:
                    self.file.report(f"{name}.{part}", "expected 'mixture' or 'source_1', ...")
                continue
            entry = self.file.validate(f"{name}.{part}", value, files.EXCERPT)
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
                f"({', '.join(DOUBLED)} also with _1 or _2), got {spelling!r}",
            )
            return None
        single, doubled, voice = match.groups()
        return (single, None) if single else (doubled, int(voice))

    def _excerpt(self, where: str, entry: files.ExcerptEntry) -> Excerpt | None:
        path = self._dir / entry.track
        # The resolved path must be in the folder: `..`, symbolic links and absolute paths could
        # otherwise leave it.
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
