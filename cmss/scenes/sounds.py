"""Checks that the sound files of a run agree with the metadata."""

from pathlib import Path

from cmss.audio import AudioHeader, Excerpt
from cmss.errors import InputError
from cmss.scenes.files import MetadataFile
from cmss.scenes.sound_files import SoundFiles

MIXTURE = "mixture"


def check_sounds(
    tracks: dict[str, dict[str, Excerpt]], music: MetadataFile, sounds: SoundFiles
) -> None:
    """Check each file once, and each excerpt; report problems with their keys to `music`.

    Args:
        tracks: by name, the excerpts of sources and mixture by their key.
        music: the metadata file that named them.
        sounds: opens the files; all must have its sampling rate.
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
                    "as the mixture has",
                )


def _header(
    where: str, path: Path, music: MetadataFile, sounds: SoundFiles, is_mixture: bool
) -> AudioHeader | None:
    """The header of a file if all is well with the file as such."""
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
    """Return whether a file contains an excerpt of at least one sample; report it if not."""
    start, stop = excerpt.span(header.sample_rate_hz)
    if stop > header.samples:
        music.report(
            f"{where}.duration",
            f"start {excerpt.start_s:g} s and duration {excerpt.duration_s:g} s end beyond "
            f"{excerpt.path}, which lasts {header.samples / header.sample_rate_hz:g} s",
        )
        return False
    if start == stop:
        music.report(f"{where}.duration", f"{excerpt.duration_s:g} s hold no sample")
        return False
    return True
