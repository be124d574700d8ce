"""Defines the protocol of the steps that are applied after a separator."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor


class Step(Protocol):
    """Changes the estimates of a separator in the STFT domain.

    A step is a frozen dataclass whose fields are its settings in the configuration. It has two
    parts, so that a recording can be processed in pieces: :meth:`learn` gets all frames, and
    :meth:`apply` gets some frames, with `context_s` on either side.

    Shapes: S sources, F bins, K frames.
    """

    looks_ahead: ClassVar[bool]
    """Whether the look-ahead exceeds 5 ms, the limit of the challenge."""

    needs_signals: ClassVar[bool]
    """Whether the estimates must be spectra of signals, as they were in the training of a network.
    Spectra that were multiplied by masks are not: the STFT of their signals differs from them."""

    @property
    def weights(self) -> dict[str, str]:
        """Dict from the path of each weight file to its SHA-256 digest."""

    def window_samples(self, sample_rate_hz: int) -> int:
        """Return the length of the Hann window in samples; the hop is a quarter of it."""

    def context_s(self, sample_rate_hz: int) -> float:
        """Return the context that :meth:`apply` needs on each side of a sample, in seconds."""

    def learn(self, mixture: Tensor, estimates: Tensor) -> Any:
        """Compute the statistics of the full recording that :meth:`apply` needs, or return None.

        Args:
            mixture: spectra of the mixture, complex (2, F, K).
            estimates: spectra of the estimates, complex (S, 2, F, K).
        """

    def apply(
        self, mixture: Tensor, estimates: Tensor, learned: Any, instruments: Sequence[str]
    ) -> Tensor:
        """Compute new estimates.

        Args:
            mixture: spectra of the mixture, complex (2, F, K).
            estimates: spectra of the estimates, complex (S, 2, F, K); they may be overwritten.
            learned: result of :meth:`learn` for the full recording.
            instruments: the instrument of each source.

        Returns:
            The new estimates, complex (S, 2, F, K), which sum to the mixture.
        """


class Untrained:
    """Base class of steps without weights."""

    needs_signals = False

    @property
    def weights(self) -> dict[str, str]:
        """Empty dict, because there are no weights."""
        return {}
