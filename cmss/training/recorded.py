"""Mixes the recorded stems of training tracks, see also :mod:`cmss.training.rendered`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from cmss.machine.device import device_named
from cmss.models.checkpoint import Network
from cmss.models.outputs import player_index
from cmss.scenes import Track
from cmss.training.keys import TrainKeys
from cmss.training.mixtures import Mixtures, RandomMixtures
from cmss.training.stems import level_warning, load_stems


def recorded_mixtures(
    keys: TrainKeys,
    model: Network,
    tracks: Sequence[Track],
    held_out: Sequence[Track],
    progress: Callable[..., Any],
    warn: Callable[[str], object],
) -> tuple[Mixtures, Mixtures, str]:
    """Decode the stems of all tracks, and return random mixtures of these stems.

    Args:
        keys: configuration of train.py.
        model: network that is trained.
        tracks: tracks for the training.
        held_out: tracks for the validation, which are not augmented.
        progress: progress bar that counts the decoded tracks.
        warn: function that prints a warning if the level of the tracks is unusual.

    Returns:
        The mixtures for the training and for the validation, and a description of the data.

    Raises:
        InputError: a stem cannot be read, or a split has no track that is long enough.
    """
    device = device_named(keys.device)
    index = player_index(model.sources, keys.instrument)
    mixtures, data = [], []
    for split, played, drawn in (
        ("train", tracks, keys.mixtures),
        ("valid", held_out, keys.mixtures.as_played()),
    ):
        stems = load_stems(played, model.sample_rate_hz, partial(progress, desc=f"{split} tracks"))
        if warning := level_warning(stems):
            warn(f"{split}: {warning}")
        hours = sum(track.mixture.duration_s for track in played) / 3600
        data.append(f"{split}: {len(played)} tracks, {hours:.2f} h")
        mixtures.append(
            RandomMixtures(
                stems, index, model.sample_rate_hz, drawn, keys.seed, keys.instrument, device
            )
        )
    return mixtures[0], mixtures[1], "; ".join(data)
