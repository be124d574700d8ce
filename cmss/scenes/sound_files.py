"""The sound files of a stage, each opened as seldom as its checks allow and decoded once."""

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cmss.audio import AudioHeader, Excerpt, read_excerpt, read_header, read_sound
from cmss.errors import InputError
from cmss.files.digests import file_sha256

KEPT_BYTES = 2**29
"""512 MiB: a hundred stereo excerpts of 15 s at 44.1 kHz in float32."""

Digests = Literal["none", "mixtures", "all"]
Waveform = NDArray[np.float32]


class SoundFiles:
    """Headers, digests and waveforms of sound files; what was read once is not read again.

    A header and a digest come from one opening, and are remembered. Decoded waveforms are kept up
    to a limit, so that memory does not grow with the number of tracks; those that came first are
    kept, and those beyond the limit are decoded again when they are asked for again.

    Args:
        sample_rate_hz: which excerpts must have.
        digests: of which files the digest is computed when the metadata are checked, because this
            stage will need it: of no file, of mixtures, or of mixtures and stems.
        most_bytes: of decoded waveforms that are kept.
    """

    def __init__(
        self, sample_rate_hz: int, digests: Digests = "none", most_bytes: int = KEPT_BYTES
    ) -> None:
        self.sample_rate_hz = sample_rate_hz
        self._digested = digests
        self._left = most_bytes
        self._headers: dict[Path, AudioHeader] = {}
        self._digests: dict[Path, str] = {}
        self._kept: dict[Excerpt | Path, tuple[Waveform, int]] = {}

    def needs_digest(self, is_mixture: bool) -> bool:
        """Whether this stage will need the digest of a mixture or stem."""
        return self._digested == "all" or (is_mixture and self._digested == "mixtures")

    def header(self, path: Path, digest: bool = False) -> AudioHeader:
        """The header of a file, which is seen to hold what it promises.

        Args:
            path: the file.
            digest: compute its digest in the same opening, for a later call of :meth:`digest`.

        Raises:
            InputError: as :func:`cmss.audio.read_header`.
        """
        if path not in self._headers:
            header = read_header(path, digest)
            self._headers[path] = header
            if header.sha256:
                self._digests[path] = header.sha256
        return self._headers[path]

    def digest(self, path: Path) -> str:
        """SHA-256 of a file, whatever it holds.

        Raises:
            InputError: it cannot be read.
        """
        if path not in self._digests:
            try:
                self._digests[path] = file_sha256(path)
            except OSError as error:
                raise InputError(f"{path}: {error.strerror or error}") from error
        return self._digests[path]

    def excerpt(self, excerpt: Excerpt) -> Waveform:
        """An excerpt: (2, samples), shared with all who ask for it, so not to be changed.

        Raises:
            InputError: as :func:`cmss.audio.read_excerpt`.
        """
        kept = self._kept.get(excerpt)
        if kept is None:
            rate_hz = self.sample_rate_hz
            kept = self._keep(excerpt, read_excerpt(excerpt, rate_hz), rate_hz)
        return kept[0]

    def release(self, excerpt: Excerpt) -> None:
        """Keep the waveform of an excerpt no longer, since nobody will ask for it again."""
        if kept := self._kept.pop(excerpt, None):
            self._left += kept[0].nbytes

    def whole(self, path: Path) -> tuple[Waveform, int]:
        """All of a file: (channels, samples), not to be changed, and its sampling rate in Hz.

        Raises:
            InputError: as :func:`cmss.audio.read_sound`.
        """
        return self._kept.get(path) or self._keep(path, *read_sound(path))

    def _keep(self, key: Excerpt | Path, signal: Waveform, rate_hz: int) -> tuple[Waveform, int]:
        if signal.nbytes <= self._left:
            self._left -= signal.nbytes
            self._kept[key] = signal, rate_hz
        return signal, rate_hz
