"""Draws random mixtures of stems.

The batch of a training step depends only on the seed and on the number of the step. An interruption
of the training therefore does not change the batches of later steps.

In shapes, B is the size of the batch, P the number of players in an example, and T the number of
samples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cmss.errors import InputError
from cmss.models.outputs import instrument_of
from cmss.settings import BatchSize
from cmss.training.augmentation import Segment, StemsOnDevice
from cmss.training.stems import StemTrack

GAINS_DB = (-10.0, -6.0, -3.0, 0.0, 3.0, 6.0, 10.0)
"""Gains in dB of the challenge's scenes."""


@dataclass(frozen=True)
class MixtureSettings:
    """Settings of the section `mixtures`, which define how random mixtures are drawn.

    Args:
        segment_s: length of an example in seconds.
        batch_size: number of examples in a batch.
        together: probability that all stems of an example are from the same passage of the same
            track. In the other examples, a track is drawn separately for each instrument.
        gain_db: maximum random increase or decrease of the level of a stem in dB.
        semitones: maximum shift in semitones. Stems are resampled, so that pitch, tempo and
            formants shift together. All players of an example have the same shift.
        cents: maximum additional shift of each instrument in cents. This shift is applied only if a
            track is drawn separately for each instrument.
        equaliser_db: maximum gain in dB of the random equaliser of each stem. An equaliser has two
            peaks or dips.
    """

    segment_s: Annotated[float, Field(ge=0.1, le=3600)]
    batch_size: BatchSize
    together: Annotated[float, Field(ge=0, le=1)]
    gain_db: Annotated[float, Field(ge=0, le=60)]
    semitones: Annotated[float, Field(ge=0, le=24)]
    cents: Annotated[float, Field(ge=0, le=100)]
    equaliser_db: Annotated[float, Field(ge=0, le=60)]

    def as_played(self) -> "MixtureSettings":
        """Return settings without augmentation; all stems of an example are from one track."""
        return replace(self, together=1.0, gain_db=0.0, semitones=0.0, cents=0.0, equaliser_db=0.0)


@dataclass(frozen=True)
class Batch:
    """Holds a batch of examples of the same length.

    Args:
        stems: stems of the players, an array (B, P, 2, T). If an example has fewer than P players,
            the remaining stems are zero.
        index: for each player, the index of the network's output that must estimate this player,
            an array (B, P). The index is -1 if the player does not exist or no output estimates
            this player.
        gains: factor that multiplies each player in the remix, an array (B, P).
    """

    stems: Tensor
    index: Tensor
    gains: Tensor

    @property
    def mixture(self) -> Tensor:
        """Mixture (B, 2, T), the sum of the stems."""
        return self.stems.sum(1)

    def present(self, outputs: int) -> Tensor:
        """Return a mask (B, outputs) that is True for each output that must estimate a player."""
        # Index -1 is mapped to an additional last output, which is dropped.
        marks = self.index.new_zeros(len(self.index), outputs + 1, dtype=torch.bool)
        return marks.scatter_(1, self.index % (outputs + 1), True)[:, :outputs]

    def targets(self, outputs: int) -> Tensor:
        """Return the target (B, outputs, 2, T) of each output; each target is a sum of stems."""
        # Index -1 is mapped to an additional last output, which is dropped.
        targets = self.stems.new_zeros(len(self.stems), outputs + 1, *self.stems.shape[2:])
        rows = torch.arange(len(self.stems), device=self.index.device).unsqueeze(1)
        targets.index_put_((rows, self.index % (outputs + 1)), self.stems, accumulate=True)
        return targets[:, :outputs]


class Mixtures(Protocol):
    """Typing protocol of the objects that supply the batches of a training."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a training step; the batch depends only on the number of the step."""
        ...


