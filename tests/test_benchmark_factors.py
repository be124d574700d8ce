"""The figure of templates and activations."""

import torch
from PIL import Image

from benchmarks.factors import draw, fit
from benchmarks.figures import save
from cmss.nmf.spectrogram import Analysis


def test_templates_are_in_order_and_the_picture_has_three_panels(tmp_path):
    V = torch.rand(275, 20) + 0.1
    templates = {"Flute": torch.rand(1, 275, 3) ** 4, "Bassoon": torch.rand(1, 275, 4) ** 4}
    W, H = fit(V, templates)
    assert W.shape == (275, 7)
    assert H.shape == (7, 20)
    gravity = torch.arange(275.0) @ W
    assert (gravity[:3].diff() >= 0).all()
    assert (gravity[3:].diff() >= 0).all()
    figure = draw(V, W, H, Analysis().band_centres_hz(), 0.02, {"Flute": 3, "Bassoon": 4})
    assert len(figure.axes) == 4  # and the scale of colours
    save(figure, tmp_path / "nmf.png")
    with Image.open(tmp_path / "nmf.png") as picture:
        assert picture.format == "PNG"
