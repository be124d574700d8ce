from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss.models.multichannel_unet import MultichannelUNet, MultichannelUNetArguments
from cmss.models.outputs import OUTPUTS
from cmss.scenes import INSTRUMENTS
from cmss.training.mixtures import Batch
from cmss.training.remix_loss import RemixLoss
from tests.support.conditioning import (
    assert_aligned,
    assert_examples_independent,
    assert_scales,
    assert_sums_to_mixture,
    rows,
)
from tests.support.tensors import quiet_noise as noise

PUBLISHED = MultichannelUNetArguments(INSTRUMENTS)
ALL = MultichannelUNetArguments(
    ("Cello", "Viola", "Violin", "Violin_2"), samplerate=8000, n_fft=256, hop=64, bands=24,
    dims=(4, 6, 8), convolutions=1, dropout=0, features="stereo", masks="softmax",
    conditioned=True,
)  # fmt: skip
MONO = replace(ALL, n_fft=126, hop=32, convolutions=2, dropout=0.1, features="mono", masks="relu",
               conditioned=False)  # fmt: skip
HARMONIC = replace(ALL, harmonics=(0.5, 2, 3))
TWICE = replace(ALL, passes=2)
BOTH = pytest.mark.parametrize(
    "arguments", [ALL, MONO, HARMONIC, TWICE], ids=["stereo", "mono", "harmonic", "twice"]
)


def network(arguments: MultichannelUNetArguments) -> MultichannelUNet:
    """Return a copy of a network, so that a test can train it."""
    copy = deepcopy(built(arguments))
    torch.manual_seed(0)
    return copy


@cache
def built(arguments: MultichannelUNetArguments) -> MultichannelUNet:
    """Return a network with large scores, so that masks cover zero to one, and more with ReLU.

    The statistics of batch normalisation are changed as by training.
    """
    torch.manual_seed(0)
    model = MultichannelUNet(arguments)
    with torch.no_grad():
        model.unet.output.weight *= 10
        for _ in range(20):
            model(noise(2, 2, 3000))
    return model.eval()


@pytest.fixture(scope="module")
def model() -> MultichannelUNet:
    return network(ALL)


def everyone(batch: int = 1) -> torch.Tensor:
    return torch.ones(batch, 4, dtype=torch.bool)


# As published.


def test_published_size():
    with torch.device("meta"):
        model = MultichannelUNet(PUBLISHED)
        # 6 s are 256 frames; 512 bins are 256 bands.
        scores = model.unet(torch.empty(1, 1, 256, 256), None)
    assert sum(p.numel() for p in model.parameters()) == 124_448_904
    assert scores.shape == (1, 8, 256, 256)
    assert model.to_bands.shape == (512, 256)
    assert 1 + int(6 * model.sample_rate_hz) // model.hop == 256