class RandomMixtures:
    """Draws batches of random mixtures.

    Args:
        tracks: tracks from which stems are drawn.
        index: dict from the name of a stem to the index of the network's output that must estimate
            this stem.
        sample_rate_hz: sampling rate of the stems.
        settings: settings of the random mixtures.
        seed: seed of all random numbers.
        instrument: instrument that plays in every mixture. If `instrument` is None, the mixtures
            may contain any instruments.
        device: device on which batches are computed; a GPU also holds the stems.

    Raises:
        InputError: no track is long enough for a segment, or no track has the instrument.
    """

    def __init__(
        self,
        tracks: Sequence[StemTrack],
        index: Mapping[str, int],
        sample_rate_hz: int,
        settings: MixtureSettings,
        seed: int,
        instrument: str | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.index = index
        self.sample_rate_hz = sample_rate_hz
        self.settings = settings
        self.seed = seed
        self.samples = round(settings.segment_s * sample_rate_hz)
        # Number of samples of a stem that a segment needs at the highest pitch. One semitone is
        # added for the detuning.
        self.source_samples = int(self.samples * 2 ** ((settings.semitones + 1) / 12)) + 2
        self.by_instrument: dict[str, list[StemTrack]] = {}
        tracks = [track for track in tracks if track.samples > self.source_samples]
        for track in tracks:
            for name in {instrument_of(name) for name in track.stems}:
                self.by_instrument.setdefault(name, []).append(track)
        self.instrument = instrument
        self.tracks = self.by_instrument.get(instrument, []) if instrument else tracks
        if not self.tracks:
            raise InputError(
                f"mixtures.segment_s: a segment of {settings.segment_s:g} s needs "
                f"{self.source_samples / sample_rate_hz:.1f} s of a track because of the pitch "
                f"shifts, but no track with {instrument or 'any instrument'} is long enough"
            )
        self._on_device = None
        if device is not None and device.type != "cpu":
            stems = [stem for track in tracks for stem in track.stems.values()]
            self._on_device = StemsOnDevice(stems, device)

    def batch(self, step: int) -> Batch:
        """Draw the batch of a training step."""
        rng = np.random.default_rng((self.seed, step))
        examples = [self._example(rng) for _ in range(self.settings.batch_size)]
        players = max(len(segments) for segments, _ in examples)
        index = torch.full((len(examples), players), -1, dtype=torch.int64)  # (B, P)
        places = []
        for row, (_, names) in enumerate(examples):
            index[row, : len(names)] = torch.tensor([self.index[name] for name in names])
            places += [(row, column) for column in range(len(names))]
        # All segments of the batch are computed together (segments, 2, T), then stored as
        # (B, P, 2, T).
        segments = [segment for segments, _ in examples for segment in segments]
        if self._on_device is not None:
            augmented = self._on_device.augment(segments, self.samples)
        else:
            augmented = torch.stack([segment.augmented(self.samples) for segment in segments])
        stems = augmented.new_zeros(len(examples), players, 2, self.samples)
        rows, columns = torch.tensor(places, device=augmented.device).T
        stems[rows, columns] = augmented
        gains = torch.from_numpy((10 ** (rng.choice(GAINS_DB, index.shape) / 20)).astype("f4"))
        return Batch(stems, index.to(stems.device), gains.to(stems.device))

    def _example(self, rng: np.random.Generator) -> tuple[list[Segment], list[str]]:
        """Draw the segments of an example, and return them with the names of their players."""
        s = self.settings
        speed = 2 ** (rng.uniform(-s.semitones, s.semitones) / 12)
        segments, names = [], []
        if rng.random() < s.together:
            track = self.tracks[rng.integers(len(self.tracks))]
            start = int(rng.integers(track.samples - self.source_samples))
            for name, stem in track.stems.items():
                segments.append(self._segment(stem, start, speed, rng))
                names.append(name)
        else:
            # Draw two to five different instruments; small ensembles are more likely than large
            # ensembles.
            count = rng.choice((2, 3, 4, 5), p=(0.35, 0.3, 0.25, 0.1))
            others = [name for name in sorted(self.by_instrument) if name != self.instrument]
            chosen = [self.instrument] if self.instrument else []
            count = min(count, len(others) + len(chosen))
            for instrument in (*chosen, *rng.choice(others, count - len(chosen), replace=False)):
                choice = self.by_instrument[instrument]
                track = choice[rng.integers(len(choice))]
                start = int(rng.integers(track.samples - self.source_samples))
                detuned_speed = speed * 2 ** (rng.uniform(-s.cents, s.cents) / 1200)
                # Two players of the same instrument come from the same track.
                for name in (instrument, f"{instrument}_2"):
                    if name in track.stems:
                        segments.append(self._segment(track.stems[name], start, detuned_speed, rng))
                        names.append(name)
        swap = bool(rng.random() < 0.5)
        return [replace(segment, swap=swap) for segment in segments], names

    def _segment(
        self, stem: NDArray[np.int16], start: int, speed: float, rng: np.random.Generator
    ) -> Segment:
        """Draw the level, the polarity and the equaliser of a segment."""
        sections = np.concatenate([self._peak(rng) for _ in range(2)])
        gain_db = rng.uniform(-self.settings.gain_db, self.settings.gain_db)
        gain = 10 ** (gain_db / 20) * float(rng.choice((-1, 1)))
        return Segment(stem, start, speed, sections, gain, swap=False)

    def _peak(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw the second-order section of a peaking equaliser with random centre, width and gain.

        Source: Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
        """
        height = 10 ** (rng.uniform(-1, 1) * self.settings.equaliser_db / 40)
        centre_hz = np.exp(rng.uniform(np.log(100), np.log(0.4 * self.sample_rate_hz)))
        omega = 2 * np.pi * centre_hz / self.sample_rate_hz
        alpha = np.sin(omega) / (2 * rng.uniform(0.4, 1.5))
        section = np.array(
            [
                1 + alpha * height,
                -2 * np.cos(omega),
                1 - alpha * height,
                1 + alpha / height,
                -2 * np.cos(omega),
                1 - alpha / height,
            ]
        )
        return (section / section[3])[None]
