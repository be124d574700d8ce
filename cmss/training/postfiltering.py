"""Trains a post-filter (:mod:`cmss.models.postfilter_network`) on the estimates of a separator.

In shapes, S is the number of sources, T the number of samples, F the number of bins, K the number
of frames, and N the number of auditory bands.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from cmss.machine.precision import Precision, autocast
from cmss.models.postfilter_features import features_of
from cmss.models.postfilter_network import Postfilter, PostfilterArguments
from cmss.settings import BatchSize, LearningRate, NotNegative, Seed, Steps
from cmss.training.mixtures import GAINS_DB
from cmss.training.remix_loss import inverse_bandwidth, mask_error, with_modulations
from cmss.training.trainer import Trainer, step_seed, warmup_and_line
from cmss.transforms.masks import channel_log_masks
from cmss.transforms.stft import istft, stft


@dataclass(frozen=True)
class Example:
    """Holds the mixture, the estimates and the stems of a track.

    The mixture and the stems are scaled so that the mean power of the mixture's bins is 1/16.

    Args:
        features: features of the estimates, an array (S, FEATURES, F, K) of type float16. The
            features are the inputs of the post-filter.
        log_masks: logarithm of the masks of the estimates, an array (S, 2, F, K) of type float16.
        mixture: complex spectra of the mixture, an array (2, F, K).
        stems: complex spectra of the ground truth stems, an array (S, 2, F, K).
    """

    features: Tensor
    log_masks: Tensor
    mixture: Tensor
    stems: Tensor

    @classmethod
    def of(
        cls,
        mixture: Tensor,
        estimates: Tensor,
        stems: Tensor,
        arguments: PostfilterArguments,
    ) -> "Example":
        """Build an example from the waveforms of a mixture (2, T), its estimates and its stems."""
        window = torch.hann_window(arguments.window)
        # Keep only the bins that the post-filter corrects. The spectra have the shapes (2, F, K),
        # (S, 2, F, K) and (S, 2, F, K).
        X, E, T = (
            stft(signal, window, arguments.window // 4)[..., : arguments.bins, :]
            for signal in (mixture, estimates, stems)
        )
        # Spectra of a silent mixture are not scaled.
        level = 4 * X.abs().square().mean().sqrt()
        level = level.where(level > 0, 1)
        features, log_masks = features_of(X, E), channel_log_masks(E)
        return cls(features.half(), log_masks.half(), X / level, T / level)

    def cut(self, part: slice) -> "Example":
        """Return an excerpt with some of the frames."""
        return replace(
            self,
            features=self.features[..., part],
            log_masks=self.log_masks[..., part],
            mixture=self.mixture[..., part],
            stems=self.stems[..., part],
        )


Examples = Sequence[Example] | Callable[[int], Sequence[Example]]
"""List of all examples, or function that returns the `batch_size` examples of a step."""


class PostfilterLoss:
    """Computes the loss of the corrected sources and of their remix.

    The corrected sources and the stems are compared in the form of compressed spectra, in which
    each magnitude is replaced by its square root. For the remixes, three properties are compared:
    the log power in bins, the log power in bands, and the modulations
    (:mod:`cmss.training.modulation`). The bands are half as wide as auditory filters. The log power
    in bands is compared in each frame. The mean of the power over the excerpt is also compared,
    because HAAQI compares long-term spectra.

    Args:
        arguments: arguments of the post-filter.
        bands: weight of the error of the log power in bands.
        modulation: weight of the modulation loss.
    """

    def __init__(self, arguments: PostfilterArguments, bands: float, modulation: float) -> None:
        self.arguments, self.bands, self.modulation = arguments, bands, modulation
        bins, rate_hz = arguments.bins, arguments.samplerate
        weight = inverse_bandwidth(arguments.window // 2 + 1, rate_hz)[:bins]
        self._weight = weight / weight.mean()  # (F,)
        hz = torch.arange(bins) * rate_hz / arguments.window
        # Twice the ERB-rate scale of Glasberg and Moore (1990), so that a band is half as wide as
        # an auditory filter.
        rate = 2 * 21.4 * torch.log10(4.37e-3 * hz + 1)
        centres = torch.arange(int(rate[-1]))[:, None] + 0.5
        # The bands are triangular, and sum to 1 between the first and the last centre frequency.
        self._to_bands = (1 - (rate - centres).abs()).clamp(min=0)  # (N, F)

    def __call__(self, network: Postfilter, example: Example, part: slice, gains: Tensor) -> Tensor:
        """Compute the loss of a network on some of the frames of an example.

        Args:
            network: post-filter.
            example: example, which may be longer than `part`.
            part: frames whose corrections and remix are compared. As in a recording, the
                corrections also depend on frames before and after `part`.
            gains: factors (S,) of the sources in the remix.
        """
        begin = max(part.start - network.context, 0)
        features = example.features[..., begin : part.stop + network.context].float()
        corrections = network.corrections(features)[..., part.start - begin : part.stop - begin]
        example = example.cut(part)
        # The masks of higher bins do not change.
        above = example.log_masks.shape[-2] - corrections.shape[-2]
        corrections = torch.nn.functional.pad(corrections, (0, 0, 0, above))
        masks = (example.log_masks.float() + corrections).softmax(0)  # (S, 2, F, K)
        with torch.autocast("cpu", enabled=False):
            return self._loss(masks, example, gains[:, None, None, None])

    def _loss(self, masks: Tensor, example: Example, gains: Tensor) -> Tensor:
        # Compute |X| (2, F, K), |S| (S, 2, F, K) and Re(X* S) / sqrt(|X| |S|) for mask_error.
        mixture, stems = example.mixture.abs(), example.stems.abs()
        product = (example.mixture.conj() * example.stems).real * (mixture * stems + 1e-6).rsqrt()
        error = mask_error(masks, mixture, product, stems)  # (S, 2, F, K)
        # The remix of masked spectra equals the mixture multiplied by the sum of gain times mask.
        factor = (masks * gains).sum(0)  # (2, F, K)
        target_spectra = (gains * example.stems).sum(0)
        estimate, target = (factor * mixture).square(), target_spectra.abs().square()
        in_bins = _log_ratio(estimate, target).abs().mean((0, 2)) + error.sum(0).mean((0, 2))
        estimate, target = self._to_bands @ estimate, self._to_bands @ target  # (2, N, K)
        in_bands = _log_ratio(estimate, target).abs().mean()
        long_term = _log_ratio(estimate.mean(-1), target.mean(-1)).abs().mean()
        loss = (in_bins * self._weight).mean() + self.bands * (in_bands + long_term)

        def remixes() -> tuple[Tensor, Tensor]:
            return self._waveform(factor * example.mixture), self._waveform(target_spectra)

        return with_modulations(loss, self.modulation, remixes, self.arguments.samplerate)

    def _waveform(self, spectra: Tensor) -> Tensor:
        """Synthesise a remix (1, 2, T) from spectra (2, F, K); bins above F are set to zero."""
        window, hop = self.arguments.window, self.arguments.window // 4
        above = window // 2 + 1 - spectra.shape[-2]
        padded = torch.nn.functional.pad(spectra, (0, 0, 0, above))
        samples = hop * (spectra.shape[-1] - 1)
        return istft(padded, torch.hann_window(window), hop, samples).unsqueeze(0)


def _log_ratio(estimate: Tensor, target: Tensor) -> Tensor:
    """Compute the logarithm of a ratio of powers; powers below 1e-5 count as silence."""
    # Unlike log_error, this function computes a single logarithm, because the post-filters in the
    # package were trained with the rounding errors of this computation.
    return ((estimate + 1e-5) / (target + 1e-5)).log()


@dataclass(frozen=True)
class PostfilterTraining:
    """Settings of the section `training`, which define how a post-filter is trained.

    Args:
        steps: number of updates.
        batch_size: number of excerpts in each step.
        frames: length of an excerpt in frames; the modulation loss needs at least 1 s, which is 24
            frames.
        learning_rate: maximum of the learning rate. The learning rate rises during the first 2 % of
            the steps, and then falls to zero.
        bands: weight of a term of the loss, see :class:`PostfilterLoss`.
        modulation: weight of the modulation loss, see :class:`PostfilterLoss`.
        precision: precision of the convolutions, see :func:`cmss.machine.precision.autocast`.
        bins: number of bins whose masks are corrected, from the lowest frequency. If `bins` is
            None, it is the number of bins of the post-filter.
        seed: seed of the random initial weights, excerpts and gains.
    """

    steps: Steps
    batch_size: BatchSize
    frames: Annotated[int, Field(ge=24, le=10**6)]
    learning_rate: LearningRate
    bands: NotNegative
    modulation: NotNegative
    precision: Precision
    bins: Annotated[int, Field(ge=64)] | None
    seed: Seed

    def with_examples(self, examples: int | str) -> str:
        """Return a text that identifies a training by its settings and its examples.

        Args:
            examples: number of the examples, or a text that describes them.
        """
        return repr((self, examples))


def train_postfilter(
    network: Postfilter,
    examples: Examples,
    settings: PostfilterTraining,
    state: Path,
    save_every_s: float = 60.0,
    progress: Callable[[range], Iterable[int]] = iter,
    described: str = "",
) -> None:
    """Train a post-filter on excerpts of examples, or continue its training.

    Args:
        network: post-filter, which is trained in place and is in evaluation mode afterwards.
        examples: list of at least one example, or a function that returns the examples of a step.
        settings: settings of the training.
        state: path of the file from which an interrupted training continues.
        save_every_s: interval in seconds at which the state of the training is saved.
        progress: function that wraps the steps with a progress bar, such as tqdm.
        described: text that describes the examples if `examples` is a function. A saved state is
            refused if it was saved with a different text.

    Raises:
        FloatingPointError: a loss or its gradient is not finite; the message names the step.
        InputError: the file `state` belongs to another training.
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
        clip_norm=1.0,  # so that no single excerpt dominates
        save_every_s=save_every_s,
        training=settings.with_examples(described if callable(examples) else len(examples)),
        seed=settings.seed,
    ).run(progress)


