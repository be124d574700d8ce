"""Training of a post-filter (:mod:`cmss.models.postfilter`) on a separator's estimates.

Shapes: S sources, F bins, K frames, N auditory bands.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cmss.models.postfilter import Postfilter, PostfilterArguments, clues, corrected
from cmss.settings import BatchSize, LearningRate, NotNegative, Seed, Steps
from cmss.training.losses import inverse_bandwidth
from cmss.training.modulation import modulation_distance
from cmss.training.state import load_state, save_state
from cmss.transforms.shares import channel_log_shares
from cmss.transforms.stft import istft, stft

GAINS_DB = (-10.0, -6.0, -3.0, 0.0, 3.0, 6.0, 10.0)
"""What the challenge's listeners ask for."""

FLOOR = 1e-5
"""Power that counts as silence, against the mixture's mean per bin."""


@dataclass(frozen=True)
class Example:
    """A mixture, what a separator made of it, and what is true, at a mean power of a sixteenth.

    Args:
        clues: (S, CLUES, F, K), float16.
        shares: logarithm of the estimates' shares, (S, 2, F, K), float16.
        mixture: complex (2, F, K).
        stems: complex (S, 2, F, K).
        alike: numbers of sources that play one instrument, see :class:`Postfilter`.
    """

    clues: Tensor
    shares: Tensor
    mixture: Tensor
    stems: Tensor
    alike: Sequence[Sequence[int]] = ()

    @classmethod
    def of(
        cls,
        mixture: Tensor,
        estimates: Tensor,
        stems: Tensor,
        arguments: PostfilterArguments,
        alike: Sequence[Sequence[int]] = (),
    ) -> "Example":
        """That of waveforms (2, T), (S, 2, T) and (S, 2, T)."""
        window = torch.hann_window(arguments.window)
        X, E, T = (
            stft(signal, window, arguments.window // 4)[..., : arguments.bins, :]
            for signal in (mixture, estimates, stems)
        )
        level = 4 * X.abs().square().mean().sqrt()
        told, shares = clues(X, E), channel_log_shares(E)
        return cls(told.half(), shares.half(), X / level, T / level, alike)

    def cut(self, first: int, frames: int) -> "Example":
        """Some of its frames."""
        part = slice(first, first + frames)
        return replace(
            self,
            clues=self.clues[..., part],
            shares=self.shares[..., part],
            mixture=self.mixture[..., part],
            stems=self.stems[..., part],
        )


class PostfilterLoss:
    """Errors of the sources and of their remix, in each bin, in auditory bands, and as heard.

    Sources are compared by spectra with the square root of their magnitudes, the remix by its log
    power in each bin and in bands half as wide as auditory filters, there also as the mean over
    the excerpt, since HAAQI listens to the long-term spectrum as well, and by its modulations
    (:mod:`cmss.training.modulation`).

    Args:
        arguments: of the post-filter.
        bands: weight of the log power in bands, of frames and of the excerpt.
        modulation: weight of the modulations.
    """

    def __init__(self, arguments: PostfilterArguments, bands: float, modulation: float) -> None:
        self.arguments, self.bands, self.modulation = arguments, bands, modulation
        bins, rate_hz = arguments.bins, arguments.samplerate
        weight = inverse_bandwidth(arguments.window // 2 + 1, rate_hz)[:bins]
        self._weight = weight / weight.mean()
        hz = torch.arange(bins) * rate_hz / arguments.window
        rate = 2 * 21.4 * torch.log10(4.37e-3 * hz + 1)  # bands (Glasberg and Moore 1990)
        centres = torch.arange(int(rate[-1]))[:, None] + 0.5
        self._to_bands = (1 - (rate - centres).abs()).clamp(min=0)  # (N, F)

    def __call__(self, network: Postfilter, example: Example, gains: Tensor) -> Tensor:
        """Loss of the network on an example under gains (S,), as factors."""
        corrections = network.corrections(example.clues.float())
        shares = corrected(example.shares.float(), corrections, example.alike)  # (S, 2, F, K)
        with torch.autocast("cpu", enabled=False):
            return self._loss(shares, example, gains[:, None, None, None])

    def _loss(self, shares: Tensor, example: Example, gains: Tensor) -> Tensor:
        size, sizes = example.mixture.abs(), example.stems.abs()
        product = (example.mixture.conj() * example.stems).real * (size * sizes + 1e-6).rsqrt()
        # |sqrt(m) x - s|^2 with compressed x and s, a polynomial in the root of the share m
        error = shares * size - 2 * (shares + 1e-6).sqrt() * product + sizes
        factor = (shares * gains).sum(0)
        got, wanted = (factor * size).square(), (gains * example.stems).sum(0).abs().square()
        in_bins = _log_ratio(got, wanted).abs().mean((0, 2)) + error.sum(0).mean((0, 2))
        got, wanted = self._to_bands @ got, self._to_bands @ wanted
        in_bands = _log_ratio(got, wanted).abs().mean()
        in_all = _log_ratio(got.mean(-1), wanted.mean(-1)).abs().mean()
        loss = (in_bins * self._weight).mean() + self.bands * (in_bands + in_all)
        if not self.modulation:
            return loss
        heard = self._waveform(factor * example.mixture)
        meant = self._waveform((gains * example.stems).sum(0))
        distance = modulation_distance(heard, meant, self.arguments.samplerate)
        return loss + self.modulation * distance

    def _waveform(self, spectra: Tensor) -> Tensor:
        """(2, F, K) -> (1, 2, T)."""
        window, hop = self.arguments.window, self.arguments.window // 4
        above = window // 2 + 1 - spectra.shape[-2]
        padded = torch.nn.functional.pad(spectra, (0, 0, 0, above))
        samples = hop * (spectra.shape[-1] - 1)
        return istft(padded, torch.hann_window(window), hop, samples).unsqueeze(0)


def _log_ratio(got: Tensor, wanted: Tensor) -> Tensor:
    return ((got + FLOOR) / (wanted + FLOOR)).log()


@dataclass(frozen=True)
class PostfilterTraining:
    """The section `training`: how a post-filter is trained.

    Args:
        steps: number of updates.
        batch_size: excerpts of each.
        frames: of an excerpt, at least 24, which are more than a second.
        learning_rate: the highest of AdamW, after a fiftieth of the steps; then it falls to zero.
        bands: see :class:`PostfilterLoss`.
        modulation: see :class:`PostfilterLoss`.
        bfloat16: products of matrices in bfloat16.
        seed: of the weights, the excerpts and the gains.
    """

    steps: Steps
    batch_size: BatchSize
    frames: Annotated[int, Field(ge=24, le=10**6)]
    learning_rate: LearningRate
    bands: NotNegative
    modulation: NotNegative
    bfloat16: bool
    seed: Seed


def train_postfilter(
    network: Postfilter,
    examples: Sequence[Example],
    settings: PostfilterTraining,
    state: Path | None = None,
    save_every: int = 100,
    progress: Callable[[range], Iterable[int]] = iter,
) -> list[float]:
    """Train a network on excerpts of examples.

    Args:
        network: is trained in place.
        examples: at least one.
        settings: how.
        state: file that keeps what it takes to go on, and is gone on from if it is there.
        save_every: steps from one writing of it to the next.
        progress: wraps the steps, to show them.

    Returns:
        the loss of each step that was made.

    Raises:
        InputError: `state` is of another training.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    loss_of = PostfilterLoss(network.arguments, settings.bands, settings.modulation)
    optimiser = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-3)
    kept = _Kept(state, network, optimiser, generator, _training(settings, len(examples)))
    warmup = max(settings.steps // 50, 1)
    losses = []
    network.train()
    for step in progress(range(kept.step, settings.steps)):
        rate = min((step + 1) / warmup, (settings.steps - step) / (settings.steps - warmup + 1))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate
        optimiser.zero_grad()
        total = 0.0
        for _ in range(settings.batch_size):
            example, gains = draw(examples, settings.frames, generator)
            with torch.autocast("cpu", torch.bfloat16, settings.bfloat16):
                loss = loss_of(network, example, gains) / settings.batch_size
            loss.backward()
            total += loss.item()
        # One odd excerpt is not to undo what the others taught.
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        losses.append(total)
        if (step + 1) % save_every == 0 or step + 1 == settings.steps:
            kept.save(step + 1)
    network.eval()
    return losses


def check_state(state: Path, settings: PostfilterTraining, examples: int) -> None:
    """Refuse the state of another training, before its examples are made.

    Args:
        state: see :func:`train_postfilter`; it need not be there.
        settings: of the training that is to go on.
        examples: number of its examples.

    Raises:
        InputError: it is damaged or of other settings or another number of examples.
    """
    load_state(state, lambda kept: _expect(_training(settings, examples), kept), "this training")


def _training(settings: PostfilterTraining, examples: int) -> str:
    return repr((settings, examples))


def _expect(training: str, kept: dict[str, Any]) -> None:
    if kept["training"] != training:
        raise ValueError(f"it is of {kept['training']}, expected {training}")


@dataclass
class _Kept:
    """What a stopped training goes on from, in a file; none: nothing is kept."""

    path: Path | None
    network: Postfilter
    optimiser: torch.optim.Optimizer
    generator: torch.Generator
    training: str
    step: int = 0

    def __post_init__(self) -> None:
        if self.path:
            load_state(self.path, self._take, "this training")

    def _take(self, kept: dict[str, Any]) -> None:
        _expect(self.training, kept)
        self.network.load_state_dict(kept["network"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.generator.set_state(kept["generator"])
        self.step = kept["step"]

    def save(self, step: int) -> None:
        if self.path:
            kept = {
                "training": self.training,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "generator": self.generator.get_state(),
                "step": step,
            }
            save_state(self.path, kept)


def mean_loss(
    network: Postfilter, examples: Sequence[Example], settings: PostfilterTraining
) -> float:
    """Mean loss of a network on one excerpt of each example, the same whenever it is called."""
    generator = torch.Generator().manual_seed(0)
    loss_of = PostfilterLoss(network.arguments, settings.bands, settings.modulation)
    losses = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, settings.bfloat16):
        for example in examples:
            losses.append(float(loss_of(network, *draw([example], 2 * settings.frames, generator))))
    return sum(losses) / len(losses)


def draw(
    examples: Sequence[Example], frames: int, generator: torch.Generator
) -> tuple[Example, Tensor]:
    """An excerpt of one of the examples, and a factor for each of its sources."""
    example = examples[int(torch.randint(len(examples), (), generator=generator))]
    room = max(example.mixture.shape[-1] - frames, 0) + 1
    first = int(torch.randint(room, (), generator=generator))
    chosen = torch.randint(len(GAINS_DB), (len(example.stems),), generator=generator)
    return example.cut(first, frames), 10 ** (torch.tensor(GAINS_DB)[chosen] / 20)
