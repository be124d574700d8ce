"""Models inner hair cells, which convert the motion of the basilar membrane to firing rates.

The free pool of a hair cell contains the amount q of transmitter. The pool releases transmitter
into the cleft at a rate that depends on the motion of the membrane. The cleft contains the amount c
of transmitter. Some transmitter in the cleft is lost, and some returns to a store. The store
contains the amount w of transmitter, and refills the free pool. Meddis published the model (1986,
"Simulation of mechanical to neural transduction in the auditory receptor", JASA 79). Meddis, Hewitt
and Shackleton published the parameters of the medium-rate fibre (1990, JASA 87).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cmss.machine.compiled import compiled


class HairCell(NamedTuple):
    """Holds the parameters of a hair cell in Meddis's notation.

    Rates are in 1/s, and levels are in the units of the input. By default, the parameters have the
    values of the medium-rate fibre.
    """

    A: float = 5.0  # A, B and g: permeability of the membrane
    B: float = 300.0
    g: float = 2000.0
    y: float = 5.05  # production of new transmitter
    l: float = 2500.0  # noqa: E741  # loss from the cleft
    r: float = 6580.0  # return from the cleft to the store
    x: float = 66.31  # return from the store to the free pool
    h: float = 50000.0  # firing rate per amount of transmitter in the cleft
    M: float = 1.0  # largest amount of transmitter in the free pool

    def rest(self) -> tuple[float, float, float]:
        """Return the amounts q, c and w in the steady state without motion."""
        release = self.g * self.A / (self.A + self.B)
        c = self.M * self.y * release / (self.l * release + self.y * (self.l + self.r))
        return c * (self.l + self.r) / release, c, c * self.r / self.x

    def spontaneous(self) -> float:
        """Return the spontaneous firing rate in spikes per second."""
        return self.h * self.rest()[1]


MEDIUM = HairCell()
UNIT_DB_SPL = 30.0
"""Sound pressure level of an input with an RMS of 1, for the default parameters (Meddis 1986)."""


def firing(
    motion: NDArray[np.floating], sample_rate_hz: int, cell: HairCell = MEDIUM
) -> NDArray[np.float64]:
    """Compute firing rates in spikes per second.

    Args:
        motion: motion of the basilar membrane, an array of shape (channels, samples). An RMS of 1
            corresponds to :data:`UNIT_DB_SPL`.
        sample_rate_hz: sampling rate of the motion, at least 16 kHz, because the differential
            equations are integrated with one step per sample.
        cell: parameters of the hair cells.

    Returns:
        The firing rates, an array of shape (channels, samples).
    """
    q, c, w = cell.rest()
    return _firing(np.ascontiguousarray(motion, float), 1 / sample_rate_hz, cell, q, c, w)


@compiled()
def _firing(motion, step, cell, q_rest, c_rest, w_rest):  # type: ignore[no-untyped-def]
    rate = np.empty_like(motion)
    for channel in range(motion.shape[0]):
        q, c, w = q_rest, c_rest, w_rest
        for n in range(motion.shape[1]):
            # The differential equations of Meddis (1986), integrated by Euler's method.
            opening = max(motion[channel, n] + cell.A, 0.0)
            release = cell.g * opening / (opening + cell.B)
            made = max(cell.y * (cell.M - q), 0.0)
            released, back = release * q, cell.r * c
            restored = cell.x * w
            q += step * (made - released + restored)
            w += step * (back - restored)
            c += step * (released - cell.l * c - back)
            rate[channel, n] = cell.h * c
    return rate
