"""Applies networks to mixtures of any length and sampling rate."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmss.audio import resample
from cmss.errors import InputError, noting
from cmss.machine.device import device_named
from cmss.models.checkpoint import Network
from cmss.models.outputs import ACCOMPANIMENT, TARGET, instrument_of, output_name
from cmss.scenes import Source
from cmss.separators.protocol import Stems
from cmss.transforms.overlap_add import (
    Function,
    Reach,
    in_pieces,
    official_overlap_add,
    overlap_add,
)

SHORTEST_SEGMENT_S, LONGEST_SEGMENT_S = 0.1, 3600.0
LARGEST_OVERLAP = 0.9
LEVEL = 10 ** (-42.3 / 20)
"""RMS to which the mixture is scaled before a network, as in the challenge.

With this RMS in both channels, the loudness is about -40 LUFS.
"""
QUIETEST = 1e-8
"""RMS up to which a mixture counts as silent, about 0.001 of a quantisation step of 16 bits."""


@dataclass(frozen=True)
class Segments:
    """Holds the settings by which a long mixture is segmented for a network.

    Args:
        segment: length of a segment in seconds.
        overlap: fraction of a segment that overlaps the next segment. The overlap has no effect on
            networks with a bounded receptive field, see :func:`in_pieces`.
        official: whether to segment in the same way as the official baseline, see
            :func:`official_overlap_add`. The official baseline uses the number `overlap` also as
            the duration of the fade in seconds. If `official` is true, the mixture is not scaled
            before the network is applied.

    Raises:
        InputError: the length of the segment or the overlap is out of range.
    """

    segment: float = 10.0
    overlap: float = 0.1
    official: bool = False

    def __post_init__(self) -> None:
        if not SHORTEST_SEGMENT_S <= self.segment <= LONGEST_SEGMENT_S:
            raise InputError(
                f"separator.separation.segment: {self.segment:g}, expected at least "
                f"{SHORTEST_SEGMENT_S:g} s, at most {LONGEST_SEGMENT_S:g} s"
            )
        if not 0 <= self.overlap <= LARGEST_OVERLAP:
            raise InputError(
                f"separator.separation.overlap: {self.overlap:g}, expected 0 to {LARGEST_OVERLAP:g}"
            )

    def cutter(
        self, sample_rate_hz: int, reach: Reach | None = None
    ) -> Callable[[Function, Tensor], Tensor]:
        """Return a callable that applies a function to the segments of a signal.

        The callable takes the function and a signal of shape (channels, samples), and returns an
        array of shape (sources, channels, samples).
        """
        if self.official:
            return partial(
                official_overlap_add,
                sample_rate_hz=sample_rate_hz,
                segment_s=self.segment,
                overlap_s=self.overlap,
            )
        segment = round(self.segment * sample_rate_hz)
        if reach is not None:
            return partial(in_pieces, segment=segment, reach=reach)
        return partial(overlap_add, segment=segment, overlap=round(self.overlap * segment))


class Estimator(Protocol):
    """Protocol of the classes that apply networks to a mixture at its sampling rate."""

    def prepare(self, wanted: list[str]) -> None:
        """Load the networks that have the outputs with the names in `wanted`."""

    def __call__(self, mixture: NDArray[np.float32], wanted: list[str]) -> dict[str, NDArray]:
        """Separate a mixture (2, samples) into the outputs whose names are in `wanted`.

        Returns:
            Dict from the output name to the estimate, an array of shape (2, samples).
        """


@dataclass
class OneForAll:
    """Applies a single network with an output for each instrument.

    The network may also have an output for the second player of an instrument.

    Args:
        load: function that returns the network. The function is called when the network is first
            needed.
        sample_rate_hz: sampling rate of the mixtures.
        segments: settings by which long mixtures are split into segments.
        device: device on which the network runs.
    """

    load: Callable[[], Network]
    sample_rate_hz: int
    segments: Segments
    device: torch.device
    _network: Network | None = field(default=None, init=False)

    def prepare(self, wanted: list[str]) -> None:
        """Load the network."""
        if self._network is None:
            # Two-dimensional convolutions are 20 % faster if channels are the last axis in memory.
            network = self.load().to(self.device)
            self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        outputs = self._outputs(wanted, self._network.sources)
        if missing := [name for name in outputs if name not in self._network.sources]:
            raise InputError(f"separator: the network has no output for {', '.join(missing)}")

    def __call__(self, mixture: NDArray[np.float32], wanted: list[str]) -> dict[str, NDArray]:
        """Separate all players at once."""
        self.prepare(wanted)
        network = self._network
        assert network is not None
        outputs = self._outputs(wanted, network.sources)
        index = [network.sources.index(name) for name in outputs]
        present = torch.zeros(1, len(network.sources), dtype=torch.bool, device=self.device)
        present[:, index] = True

        def run(segment: Tensor) -> Tensor:
            return network(segment, present)[0, index].float()

        estimates = _applied(run, mixture, network, self)
        return dict(zip(outputs, estimates, strict=True))

    @staticmethod
    def _outputs(wanted: list[str], sources: Iterable[str]) -> list[str]:
        """Return the name of the output for each player in `wanted`, without repetitions.

        A player without a separate output gets the output of the instrument.
        """
        known = set(sources)
        return list(dict.fromkeys(n if n in known else instrument_of(n) for n in wanted))


@dataclass
class OnePerInstrument:
    """Applies a separate network for each instrument.

    Each network estimates its instrument and possibly the accompaniment. For two players of the
    same instrument, there is a single estimate, which has the name of the instrument.

    Args:
        load: function that returns the network of an instrument. The function is called when this
            network is first needed.
        sample_rate_hz: sampling rate of the mixtures.
        segments: settings by which long mixtures are split into segments.
        device: device on which the networks run.
        add_residual: fraction of the accompaniment that is added to each estimate.
    """

    load: Callable[[str], Network]
    sample_rate_hz: int
    segments: Segments
    device: torch.device
    add_residual: float = 0.0
    _networks: dict[str, Network] = field(default_factory=dict, init=False)

    def prepare(self, wanted: list[str]) -> None:
        """Load the networks of the instruments in `wanted` that are not loaded yet."""
        problems: list[str] = []
        for instrument in _instruments(wanted):
            with noting(problems):
                if instrument not in self._networks:
                    self._networks[instrument] = self.load(instrument).to(self.device)
        if problems:
            raise InputError(problems)

    def __call__(self, mixture: NDArray[np.float32], wanted: list[str]) -> dict[str, NDArray]:
        """Separate each instrument once, even if it has two players."""
        self.prepare(wanted)
        estimates = {}
        for instrument in _instruments(wanted):
            network = self._networks[instrument]

            def run(segment: Tensor, network: Network = network) -> Tensor:
                return network(segment)[0].float()

            estimated = _applied(run, mixture, network, self)
            outputs = dict(zip(network.sources, estimated, strict=True))
            estimates[instrument] = outputs[TARGET]
            if self.add_residual:
                rest = np.float32(self.add_residual) * outputs[ACCOMPANIMENT]
                estimates[instrument] = estimates[instrument] + rest
        return estimates


def _applied(
    run: Function,
    mixture: NDArray[np.float32],
    network: Network,
    settings: OneForAll | OnePerInstrument,
) -> NDArray[np.float32]:
    """Apply a network to a mixture (2, samples) in segments; return (sources, 2, samples)."""
    rates_hz = settings.sample_rate_hz, network.sample_rate_hz
    return run_resampled(run, mixture, *rates_hz, settings.segments, settings.device, network.reach)


def _instruments(names: Iterable[str]) -> list[str]:
    """Return the instrument of each output name, without repetitions."""
    return list(dict.fromkeys(instrument_of(name) for name in names))


def run_resampled(
    function: Function,
    mixture: NDArray[np.float32],
    sample_rate_hz: int,
    network_rate_hz: int,
    segments: Segments,
    device: torch.device,
    reach: Reach | None = None,
) -> NDArray[np.float32]:
    """Apply a network at its sampling rate and at the level of the challenge's mixtures.

    The mixture is scaled to an RMS of :data:`LEVEL`, and the estimates are scaled back. Without
    this scaling, small constants in a network would change the estimates of a quiet mixture. If the
    receptive field is bounded, the level is not changed: the RMS depends on the complete signal,
    also on its future, and would make the receptive field unbounded. The estimates are aligned with
    the mixture.

    Args:
        function: function that applies the network to a segment (1, 2, samples) and returns
            estimates (sources, 2, samples) in float32.
        mixture: the mixture, an array of shape (2, samples).
        sample_rate_hz: sampling rate of the mixture and of the result.
        network_rate_hz: sampling rate of the network.
        segments: settings by which the mixture is split into segments.
        device: device on which the network runs.
        reach: receptive field of the network; None if the receptive field is unbounded.

    Returns:
        The estimates, an array of shape (sources, 2, samples).
    """
    gain = np.float32(1)
    if reach is None and not segments.official:
        rms = np.sqrt(np.mean(np.square(mixture, dtype=np.float64)))
        gain = np.float32(LEVEL / rms if rms > QUIETEST else 1)
    signal = torch.from_numpy(resample(gain * mixture, sample_rate_hz, network_rate_hz))
    cut = segments.cutter(network_rate_hz, reach)
    with torch.inference_mode():
        outputs = cut(function, signal.to(device)).cpu().numpy()
    samples = mixture.shape[-1]
    aligned = np.zeros((*outputs.shape[:-1], samples), np.float32)
    for output, target in zip(outputs, aligned, strict=True):
        back = resample(output, network_rate_hz, sample_rate_hz)[:, :samples]
        target[:, : back.shape[-1]] = back
    aligned /= gain
    return aligned


Voices = Literal["shared", "own", "whole"]


def share_out(
    estimates: Mapping[str, NDArray[np.float32]],
    sources: Mapping[str, Source],
    voices: Voices = "shared",
) -> Stems:
    """Assign estimates to sources.

    The argument `voices` selects the method for two players of the same instrument.

    A network may confuse two players of the same instrument. With `shared`, each of the two players
    gets half of the sum of both estimates. This method limits the error if the network confuses the
    players. With `shared` and with `own`, the sum of the stems equals the sum of the estimates.

    Args:
        estimates: dict from the output name to the estimate. A common estimate of both players of
            an instrument has the name of the instrument.
        sources: dict from the source id to the source.
        voices: method for two players of the same instrument. With `shared`, each player gets half
            of the sum of both players. With `own`, each player gets the output of the network for
            this player; if the network has only one output for both players, `own` equals `shared`.
            With `whole`, each player gets the sum of both players, so that the sum of the two stems
            is 6 dB too loud. The official baseline uses the method `whole`.
    """
    stems = {}
    for source in sources.values():
        instrument, name = source.instrument, output_name(source.instrument, source.voice)
        outputs = [key for key in (instrument, f"{instrument}_2") if key in estimates]
        if voices == "own" and name in outputs and outputs != [instrument]:
            stems[source.id] = estimates[name]
            continue
        together = np.sum([estimates[key] for key in outputs], axis=0)
        players = sum(other.instrument == instrument for other in sources.values())
        stems[source.id] = together if voices == "whole" else together / np.float32(players)
    return stems


def output_names(sources: Iterable[Source]) -> list[str]:
    """Return the names of the outputs for these players; each name occurs only once."""
    return list(dict.fromkeys(output_name(source.instrument, source.voice) for source in sources))


def chosen_device(name: str | None) -> torch.device:
    """Return the device of this name; for None, return a GPU, or the CPU if there is no GPU.

    Raises:
        InputError: the device does not exist.
    """
    try:
        return device_named(name)
    except ValueError as error:
        raise InputError(f"separator.device: {name!r} cannot be used: {error}") from error
