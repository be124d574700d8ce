"""Defines the protocol of the steps that process the estimates of a separator."""

from typing import Any, ClassVar, Protocol

from torch import Tensor


class Step(Protocol):
    """Protocol of a step, which changes the estimates of a separator in the STFT domain.

    A step is a frozen dataclass whose fields are its settings in the configuration. A step has two
    methods, so that a recording can be processed in pieces: :meth:`learn` gets all frames, and
    :meth:`apply` gets some frames, with a context of `context_s` seconds before and after these
    frames.

    In shapes, S is the number of sources, F the number of frequency bins, and K the number of
    frames.
    """

    looks_ahead: ClassVar[bool]
    """Whether the look-ahead exceeds 5 ms, the limit of the challenge."""

    needs_signals: ClassVar[bool]
    """Whether the step needs the STFT of signals; true if its network was trained on such STFTs.

    Spectra that were multiplied by masks are not the STFT of a signal: after an inverse STFT, the
    STFT of the resulting signal differs from these spectra.
    """

    @property
    def weights(self) -> dict[str, str]:
        """Dict from the path of each weight file to its SHA-256 digest."""

    def window_samples(self, sample_rate_hz: int) -> int:
        """Return the length of the Hann window in samples; the hop is a quarter of the window."""

    def context_s(self, sample_rate_hz: int) -> float:
        """Return the context in seconds that :meth:`apply` needs before and after each sample."""

    def learn(self, mixture: Tensor, estimates: Tensor) -> Any:
        """Compute the statistics of the full recording that :meth:`apply` needs, or return None.

        Args:
            mixture: spectra of the mixture, a complex array of shape (2, F, K).
            estimates: spectra of the estimates, a complex array of shape (S, 2, F, K).
        """

    def apply(self, mixture: Tensor, estimates: Tensor, learned: Any) -> Tensor:
        """Compute new estimates.

        Args:
            mixture: spectra of the mixture, a complex array of shape (2, F, K).
            estimates: spectra of the estimates, a complex array of shape (S, 2, F, K), which may be
                overwritten.
            learned: result of :meth:`learn` for the full recording.

        Returns:
            The new estimates, a complex array of shape (S, 2, F, K). The sum of the new estimates
            is the mixture.
        """


class Untrained:
    """Base class of steps without weights."""

    needs_signals = False

    @property
    def weights(self) -> dict[str, str]:
        """Empty dict, because there are no weights."""
        return {}
