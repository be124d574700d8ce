"""Draw a figure of the auditory model: `python -m benchmarks.auditory [--out FILE.png]`.

The figure shows the frequency responses of the filterbank, the correlogram and the summary
correlogram of a frame, and a map of notes. The map shows to which note each time-frequency unit (a
frame of a filter's output) belongs. The signal is the first piece of the demo, a duet that the
synthesiser plays.
"""

import sys
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.figures import SHOWN_S, excerpt, run
from cmss.casa.gammatone import gammatone
from cmss.casa.grouping import find_segments, group
from cmss.casa.pitch import track_pitches
from cmss.casa.units import CENTRES_HZ, FRAME_HZ, SAMPLE_RATE_HZ, Units, compute_units

_COLOURS = 40
_EVERY = 16


def responses_db(samples: int) -> NDArray[np.float64]:
    """Return the magnitude responses in dB of every 16th filter, (filters, samples // 2 + 1)."""
    impulse = np.zeros(samples)
    impulse[0] = 1
    responses = gammatone(impulse, CENTRES_HZ[::_EVERY], SAMPLE_RATE_HZ).real
    return 20 * np.log10(np.abs(np.fft.rfft(responses)) + 1e-12)


def draw(units: Units, owners: NDArray[np.int64], frame: int) -> Figure:
    """Draw the filters, the correlograms of a frame, and the note of each time-frequency unit.

    Args:
        units: time-frequency units of the signal, one for each filter and frame.
        owners: number of the note to which each time-frequency unit belongs, an array (channels,
            frames); -1 for a unit that belongs to no note.
        frame: index of the frame whose correlogram is drawn.
    """
    figure = Figure(figsize=(8, 6), dpi=110, layout="constrained")
    panels = figure.subplot_mosaic(
        [["filters", "correlogram"], ["notes", "summary"]], height_ratios=(1.4, 1)
    )
    for response in responses_db(SAMPLE_RATE_HZ // 2):
        hz = np.linspace(0, SAMPLE_RATE_HZ / 2, len(response))
        panels["filters"].semilogx(hz[1:], response[1:], linewidth=0.8)
    panels["filters"].set(title=f"gammatone filters, every {_EVERY}th", xlabel="frequency (Hz)",
        ylabel="level (dB)", xlim=(30, 8000), ylim=(-50, 3))  # fmt: skip
    colours = mpl.colormaps["magma"].resampled(_COLOURS)
    lags_ms = np.arange(units.periodicity.shape[-1]) / SAMPLE_RATE_HZ * 1e3
    channels = np.arange(len(CENTRES_HZ))
    active = np.where(units.active[:, frame, None], units.periodicity[:, frame], 0)
    panels["correlogram"].pcolormesh(
        lags_ms, channels, active, shading="nearest", cmap=colours, vmin=0, vmax=1
    )
    panels["summary"].plot(lags_ms, active.sum(0) / max(units.active[:, frame].sum(), 1))
    panels["summary"].set(title="summary", xlabel="lag (ms)", xlim=(0, lags_ms[-1]))
    panels["correlogram"].set(title=f"correlogram at {frame / FRAME_HZ:g} s", xlabel="lag (ms)")
    named = np.where(owners >= 0, owners % 10, np.nan)
    times = np.arange(owners.shape[1]) / FRAME_HZ
    panels["notes"].pcolormesh(
        times, channels, named, shading="nearest", cmap="tab10", vmin=-0.5, vmax=9.5
    )
    panels["notes"].set(title="notes", xlabel="time (s)")
    ticks = channels[:: 2 * _EVERY]
    for name in ("correlogram", "notes"):
        panels[name].set_yticks(ticks, [f"{CENTRES_HZ[tick]:.0f}" for tick in ticks])
        panels[name].set_ylabel("filter (Hz)")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status."""

    def make() -> tuple[Figure, str]:
        signal = excerpt(SAMPLE_RATE_HZ).numpy()[: round(SHOWN_S * SAMPLE_RATE_HZ)]
        units = compute_units(signal)
        tracks = track_pitches(units, 2)
        owners = group(units, find_segments(units), tracks)
        grouped = (owners[units.active] >= 0).mean()
        # At 2.5 s, both instruments play.
        figure = draw(units, owners, round(2.5 * FRAME_HZ))
        return figure, f"{len(tracks)} notes; {grouped:.0%} of the active units belong to a note"

    return run("auditory", __doc__, "casa.png", make, arguments)


if __name__ == "__main__":
    sys.exit(main())
