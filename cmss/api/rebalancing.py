"""Remixes stems with gains."""

from collections.abc import Mapping
from pathlib import Path

from cmss.api.players import player_gains
from cmss.api.waveforms import Array, waveform
from cmss.audio import Excerpt
from cmss.errors import InputError
from cmss.remix import ConsistentRemix, level_factor
from cmss.scenes import Scene, Track


def rebalance(
    mixture: Array,
    stems: Mapping[str, Array],
    gains_db: Mapping[str, float],
    *,
    keep_level: bool = True,
) -> Array:
    """Remix a mixture with a gain for each stem; the mixture is not separated again.

    The remix is mixture + sum over the stems of (10^(gain/20) - 1) x stem. If the gain of a stem
    is 0 dB, the factor 10^(gain/20) - 1 is 0. Then the stem is not added, and causes no artefacts.

    Args:
        mixture: NumPy array or torch tensor, mono or stereo; see `separate`.
        stems: dict from the name to the stem, such as the result of `separate`. Each stem has the
            shape of the mixture.
        gains_db: dict from the name of a stem to the gain of the stem in dB, from -200 to 200. The
            gain -inf mutes the stem. If the dict does not contain a stem, the gain of the stem is
            0 dB.
        keep_level: whether to scale the remix to the power of the mixture. The powers of the remix
            and of the mixture are exactly equal if all stems have equal powers and are not
            correlated. With `keep_level`, only differences between the gains matter if the stems
            sum to the mixture. The challenge scales its references by the same rule.

    Returns:
        The remix, with the shape, type, sample type and device of the mixture. Integers beyond full
            scale are clipped with a warning.

    Raises:
        InputError: an argument is not as described, a gain is for an unknown player, or every
            player is muted.

    Examples:
        >>> import cmss
        >>> import numpy as np
        >>> violin, cello = np.full(8, 0.1), np.full(8, 0.2)
        >>> stems = {"Violin": violin, "Cello": cello}
        >>> remix = cmss.rebalance(violin + cello, stems, {"Violin": 6.02}, keep_level=False)
        >>> remix.round(3)[:2]
        array([0.4, 0.4])
    """
    sound = waveform(mixture, "mixture")
    if not isinstance(stems, Mapping) or not stems:
        raise InputError(
            "stems: expected a dict from names to stems, such as the result of separate, "
            f"got {type(stems).__name__}"
        )
    signals = {}
    for name, stem in stems.items():
        found = waveform(stem, f"stems: {name}", may_be_silent=True)
        shape, expected = tuple(found.array.shape), tuple(sound.array.shape)
        if shape != expected:
            raise InputError(
                f"stems: {name}: expected the shape of the mixture, {expected}, got {shape}"
            )
        signals[str(name)] = found.signal
    gains = player_gains(gains_db, list(signals))
    nowhere = Excerpt(Path(), 0.0, float("inf"))
    scene = Scene("S0", Track("", {}, nowhere), gains)
    remix = ConsistentRemix()(sound.signal, signals, scene)
    if not keep_level:
        remix /= level_factor(gains)
    return sound.restore(remix, "remix")