@torch.no_grad()
def test_mono_features_are_the_log_magnitude_of_the_middle():
    model = network(MONO)
    mixture = noise(2, 2, 900)
    got = model.levels(model.analyse(mixture))
    magnitude = model.analyse(mixture.mean(1)).abs().mT @ model.to_bands
    expected = torch.log(magnitude / magnitude.mean((1, 2), keepdim=True))
    assert got.shape == (2, 1 + 900 // 32, 24)
    torch.testing.assert_close(
        got, expected, rtol=0, atol=1e-3
    )  # the lower limit, 1e-7 of the mean


@torch.no_grad()
def test_published_masks_are_independent():
    model = network(MONO)
    spectra = model.analyse(noise(1, 2, 900))
    masks = model.masks(spectra, everyone())
    assert (masks >= 0).all()
    assert (masks.sum(1) - 1).abs().max() > 0.5
    some = torch.tensor([[True, False, True, False]])
    assert torch.equal(model.masks(spectra, some), masks * some[..., None, None])


@torch.no_grad()
def test_masks_multiply_the_spectra_of_both_channels():
    model = network(MONO)
    mixture = noise(1, 2, 900)
    spectra = model.analyse(mixture)
    masks = model.masks(spectra, everyone())[0] @ model.to_bins.T
    for source, mask in enumerate(masks):
        for channel in range(2):
            expected = model.synthesise(mask.T * spectra[0, channel], 900)
            torch.testing.assert_close(model(mixture)[0, source, channel], expected)


# Properties of the estimates.


@settings(deadline=None, max_examples=40)
@given(samples=st.integers(1, 1500), present=rows(4))
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(model, samples, present):
    assert_sums_to_mixture(model, noise(2, 2, samples), torch.tensor(present), 1e-6)


@pytest.mark.parametrize("samples", [1, 31, 32, 97, 1000])
@torch.no_grad()
def test_any_length_of_the_published_network(samples):
    mixture = noise(2, 2, samples)
    present = torch.tensor([[True] * 4, [True, False] * 2])
    estimates = network(MONO)(mixture, present)
    assert estimates.shape == (2, 4, 2, samples)
    assert estimates.isfinite().all()
    assert (estimates[~present] == 0).all()


@torch.no_grad()
def test_masks_of_the_fixture_differ_between_sources(model):
    """Precondition of the other tests: with equal masks, they would find no error."""
    masks = model.masks(model.analyse(noise(1, 2, 4000)), everyone())
    assert masks.amax(1).mean() > 0.5
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


@BOTH
@torch.no_grad()
def test_all_sources_by_default(arguments):
    model, mixture = network(arguments), noise(1, 2, 700)
    assert torch.equal(model(mixture), model(mixture, everyone()))
    with pytest.raises(ValueError, match="without any source"):
        model(mixture, ~everyone())


@torch.no_grad()
def test_presence_of_a_source_changes_the_scores(model):
    """Not only the normalisation of masks changes: the ratio of two masks changes, too."""
    spectra = model.analyse(noise(1, 2, 2000))
    two = model.masks(spectra, torch.tensor([[True, True, False, False]]))
    three = model.masks(spectra, torch.tensor([[True, True, True, False]]))
    change = (two[:, 0] / two[:, 1]).log() - (three[:, 0] / three[:, 1]).log()
    assert change.abs().max() > 0.01


@torch.no_grad()
def test_the_direction_of_arrival_changes_the_masks(model):
    mixture = noise(1, 2, 2000)
    turned = torch.stack((mixture[:, 0], -mixture[:, 1]), 1)  # equal levels, opposite direction
    change = model.masks(model.analyse(turned), everyone())
    change = change - model.masks(model.analyse(mixture), everyone())
    assert change.abs().max() > 0.01


@BOTH
@torch.no_grad()
def test_silence_gives_silence(arguments):
    assert (network(arguments)(torch.zeros(1, 2, 3000)) == 0).all()


@torch.no_grad()
def test_silence_in_one_channel_or_for_a_while_is_finite(model):
    mixture = noise(2, 2, 3000)
    mixture[0, 1] = 0
    mixture[1, :, 500:2500] = 0
    estimates = model(mixture)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-6)
    assert (estimates[0, :, 1] == 0).all()


