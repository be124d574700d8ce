"""Reads sound files, and caches the headers, digests and waveforms of the files."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmss.audio import AudioHeader, Excerpt, read_excerpt, read_header, read_sound
from cmss.errors import InputError
from cmss.files.digests import file_sha256

Waveform = NDArray[np.float32]


class SoundFiles:
    """A cache of headers, digests and waveforms of sound files.

    Headers and digests stay in memory. Decoded waveforms stay in memory only up to a limit, so that
    the memory does not grow with the number of tracks. All other waveforms are decoded again at
    each call.

    Args:
        sample_rate_hz: required sampling rate of excerpts.
        digests: files whose digests this program will need: "none", "mixtures", or "all" (mixtures
            and stems). All digests that will be needed are computed when the metadata are checked.
        most_bytes: maximum total size of the waveforms that are kept. The default, 512 MiB, is
            enough for a hundred stereo excerpts of 15 s at 44.1 kHz in float32.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        digests: Literal["none", "mixtures", "all"] = "none",
        most_bytes: int = 2**29,
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._digested = digests
        self._left = most_bytes
        self._headers: dict[Path, AudioHeader] = {}
        self._digests: dict[Path, str] = {}
        self._kept: dict[Excerpt | Path, tuple[Waveform, int]] = {}

    def needs_digest(self, is_mixture: bool) -> bool:
        """Return whether this program will need the digest of a file.

        Args:
            is_mixture: true if the file is a mixture, false if it is a stem.
        """
        return self._digested == "all" or (is_mixture and self._digested == "mixtures")

    def header(self, path: Path, digest: bool = False) -> AudioHeader:
        """Return the header of a sound file, and check that the length in the header is correct.

        Args:
            path: path of the file.
            digest: whether to compute the digest of the file as well, so that a later call of
                :meth:`digest` does not open the file again.

        Raises:
            InputError: see :func:`cmss.audio.read_header`.
        """
        if path not in self._headers:
            header = read_header(path, digest)
            self._headers[path] = header
            if header.sha256:
                self._digests[path] = header.sha256
        return self._headers[path]

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file of any type.

        Raises:
            InputError: the file cannot be read.
        """
        if path not in self._digests:
            try:
                self._digests[path] = file_sha256(path)
            except OSError as error:
                raise InputError(f"{path}: {error.strerror or error}") from error
        return self._digests[path]

    def excerpt(self, excerpt: Excerpt) -> Waveform:
        """Return the waveform of an excerpt as an array (2, samples).

        Do not modify the returned array, because all callers share it.

        Raises:
            InputError: see :func:`cmss.audio.read_excerpt`.
        """
        kept = self._kept.get(excerpt)
        if kept is None:
            rate_hz = self.sample_rate_hz
            kept = self._keep(excerpt, read_excerpt(excerpt, rate_hz), rate_hz)
        return kept[0]

    def release(self, excerpt: Excerpt) -> None:
        """Remove the waveform of an excerpt from the cache."""
        if kept := self._kept.pop(excerpt, None):
            self._left += kept[0].nbytes

    def read(self, path: Path) -> tuple[Waveform, int]:
        """Return the waveform (channels, samples) and the sampling rate in Hz of a complete file.

        Do not modify the returned array, because all callers share it.

        Raises:
            InputError: see :func:`cmss.audio.read_sound`.
        """
        return self._kept.get(path) or self._keep(path, *read_sound(path))

    def _keep(self, key: Excerpt | Path, signal: Waveform, rate_hz: int) -> tuple[Waveform, int]:
        if signal.nbytes <= self._left:
            self._left -= signal.nbytes
            self._kept[key] = signal, rate_hz
        return signal, rate_hz
