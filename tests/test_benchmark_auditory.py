"""The figure of the auditory model."""

import numpy as np
from PIL import Image

from benchmarks.auditory import draw, responses_db
from benchmarks.figures import save
from cmss.casa.grouping import find_notes
from cmss.casa.units import SAMPLE_RATE_HZ, compute_units


def test_filters_have_gain_1_and_the_picture_has_four_panels(tmp_path):
    # 0.1 dB: the real part of a filter at 50 Hz has a tail from negative frequencies.
    assert np.abs(responses_db(SAMPLE_RATE_HZ).max(-1)).max() < 0.1
    signal = np.sign(np.sin(2 * np.pi * 200 * np.arange(SAMPLE_RATE_HZ // 2) / SAMPLE_RATE_HZ))
    owners, _ = find_notes(signal, 1)
    figure = draw(compute_units(signal), owners, 20)
    assert len(figure.axes) == 4
    save(figure, tmp_path / "casa.png")
    with Image.open(tmp_path / "casa.png") as picture:
        assert picture.format == "PNG"
