import numpy as np
import pytest
import torch
from scipy.signal import sosfilt

from cmss.training.augmentation import Segment, StemsOnDevice, augment

FLAT = np.array([[1.0, 0, 0, 1, 0, 0]])
SECTIONS = np.array([[1.1, -1.7, 0.8, 1, -1.7, 0.9], [0.9, -0.4, 0.5, 1, -0.3, 0.4]])


@pytest.fixture(scope="module")
def stem() -> np.ndarray:
    return np.random.default_rng(0).integers(-30000, 30000, (2, 2000)).astype(np.int16)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.3])
def test_it_is_interpolation_then_filtering_then_gain(stem, speed):
    position = 100 + np.arange(1000) * speed
    taken = np.stack([np.interp(position, np.arange(2000), channel / 32768) for channel in stem])
    # Rounding to float32 at the end.
    np.testing.assert_allclose(
        augment(stem, 100, speed, SECTIONS, -0.3, 1000), -0.3 * sosfilt(SECTIONS, taken),
        rtol=0, atol=1e-6,
    )  # fmt: skip


def test_nothing_done_gives_the_stem(stem):
    played = augment(stem, 7, 1.0, FLAT, 1.0, 500)
    assert played.dtype == np.float32
    np.testing.assert_array_equal(played, stem[:, 7:507].astype(np.float32) / 32768)


def test_twice_the_speed_is_an_octave_up(stem):
    np.testing.assert_array_equal(
        augment(stem, 0, 2.0, FLAT, 1.0, 900), augment(stem, 0, 1.0, FLAT, 1.0, 1800)[:, ::2]
    )


def test_the_stem_stays_as_it_is(stem):
    before = stem.copy()
    augment(stem, 0, 1.1, SECTIONS, 2.0, 1000)
    np.testing.assert_array_equal(stem, before)


def test_all_at_once_is_one_after_another():
    rng = np.random.default_rng(1)
    stems = [rng.integers(-30000, 30000, (2, n)).astype(np.int16) for n in (9000, 7000, 8000)]
    segments = [
        Segment(stems[0], 5, 1.13, SECTIONS, -0.4, swap=False),
        Segment(stems[2], 900, 0.87, SECTIONS[::-1], 1.7, swap=True),
        Segment(stems[0], 0, 1.0, np.tile(FLAT, (2, 1)), 1.0, swap=True),
    ]
    together = StemsOnDevice(stems, torch.device("cpu")).augment(segments, 6000)
    one_by_one = torch.stack([segment.augmented(6000) for segment in segments])
    # Single precision, and the end of the responses of the equalisers after 4096 samples.
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=2e-5)
