"""The figure of STFT and STDCT."""

import pytest
import torch
from PIL import Image

from benchmarks.figures import save
from benchmarks.transforms import compactness, draw


def test_compactness_is_the_share_of_numbers_that_hold_nearly_all_energy():
    spread = torch.ones(10, 10)
    assert compactness(spread) == pytest.approx(0.99, abs=0.011)
    one = torch.zeros(10, 10)
    one[3, 4] = -2.0
    assert compactness(one) == 0.01
    # A complex number is two real ones.
    assert compactness(one.to(torch.complex64)) == 0.005


def test_the_picture_shows_both_at_one_level_and_one_place(tmp_path):
    spectra, coefficients = torch.full((65, 400), 1e-9), torch.full((128, 400), 1e-9)
    spectra[32], coefficients[64] = 1.0, -3.0  # both 4 kHz
    figure = draw(spectra.to(torch.complex64), coefficients, 0.01, 8000.0)
    for panel in figure.axes[:2]:
        (image,) = panel.get_images()
        *_, low, high = image.get_extent()
        levels = image.get_array()[:, 0]
        step = (high - low) / len(levels)
        assert low + levels.argmax() * step <= 4000 <= low + (levels.argmax() + 1) * step
        assert levels.max() == 0
        assert levels.min() < -80
    path = tmp_path / "new" / "transforms.png"
    save(figure, path)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.mode == "P"
