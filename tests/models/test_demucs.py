"""All generations of Demucs, compared with the authors' modules in `demucs_infer`."""

import re
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from demucs_infer.demucs import Demucs as TheirDemucs
from demucs_infer.hdemucs import HDemucs as TheirHDemucs
from demucs_infer.htdemucs import HTDemucs as TheirHTDemucs

from cmss.models.checkpoint import build, load_checkpoint, save_checkpoint
from cmss.models.registry import models
from cmss.training.losses import WaveformLoss
from cmss.training.mixtures import Batch
from tests.support.conditioning import assert_all_present_by_default, assert_examples_independent
from tests.support.tensors import quiet_noise as noise

SOURCES = ("Cello", "Viola", "Violin", "Violin_2")
TOLD = {"conditioned": True, "consistent": True}
SMALL = {
    "demucs": {"channels": 6, "depth": 3, "resample": False, "normalize": True},
    "hdemucs": {
        "channels": 8, "depth": 4, "nfft": 256, "dconv_attn": 3, "dconv_lstm": 3, "dconv_mode": 3,
        "norm_starts": 3, "norm_groups": 1,
    },
    "htdemucs": {
        "channels": 8, "channels_time": 12, "depth": 2, "nfft": 512, "growth": 1.5,
        "bottom_channels": 16, "t_layers": 3, "t_heads": 4,
    },
}  # fmt: skip
KINDS = [
    pytest.param((name, {**SMALL[name], **TOLD, **extra}), id=name + "".join(extra))
    for name, extra in (
        ("demucs", {}), ("demucs", {"resample": True}), ("hdemucs", {}),
        ("hdemucs", {"masks": True}), ("htdemucs", {}), ("htdemucs", {"masks": True}),
    )
]  # fmt: skip
EACH = pytest.mark.parametrize("kind", KINDS)


def network(kind, **changes):
    name, arguments = kind
    torch.manual_seed(0)
    return build(name, {"sources": SOURCES, "samplerate": 8000, **arguments, **changes}).eval()


# As published.


def same(ours, theirs, samples, given=None):
    """Assert equal estimates with equal random weights."""
    with torch.no_grad():
        for (
            parameter
        ) in theirs.parameters():  # otherwise the effect of residual branches is too small
            parameter += 0.03 * torch.randn_like(parameter)
        ours.load_state_dict(theirs.state_dict() if given is None else given(theirs))
        mixture = noise(2, 2, samples)
        expected = theirs.eval()(mixture)
        # Sums are computed in another order.
        torch.testing.assert_close(ours.eval()(mixture), expected, rtol=0, atol=1e-6)
        assert expected.std() > 1e-3


@pytest.mark.parametrize("samples", [1000, 14077])
@pytest.mark.parametrize("changes", [{}, {"dconv_mode": 1, "depth": 5}, {"context": 0}])
def test_hdemucs_is_the_published_one(samples, changes):
    arguments = {**SMALL["hdemucs"], "nfft": 256, **changes}
    torch.manual_seed(0)
    theirs = TheirHDemucs(list(SOURCES), **arguments)
    same(build("hdemucs", {"sources": SOURCES, **arguments}), theirs, samples)


@pytest.mark.parametrize("samples", [300, 8077])
@pytest.mark.parametrize(
    "changes", [{}, {"bottom_channels": 32, "channels_time": None, "depth": 3}]
)
def test_htdemucs_is_the_published_one(samples, changes):
    arguments = {**SMALL["htdemucs"], "channels_time": None, "growth": 2, **changes}
    torch.manual_seed(0)
    theirs = TheirHTDemucs(list(SOURCES), dconv_mode=3, use_train_segment=False, **arguments)
    same(build("htdemucs", {"sources": SOURCES, **arguments}), theirs, samples)


@pytest.mark.parametrize("resample", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_demucs_is_the_published_one(resample, normalize):
    """The authors' later class equals the first two generations, except for the padding."""
    common = {"channels": 6, "depth": 4, "resample": resample, "normalize": normalize}
    torch.manual_seed(0)
    theirs = TheirDemucs(
        list(SOURCES), gelu=False, dconv_mode=0, norm_starts=9, lstm_layers=2, context=0, **common
    )

    def renamed(theirs):
        # Without normalisation, its place in the sequence is missing.
        return {
            re.sub(r"^(\w+coder\.\d)\.3\.", r"\1.2.", key): value
            for key, value in theirs.state_dict().items()
        }

    ours = build("demucs", {"sources": SOURCES, "context": 1, **common})
    same(ours, theirs, 5003, renamed)


def test_decoders_of_demucs_have_no_padding():
    """Compare with the first two generations, written operation by operation for two levels."""
    model = network(
        KINDS[0].values[0], depth=2, normalize=False, consistent=False, conditioned=False
    )
    mixture = noise(1, 2, 1000)
    needed = model.valid_length(1000)
    before = (needed - 1000) // 2
    with torch.no_grad():
        x = F.pad(mixture, (before, needed - 1000 - before))
        first = F.glu(model.encoder[0][2](F.conv1d(
            x, model.encoder[0][0].weight, model.encoder[0][0].bias, 4).relu()), 1)  # fmt: skip
        second = model.encoder[1](first)
        low = model.lstm(second) + second
        up = model.decoder[0](low)
        assert (
            low.shape[-1] == (up.shape[-1] - 8) // 4 + 1 + 2
        )  # the context drops one sample at each end
        start = (first.shape[-1] - up.shape[-1]) // 2
        last = model.decoder[1](up + first[..., start : start + up.shape[-1]])
        start = (last.shape[-1] - 1000) // 2
        expected = last[..., start : start + 1000].unflatten(1, (-1, 2))
        torch.testing.assert_close(model(mixture), expected, rtol=0, atol=1e-7)


def test_the_authors_weights_become_a_checkpoint(tmp_path):
    """As in docs/publish.md: the authors' state dict with a header that names the network."""
    theirs = TheirHTDemucs(list(SOURCES), channels=8, nfft=512, depth=2, bottom_channels=16)
    arguments = {"channels": 8, "nfft": 512, "depth": 2, "bottom_channels": 16, "dconv_mode": 1}
    ours = build("htdemucs", {"sources": SOURCES, **arguments})
    ours.load_state_dict(theirs.state_dict())
    save_checkpoint(tmp_path / "x.safetensors", "htdemucs", ours)
    loaded = load_checkpoint(tmp_path / "x.safetensors").state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in theirs.state_dict().items())