@BOTH
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_gradients_are_finite_and_reach_every_parameter(arguments, training, bfloat16):
    model = network(arguments).train(training)
    mixture = noise(3, 2, 2000)
    mixture[1] = 0
    mixture[2, 0] = 0
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        estimates = model(mixture)
        (estimates * noise(*estimates.shape, seed=2)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # In training, a bias before batch normalisation has no effect.
        assert training or parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("at", [0, 1, 63, 64, 700, 998])
@torch.no_grad()
def test_estimates_are_aligned_with_the_mixture_to_the_sample(model, at):
    assert_aligned(model, at, ALL.n_fft)


@torch.no_grad()
def test_masks_are_aligned_with_the_sound(model):
    """A change of the sound changes masks at its time and frequency, and not far from there."""
    before = noise(1, 2, 9000)
    after = before.clone()
    hz = torch.tensor(3000.0)
    time = torch.arange(4400, 4700)
    after[..., time] += torch.sin(2 * torch.pi * hz / ALL.samplerate * time)
    change = model.masks(model.analyse(after), everyone())
    change = (change - model.masks(model.analyse(before), everyone())).abs().sum((0, 1))
    # By the gLN over the excerpt, every change has a small effect everywhere.
    assert change.sum(1).argmax().item() == pytest.approx(4550 / ALL.hop, abs=4)
    band = model.to_bands[round(3000 / ALL.samplerate * ALL.n_fft)].argmax().item()
    assert change.sum(0).argmax().item() == pytest.approx(band, abs=4)


@BOTH
@pytest.mark.parametrize("gain", [1e-2, 0.3, 10.0])
@torch.no_grad()
def test_estimates_scale_with_the_mixture(arguments, gain):
    assert_scales(network(arguments), noise(1, 2, 3000), gain)


@BOTH
@torch.no_grad()
def test_examples_of_a_batch_are_independent(arguments):
    assert_examples_independent(network(arguments), noise(3, 2, 1200))


def test_the_remix_loss_trains_it():
    torch.manual_seed(0)
    model = MultichannelUNet(ALL)
    index = torch.tensor([[0, 2, 1], [1, 3, -1]])
    stems = noise(2, 3, 2, 2000) * (index >= 0)[..., None, None]
    batch = Batch(stems, index, torch.tensor([[0.3, 1.4, 2.0]] * 2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = RemixLoss()(model, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


# Several passes.


@torch.no_grad()
def test_without_weights_for_the_first_pass_two_passes_equal_one():
    twice, once = network(TWICE), network(ALL)
    first = twice.unet.down[0][0].weight
    first[:, twice.planes :] = 0
    weights = twice.state_dict()
    weights["unet.down.0.0.weight"] = first[:, : twice.planes]
    once.load_state_dict(weights)
    mixture = noise(2, 2, 2000)
    torch.testing.assert_close(twice(mixture), once(mixture))
    assert not torch.allclose(network(TWICE)(mixture), once(mixture), atol=1e-3)


@torch.no_grad()
def test_directions_separate_sources_with_similar_masks():
    """A source on the left and one on the right, which take turns."""
    model = network(TWICE)
    turns = (torch.arange(8000) // 1000 % 2).float()
    mixture = noise(1, 1, 8000) * torch.stack((1 - 0.7 * turns, 0.3 + 0.7 * turns))
    spectra = model.analyse(mixture)
    frames = spectra.shape[-1]
    right = turns[(torch.arange(frames) * model.hop).clamp(max=7999)]
    masks = torch.zeros(1, 4, frames, ALL.bands)
    masks[0, 1] = (0.4 + 0.2 * right)[:, None]
    masks[0, 3] = (0.6 - 0.2 * right)[:, None]
    present = torch.tensor([[False, True, False, True]])
    known = model.known(spectra, masks, present)
    assert known.shape == (1, 8, frames, ALL.bands)
    torch.testing.assert_close(known[0, [1, 3]], masks[0, [1, 3]] - 0.5)
    assert not known[0, [0, 2, 4, 6]].any()
    # Frames whose samples all belong to one turn.
    clear = (torch.arange(frames) * model.hop % 1000 - 500).abs() < 300
    clear &= torch.arange(frames) * model.hop < 7500
    # Masks differ by 0.1 from equal ones; the directions estimated from them differ more.
    assert (known[0, 5] * (2 * right - 1)[:, None])[clear].min() > 0.15
    torch.testing.assert_close(known[0, 5], -known[0, 7], rtol=0, atol=1e-4)


def test_a_batch_is_split_between_the_passes(monkeypatch):
    """One example in the first pass, one in the second, and so on."""
    model = network(replace(TWICE, passes=4)).train()
    seen = []
    single_pass = model._single_pass
    monkeypatch.setattr(
        model,
        "_single_pass",
        lambda image, present: seen.append(image) or single_pass(image, present),
    )
    model(noise(4, 2, 2000))
    *before, last = (images[:, model.planes :].flatten(1).any(1).tolist() for images in seen)
    assert before == [[False] * 3, [True] * 2, [True]]
    assert last == [False, True, True, True]
    assert [image.requires_grad for image in seen] == [False, False, False, True]
    seen.clear()
    model.eval()(noise(4, 2, 2000))
    assert [len(images) for images in seen] == [4] * 4


# Arguments.


@BOTH
def test_every_band_averages_bins(arguments):
    model = MultichannelUNet(arguments)
    sums = model.to_bands.sum(0)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_stereo_bands_include_all_bins():
    """High bands are wider than a bin: energies are averaged over all their bins."""
    with_stereo = replace(ALL, n_fft=2048, bands=64)
    assert (MultichannelUNet(with_stereo).to_bands.sum(1) > 0).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": "quadro"}, "mono or stereo"),
        ({"masks": "sigmoid"}, "relu or softmax"),
        ({"bands": 26}, "multiple of 4"),
        ({"dims": (4,)}, "at least 2 values in dims, got 1"),
        ({"convolutions": 0}, "convolutions"),
    ],
)
def test_invalid_arguments_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(ALL, **wrong)


def test_only_parameters_and_statistics_are_stored(model):
    assert not {"window", "to_bands", "to_bins"} & set(model.state_dict())


def test_lists_in_arguments_become_tuples():
    assert replace(ALL, sources=list(OUTPUTS), dims=[4, 6, 8]) == replace(ALL, sources=OUTPUTS)