class _PostfilterTask:
    """Trains a post-filter on random excerpts with random gains.

    A single random generator draws the excerpts and the gains.
    """

    finished = False  # the training never stops before the last step

    def __init__(
        self, network: Postfilter, examples: Examples, settings: PostfilterTraining
    ) -> None:
        self.network, self.examples, self.settings = network, examples, settings
        self.loss = PostfilterLoss(network.arguments, settings.bands, settings.modulation)
        self.generator = torch.Generator().manual_seed(settings.seed)

    def losses(self, steps: range) -> Iterator[Iterator[Tensor]]:
        for step in steps:
            if callable(self.examples):
                # Excerpts and gains are a function of the seed and the step, as the examples are.
                self.generator.manual_seed(step_seed(self.settings.seed, step))
                yield (self._loss([example]) for example in self.examples(step))
            else:
                examples = self.examples
                yield (self._loss(examples) for _ in range(self.settings.batch_size))

    def _loss(self, examples: Sequence[Example]) -> Tensor:
        drawn = draw(examples, self.settings.frames, self.generator)
        with autocast(self.settings.precision, "cpu"):
            return self.loss(self.network, *drawn) / self.settings.batch_size

    def after(self, step: int, loss: float) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.set_state(state["generator"])


def mean_loss(
    network: Postfilter, examples: Sequence[Example], settings: PostfilterTraining
) -> float:
    """Compute the mean loss on one excerpt of each example.

    Every call uses the same excerpts and gains, so that the results can be compared.
    """
    generator = torch.Generator().manual_seed(0)
    loss_of = PostfilterLoss(network.arguments, settings.bands, settings.modulation)
    losses = []
    with torch.inference_mode(), autocast(settings.precision, "cpu"):
        for example in examples:
            losses.append(float(loss_of(network, *draw([example], 2 * settings.frames, generator))))
    return sum(losses) / len(losses)


def draw(
    examples: Sequence[Example], frames: int, generator: torch.Generator
) -> tuple[Example, slice, Tensor]:
    """Draw an example, frames of this example, and the factors (S,) of the sources in the remix."""
    example = examples[int(torch.randint(len(examples), (), generator=generator))]
    starts = max(example.mixture.shape[-1] - frames, 0) + 1
    first = int(torch.randint(starts, (), generator=generator))
    chosen = torch.randint(len(GAINS_DB), (len(example.stems),), generator=generator)
    return example, slice(first, first + frames), 10 ** (torch.tensor(GAINS_DB)[chosen] / 20)
