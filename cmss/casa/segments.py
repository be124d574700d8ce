"""Segments: regions of filters and frames in which one sound moves the cochlea."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cmss.casa.correlogram import likeness
from cmss.casa.units import Units

ALIKE = 0.985
"""Correlation of the periodicities of units that one partial drives."""


def segments(units: Units) -> NDArray[np.int64]:
    """Connect neighbouring units whose firing is alike.

    Across channels neighbours are alike where one partial, or the beats of several, drives both;
    along time as long as the sound stays.

    Returns:
        (channels, frames): the number of each unit's segment, from 0; -1 where nothing is heard.
    """
    active = units.active
    number = np.arange(active.size).reshape(active.shape)
    heard = units.periodicity
    upward = (likeness(heard[:-1], heard[1:]) > ALIKE) & active[:-1] & active[1:]
    onward = (likeness(heard[:, :-1], heard[:, 1:]) > ALIKE) & active[:, :-1] & active[:, 1:]
    first = np.concatenate([number[:-1][upward], number[:, :-1][onward]])
    second = np.concatenate([number[1:][upward], number[:, 1:][onward]])
    links = coo_array((np.ones(len(first)), (first, second)), (active.size, active.size))
    _, labels = connected_components(links, directed=False)
    labels = labels.reshape(active.shape)
    result = np.full(active.shape, -1)
    result[active] = np.unique(labels[active], return_inverse=True)[1]
    return result
