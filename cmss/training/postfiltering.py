"""Training of a post-filter (:mod:`cmss.models.postfilter_network`) on a separator's estimates.

Shapes: S sources, F bins, K frames, N auditory bands.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cmss.models.postfilter_features import features_of
from cmss.models.postfilter_network import Postfilter, PostfilterArguments, corrected
from cmss.settings import BatchSize, LearningRate, NotNegative, Seed, Steps
from cmss.training.remix_loss import inverse_bandwidth, mask_error, with_modulations
from cmss.training.state import load_state
from cmss.training.trainer import Trainer, warmup_and_line
from cmss.transforms.masks import channel_log_masks
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
        told, shares = features_of(X, E), channel_log_masks(E)
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
        error = mask_error(shares, size, product, sizes)
        factor = (shares * gains).sum(0)
        got, wanted = (factor * size).square(), (gains * example.stems).sum(0).abs().square()
        in_bins = _log_ratio(got, wanted).abs().mean((0, 2)) + error.sum(0).mean((0, 2))
        got, wanted = self._to_bands @ got, self._to_bands @ wanted
        in_bands = _log_ratio(got, wanted).abs().mean()
        in_all = _log_ratio(got.mean(-1), wanted.mean(-1)).abs().mean()
        loss = (in_bins * self._weight).mean() + self.bands * (in_bands + in_all)

        def remixes() -> tuple[Tensor, Tensor]:
            wanted = (gains * example.stems).sum(0)
            return self._waveform(factor * example.mixture), self._waveform(wanted)

        return with_modulations(loss, self.modulation, remixes, self.arguments.samplerate)

    def _waveform(self, spectra: Tensor) -> Tensor:
        """(2, F, K) -> (1, 2, T)."""
        window, hop = self.arguments.window, self.arguments.window // 4
        above = window // 2 + 1 - spectra.shape[-2]
        padded = torch.nn.functional.pad(spectra, (0, 0, 0, above))
        samples = hop * (spectra.shape[-1] - 1)
        return istft(padded, torch.hann_window(window), hop, samples).unsqueeze(0)


def _log_ratio(got: Tensor, wanted: Tensor) -> Tensor:
    # One logarithm, where log_error takes two: the filters in the package were trained with this
    # rounding.
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
    state: Path,
    save_every_s: float = 60.0,
    progress: Callable[[range], Iterable[int]] = iter,
) -> None:
    """Train a network on excerpts of examples, or continue its training.

    Args:
        network: trained in place; in evaluation mode afterwards.
        examples: at least one.
        settings: how.
        state: file from which a stopped training continues.
        save_every_s: seconds from one writing of it to the next.
        progress: wraps the steps, such as tqdm.

    Raises:
        FloatingPointError: a loss or its gradient is not finite; names the step.
        InputError: `state` is of another training.
    """
    warmup_steps = max(settings.steps // 50, 1)
    Trainer(
        network,
        _PostfilterTask(network, examples, settings),
        state,
        settings.steps,
        settings.learning_rate,
        lambda step: warmup_and_line(step, settings.steps, warmup_steps),
        weight_decay=1e-3,
        clip_norm=1.0,  # no single excerpt outweighs the others
        save_every_s=save_every_s,
        training=_training(settings, len(examples)),
    ).run(progress)


class _PostfilterTask:
    """Random excerpts under random gains, all drawn from one generator."""

    finished = False  # before the last step

    def __init__(
        self, network: Postfilter, examples: Sequence[Example], settings: PostfilterTraining
    ) -> None:
        self.network, self.examples, self.settings = network, examples, settings
        self.loss = PostfilterLoss(network.arguments, settings.bands, settings.modulation)
        self.generator = torch.Generator().manual_seed(settings.seed)

    def losses(self, steps: range) -> Iterator[Iterator[Tensor]]:
        for _ in steps:
            yield (self._loss() for _ in range(self.settings.batch_size))

    def _loss(self) -> Tensor:
        example, gains = draw(self.examples, self.settings.frames, self.generator)
        with torch.autocast("cpu", torch.bfloat16, self.settings.bfloat16):
            return self.loss(self.network, example, gains) / self.settings.batch_size

    def after(self, step: int, loss: float) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])


def check_state(state: Path, settings: PostfilterTraining, examples: int) -> None:
    """Refuse the state of another training, before its examples are made.

    Args:
        state: see :func:`train_postfilter`; it need not exist.
        settings: of the training that is to continue.
        examples: number of its examples.

    Raises:
        InputError: it is damaged or of other settings or another number of examples.
    """
    load_state(state, lambda _: None, _training(settings, examples))


def _training(settings: PostfilterTraining, examples: int) -> str:
    return repr((settings, examples))


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
