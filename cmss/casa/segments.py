"""Segments: regions of channels and frames that a single sound dominates."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cmss.casa.correlogram import likeness
from cmss.casa.units import Units

ALIKE = 0.985
"""Least correlation between the autocorrelations of units that the same partial dominates."""


def segments(units: Units) -> NDArray[np.int64]:
    """Connect neighbouring units with similar periodicity.

    Neighbouring channels are similar where the same partial, or the beats of the same partials,
    dominate both. Neighbouring frames are similar as long as the sound is stationary.

    Returns:
        (channels, frames): number of each unit's segment, from 0; -1 for inactive units.
    """
    active = units.active
    number = np.arange(active.size).reshape(active.shape)
    periods = units.periodicity
    upward = (likeness(periods[:-1], periods[1:]) > ALIKE) & active[:-1] & active[1:]
    onward = (likeness(periods[:, :-1], periods[:, 1:]) > ALIKE) & active[:, :-1] & active[:, 1:]
    # Units are nodes and similar neighbours are edges of a graph; segments are its components.
    first = np.concatenate([number[:-1][upward], number[:, :-1][onward]])
    second = np.concatenate([number[1:][upward], number[:, 1:][onward]])
    links = coo_array((np.ones(len(first)), (first, second)), (active.size, active.size))
    _, labels = connected_components(links, directed=False)
    labels = labels.reshape(active.shape)
    result = np.full(active.shape, -1)
    result[active] = np.unique(labels[active], return_inverse=True)[1]
    return result
