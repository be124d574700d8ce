"""Random mixtures of stems. The batch of a step depends on the seed and the step alone, so a
training that was stopped goes on with the batches that it would have seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from cmss.errors import InputError
from cmss.models.outputs import instrument_of
from cmss.settings import BatchSize
from cmss.training.playing import Segment, StemsOnDevice
from cmss.training.stems import StemTrack

GAINS_DB = (-10.0, -6.0, -3.0, 0.0, 3.0, 6.0, 10.0)  # the challenge's


@dataclass(frozen=True)
class MixtureSettings:
    """The section `mixtures`: how random mixtures are drawn.

    Args:
        segment_s: length of an example in seconds.
        batch_size: examples in a batch.
        together: probability of taking all players from one track, playing together as written;
            otherwise each instrument comes from a track of its own.
        gain_db: each stem's level changes by up to this much either way.
        semitones: pitch (and tempo, and formants) move by up to this much, together.
        cents: each instrument of different tracks is detuned by up to this much on top.
        equaliser_db: two random peaks or dips of up to this much colour each stem.
    """

    segment_s: Annotated[float, Field(ge=0.1, le=3600)]
    batch_size: BatchSize
    together: Annotated[float, Field(ge=0, le=1)]
    gain_db: Annotated[float, Field(ge=0, le=60)]
    semitones: Annotated[float, Field(ge=0, le=24)]
    cents: Annotated[float, Field(ge=0, le=100)]
    equaliser_db: Annotated[float, Field(ge=0, le=60)]

    def as_played(self) -> "MixtureSettings":
        """Of as many excerpts as long, but of tracks as they were recorded."""
        return replace(self, together=1.0, gain_db=0.0, semitones=0.0, cents=0.0, equaliser_db=0.0)


@dataclass(frozen=True)
class Batch:
    """Some examples of equal length.

    Args:
        stems: (batch, players, 2, samples), zero where an example has fewer players.
        index: (batch, players) output of the network that each goes to, -1 for none and where
            an example has fewer players.
        gains: (batch, players) factors that a listener might ask for.
    """

    stems: Tensor
    index: Tensor
    gains: Tensor

    @property
    def mixture(self) -> Tensor:
        """(batch, 2, samples)."""
        return self.stems.sum(1)

    def present(self, outputs: int) -> Tensor:
        """bool (batch, outputs): which of the network's outputs an example has a player for."""
        marks = self.index.new_zeros(len(self.index), outputs + 1, dtype=torch.bool)
        return marks.scatter_(1, self.index % (outputs + 1), True)[:, :outputs]

    def wanted(self, outputs: int) -> Tensor:
        """What the network should give: (batch, outputs, 2, samples), sums of players' stems."""
        wanted = self.stems.new_zeros(len(self.stems), outputs + 1, *self.stems.shape[2:])
        rows = torch.arange(len(self.stems), device=self.index.device).unsqueeze(1)
        wanted.index_put_((rows, self.index % (outputs + 1)), self.stems, accumulate=True)
        return wanted[:, :outputs]


class RandomMixtures:
    """Batches of random mixtures.

    Args:
        tracks: what to draw from.
        index: output of the network that each player goes to, by the name in the stems.
        sample_rate_hz: of the stems.
        settings: how to draw.
        seed: of all draws.
        instrument: one that plays in every mixture; any by default.
        device: where batches are made; a GPU holds the stems.

    Raises:
        InputError: no track is long enough for a segment, or none has the instrument.
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
        # Above the highest pitch shift, a segment takes this many samples of a stem.
        self.reach = int(self.samples * 2 ** ((settings.semitones + 1) / 12)) + 2
        self.by_instrument: dict[str, list[StemTrack]] = {}
        tracks = [track for track in tracks if track.samples > self.reach]
        for track in tracks:
            for name in {instrument_of(name) for name in track.stems}:
                self.by_instrument.setdefault(name, []).append(track)
        self.instrument = instrument
        self.tracks = self.by_instrument.get(instrument, []) if instrument else tracks
        if not self.tracks:
            raise InputError(
                f"mixtures.segment_s: {settings.segment_s:g} s with pitch shifts take "
                f"{self.reach / sample_rate_hz:.1f} s, no track with "
                f"{instrument or 'any instrument'} is longer"
            )
        self._on_device = None
        if device is not None and device.type != "cpu":
            stems = [stem for track in tracks for stem in track.stems.values()]
            self._on_device = StemsOnDevice(stems, device)

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng((self.seed, step))
        examples = [self._example(rng) for _ in range(self.settings.batch_size)]
        players = max(len(segments) for segments, _ in examples)
        index = torch.full((len(examples), players), -1, dtype=torch.int64)
        places = []
        for row, (_, names) in enumerate(examples):
            index[row, : len(names)] = torch.tensor([self.index[name] for name in names])
            places += [(row, column) for column in range(len(names))]
        played = self._play([s for segments, _ in examples for s in segments])
        stems = played.new_zeros(len(examples), players, 2, self.samples)
        rows, columns = torch.tensor(places, device=played.device).T
        stems[rows, columns] = played
        gains = torch.from_numpy((10 ** (rng.choice(GAINS_DB, index.shape) / 20)).astype("f4"))
        return Batch(stems, index.to(stems.device), gains.to(stems.device))

    def _example(self, rng: np.random.Generator) -> tuple[list[Segment], list[str]]:
        s = self.settings
        speed = 2 ** (rng.uniform(-s.semitones, s.semitones) / 12)
        segments, names = [], []
        if rng.random() < s.together:
            track = self.tracks[rng.integers(len(self.tracks))]
            start = int(rng.integers(track.samples - self.reach))
            for name, stem in track.stems.items():
                segments.append(self._segment(stem, start, speed, rng))
                names.append(name)
        else:
            count = rng.choice((2, 3, 4, 5), p=(0.35, 0.3, 0.25, 0.1))
            others = [name for name in sorted(self.by_instrument) if name != self.instrument]
            chosen = [self.instrument] if self.instrument else []
            count = min(count, len(others) + len(chosen))
            for instrument in (*chosen, *rng.choice(others, count - len(chosen), replace=False)):
                choice = self.by_instrument[instrument]
                track = choice[rng.integers(len(choice))]
                start = int(rng.integers(track.samples - self.reach))
                detuned = speed * 2 ** (rng.uniform(-s.cents, s.cents) / 1200)
                for name in (instrument, f"{instrument}_2"):
                    if name in track.stems:
                        segments.append(self._segment(track.stems[name], start, detuned, rng))
                        names.append(name)
        swap = bool(rng.random() < 0.5)
        return [replace(segment, swap=swap) for segment in segments], names

    def _segment(
        self, stem: NDArray[np.int16], start: int, speed: float, rng: np.random.Generator
    ) -> Segment:
        """A segment of a stem, at a random level and of a random colour."""
        sections = np.concatenate([self._peak(rng) for _ in range(2)])
        gain_db = rng.uniform(-self.settings.gain_db, self.settings.gain_db)
        gain = 10 ** (gain_db / 20) * float(rng.choice((-1, 1)))
        return Segment(stem, start, speed, sections, gain, swap=False)

    def _play(self, segments: Sequence[Segment]) -> Tensor:
        """(segments, 2, samples)."""
        if self._on_device is not None:
            return self._on_device.play(segments, self.samples)
        return torch.stack([segment.played(self.samples) for segment in segments])

    def _peak(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """A peaking equaliser of random place, width and height, as one second-order section.

        Source: R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
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
