"""A step after a separator, and what steps say of themselves."""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from torch import Tensor


class Step(Protocol):
    """Changes the estimates of a separator, given the mixture, in the domain of an STFT.

    A step is a frozen dataclass whose fields are its settings in the configuration. It works in two
    parts, so that a recording can be processed in pieces: :meth:`learn` sees all frames, and
    :meth:`apply` some of them, with `context_s` on either side.

    Shapes: S sources, F bins, K frames.
    """

    looks_ahead: ClassVar[bool]
    """Whether an estimate depends on the mixture more than the challenge's 5 ms later."""

    @property
    def weights(self) -> dict[str, str]:
        """Path of each weight file -> its sha256."""

    def window_samples(self, sample_rate_hz: int) -> int:
        """Samples of the Hann window of its spectra; frames lie a quarter of it apart."""

    def context_s(self, sample_rate_hz: int) -> float:
        """Seconds around a sample that its estimate depends on, given what was learned."""

    def learn(self, mixture: Tensor, estimates: Tensor) -> Any:
        """Collect what :meth:`apply` needs of the whole recording; None where it needs nothing.

        Args:
            mixture: complex (2, F, K).
            estimates: complex (S, 2, F, K).
        """

    def apply(
        self, mixture: Tensor, estimates: Tensor, learned: Any, instruments: Sequence[str]
    ) -> Tensor:
        """New estimates.

        Args:
            mixture: complex (2, F, K).
            estimates: complex (S, 2, F, K).
            learned: by :meth:`learn`, from these frames or from more.
            instruments: of each source.

        Returns:
            complex (S, 2, F, K); their sum is the mixture.
        """


class Untrained:
    """Base of steps without weights."""

    @property
    def weights(self) -> dict[str, str]:
        """None."""
        return {}