# Alignment.


@EACH
@torch.no_grad()
def test_a_delayed_mixture_gives_delayed_estimates(kind):
    """Delays are multiples of the coarsest step, with silence before and after.

    With an unbounded receptive field, as of a transformer, estimates differ, but have no lag.
    """
    model, step = network(kind), 4 ** kind[1]["depth"]
    sound = F.pad(noise(1, 2, 1500), (2048, 2048))
    early, late = model(sound), model(sound.roll(4 * step, -1)).roll(-4 * step, -1)
    lags = range(-3, 4)
    products = [(early * late.roll(lag, -1)).sum().item() for lag in lags]
    assert max(zip(products, lags, strict=True))[1] == 0
    assert products[3] > 0.9 * early.square().sum()


@pytest.mark.parametrize("samples", [4096, 5001])
@torch.no_grad()
def test_synthesis_inverts_the_analysis(samples):
    """Except for the highest bin, which the authors drop, a hundredth of white noise."""
    model = network(KINDS[2].values[0])
    signal = noise(1, 2, samples)
    back = model.synthesise(model.analyse(signal), samples)
    assert (back - signal).square().sum() < 0.02 * signal.square().sum()
    slow = torch.cumsum(signal, -1) * torch.hann_window(samples)
    back = model.synthesise(model.analyse(slow), samples)
    # At the ends, frames of the reflected signal are missing.
    error = (back - slow)[..., 512:-512]
    assert error.square().sum() < 1e-3 * slow.square().sum()


# Properties of all generations.


@EACH
@pytest.mark.parametrize("samples", [2, 333, 8000])
@torch.no_grad()
def test_present_sources_sum_to_the_mixture_and_absent_ones_are_zero(kind, samples):
    model, mixture = network(kind), noise(3, 2, samples)
    present = torch.tensor([[True] * 4, [True, False] * 2, [False, False, True, False]])
    estimates = model(mixture, present)
    assert estimates.shape == (3, 4, 2, samples)
    torch.testing.assert_close(estimates.sum(1), mixture, rtol=0, atol=1e-5)
    assert (estimates[~present] == 0).all()


@EACH
@torch.no_grad()
def test_all_sources_by_default(kind):
    assert_all_present_by_default(network(kind), noise(1, 2, 1000))


@EACH
@torch.no_grad()
def test_presence_of_a_source_changes_the_other_estimates(kind):
    model, mixture = network(kind), noise(1, 2, 4000)
    two = model(mixture, torch.tensor([[True, True, False, False]]))
    three = model(mixture, torch.tensor([[True, True, True, False]]))
    # The residual is equal for all sources present, so it cancels in their difference.
    change = (two[:, 0] - two[:, 1]) - (three[:, 0] - three[:, 1])
    # Initially a thousandth, because signals fade from level to level; enough for training.
    assert change.abs().max() > 1e-4 * (two[:, 0] - two[:, 1]).abs().max()


@EACH
@torch.no_grad()
def test_silence_gives_silence(kind):
    assert (network(kind)(torch.zeros(1, 2, 2000)) == 0).all()


@EACH
@torch.no_grad()
def test_examples_of_a_batch_are_independent(kind):
    assert_examples_independent(network(kind), noise(3, 2, 2000))


@EACH
def test_training_reduces_the_loss(kind):
    """Ten steps on one batch of tones reduce the loss."""
    model = network(kind).train()
    time = torch.arange(2000) / 8000
    tones = torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (220, 330, 523)])
    stems = 0.05 * tones[None, :, None].expand(2, 3, 2, -1) * torch.tensor([1.0, 0.7])[:, None]
    batch = Batch(stems, torch.tensor([[0, 1, 2]] * 2), torch.ones(2, 3))
    loss, optimiser = WaveformLoss(1, 1.0), torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(10):
        losses.append(loss(model, batch))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("demucs", {"context": 2}, "context"),
        ("demucs", {"kernel_size": 6}, "kernel_size"),
        ("demucs", {"depth": 0}, "depth"),
        ("hdemucs", {"nfft": 512}, "branches merge"),
        ("hdemucs", {"nfft": 250}, "nfft"),
        ("hdemucs", {"dconv_comp": 9}, "dconv_comp"),
        ("htdemucs", {"depth": 4}, "4 levels, expected fewer, because the branches must not"),
        ("htdemucs", {"t_heads": 5}, "t_heads"),
    ],
)
def test_invalid_arguments_are_refused(name, wrong, message):
    arguments = models()[name][1](sources=SOURCES, **SMALL[name])
    with pytest.raises(ValueError, match=message):
        replace(arguments, **wrong)
