"""Listeners for made data: realistic audiograms from mild to severe, and one without loss."""

import numpy as np

from cmss.hearing.prescription import compression_from_audiogram

AUDIOGRAM_FREQUENCIES_HZ = (250, 500, 1000, 2000, 3000, 4000, 6000, 8000)

# Standard audiograms (Bisgaard, Vlaming and Dahlquist, Trends in Amplification 14, 2010, pp.
# 113-120) at the frequencies above, dB HL; 8 kHz, which they leave out, follows the slope before
# it.
STANDARD_AUDIOGRAMS_DB = {
    "N1": (10, 10, 10, 15, 20, 30, 40, 45),
    "N2": (20, 20, 25, 35, 40, 45, 50, 55),
    "N3": (35, 35, 40, 50, 55, 60, 65, 70),
    "N4": (55, 55, 55, 65, 70, 75, 80, 80),
    "S1": (10, 10, 10, 15, 30, 55, 70, 75),
    "S2": (20, 20, 25, 55, 75, 80, 80, 80),
}
_STEP_DB = 5
_HIGHEST_DB = 80
_FIRST_ID = {"train": 1, "valid": 5001, "test": 6201}
MOST_LISTENERS = 98
_WITHOUT_LOSS_ID = {"train": "L0999", "valid": "L5999", "test": "L6299"}


def make_listeners(
    split: str, count: int, rng: np.random.Generator
) -> tuple[dict[str, dict], dict[str, dict]]:
    """listeners.<split>.json and compressor_params.<split>.json.

    Args:
        split: train, valid or test; it decides the ids.
        count: how many, the last of them without loss.

    Returns:
        Two dictionaries by listener id, as the challenge's files hold them.
    """
    shapes = list(STANDARD_AUDIOGRAMS_DB.values())
    listeners, compressors = {}, {}
    for index in range(count):
        if index == count - 1:
            name = _WITHOUT_LOSS_ID[split]
            left = right = np.zeros(len(AUDIOGRAM_FREQUENCIES_HZ), int)
        else:
            name = f"L{_FIRST_ID[split] + index:04d}"
            typical = np.array(shapes[index % len(shapes)]) + rng.normal(0, 4)
            left, right = (_measured(typical + rng.normal(0, 3, len(typical))) for _ in range(2))
        listeners[name] = {
            "name": name,
            "audiogram_cfs": list(AUDIOGRAM_FREQUENCIES_HZ),
            "audiogram_levels_l": left.tolist(),
            "audiogram_levels_r": right.tolist(),
        }
        entry: dict[str, list[float]] = {}
        for ear, levels in (("l", left), ("r", right)):
            bands, ratios, gains = compression_from_audiogram(
                AUDIOGRAM_FREQUENCIES_HZ, levels.tolist()
            )
            entry["frequencies"] = [int(band) for band in bands]
            entry[f"cr_{ear}"] = list(ratios)
            entry[f"gain_{ear}"] = list(gains)
        compressors[name] = entry
    return listeners, compressors


def _measured(levels_db: np.ndarray) -> np.ndarray:
    """Audiometry works in steps of 5 dB, here up to 80 dB HL."""
    return np.clip(np.round(levels_db / _STEP_DB) * _STEP_DB, 0, _HIGHEST_DB).astype(int)
