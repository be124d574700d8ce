"""The differentiable HAAQI: its difference from the exact index, and its gradient."""

import numpy as np
import pytest
import soxr
import torch

from cmss.hearing.differentiable.torch_ear import at_model_rate
from cmss.hearing.differentiable.torch_index import torch_haaqi
from cmss.hearing.haaqi import haaqi_components
from cmss.hearing.haaqi.filterbank import audiometric_levels_db
from cmss.scenes import Audiogram

RATE_HZ = 24000
LEVEL1 = 95.0
EARS = [
    Audiogram((250.0, 1000.0, 4000.0), levels_db)
    for levels_db in ((0.0, 0.0, 0.0), (20.0, 35.0, 60.0), (5.0, 10.0, 75.0))
]
LEVELS_DB = np.stack([audiometric_levels_db(ear) for ear in EARS])


def chord(samples, seed):
    rng = np.random.default_rng(seed)
    time_s = np.arange(samples) / RATE_HZ
    swell = 1 + 0.8 * np.sin(2 * np.pi * 4 * time_s + seed)
    tones = sum(np.sin(2 * np.pi * f * time_s + f) * 100 / f for f in rng.uniform(150, 6000, 25))
    signal = 0.05 * swell * tones + 0.002 * rng.standard_normal(samples)
    signal[[0, -1]] = 0.2  # audible at both ends, so the exact index cuts nothing off
    return signal


def tensor(signals, dtype=torch.float64):
    return torch.as_tensor(np.array(signals), dtype=dtype)


@pytest.fixture(scope="module")
def signals():
    """Three references, and the same noisy, clipped and late, (3, samples) each."""
    samples = RATE_HZ // 3
    references = [chord(samples, seed) for seed in range(3)]
    noise = np.random.default_rng(9).standard_normal(samples)
    late = np.roll(references[2], 500)
    late[:500] = 0
    return references, [references[0] + 0.05 * noise, np.clip(references[1], -0.1, 0.1), late]


def exact(processed, reference, ear, seed=1):
    np.random.seed(seed)
    return haaqi_components(processed, reference, RATE_HZ, RATE_HZ, ear, 2, LEVEL1)


def test_with_the_same_noise_it_is_the_exact_index(signals):
    references, processed = signals
    np.random.seed(1)
    noise = [np.random.standard_normal((32, len(references[0]))) for _ in range(2)]
    batch = tuple(tensor(each).expand(3, -1, -1) for each in noise)
    result = torch_haaqi(tensor(processed), tensor(references), LEVELS_DB, LEVEL1, batch)
    for number, ear in enumerate(EARS):
        one = exact(processed[number], references[number], ear)
        for name, value in vars(one).items():
            # Both in double precision; FFTs have other rounding errors than recursive filters.
            assert getattr(result, name)[number].item() == pytest.approx(value, abs=1e-7), name


def test_without_noise_and_in_single_precision_it_is_close(signals):
    references, processed = signals
    result = torch_haaqi(
        tensor(processed, torch.float32),
        tensor(references, torch.float32),
        LEVELS_DB,
        torch.full((3,), LEVEL1),
    )
    scores = [exact(*each).score for each in zip(processed, references, EARS, strict=True)]
    distances = np.abs(result.score.numpy() - scores)
    # Single precision may align a slowly varying envelope one sample off.
    assert np.all(distances[:2] < 1e-3)
    assert distances[2] < 5e-3  # the first 21 ms are silent: there the exact index correlates noise


def test_gradient_is_that_of_finite_differences():
    """Along random directions, for both signals; 0.1 s."""
    samples = RATE_HZ // 10
    reference = tensor([chord(samples, 3)])
    processed = tensor([chord(samples, 3) + 0.3 * chord(samples, 4)])

    def score(copy, original):
        return torch_haaqi(copy, original, LEVELS_DB[1], LEVEL1).score

    assert torch.autograd.gradcheck(
        score,
        (processed.requires_grad_(), reference.requires_grad_()),
        eps=1e-8,
        rtol=1e-3,
        atol=1e-5,
        fast_mode=True,
    )


def test_gradient_is_that_of_the_exact_index():
    """Decrease of the score for increasing interference from another instrument."""
    samples = RATE_HZ // 3
    target, other = chord(samples, 5), chord(samples, 6)
    leak = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    processed = tensor([target]) + leak * tensor([other])
    (gradient,) = torch.autograd.grad(
        torch_haaqi(processed, tensor([target]), LEVELS_DB[1], LEVEL1).score.sum(), leak
    )
    step = 1e-4
    above, below = (exact(target + (0.2 + s) * other, target, EARS[1]).score for s in (step, -step))
    assert gradient.item() < 0
    assert gradient.item() == pytest.approx((above - below) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_around_silence(dtype):
    samples = RATE_HZ // 5
    reference = tensor([chord(samples, 7)] * 3, dtype)
    processed = reference.clone()
    processed[0] = 0
    processed[1, : samples // 2] = 0
    processed.requires_grad_()
    torch_haaqi(processed, reference, LEVELS_DB, LEVEL1).score.sum().backward()
    assert torch.isfinite(processed.grad).all()
    assert processed.grad[1:].abs().amax(1).min() > 0


def test_an_inaudible_reference_scores_without_failing():
    faint = 1e-6 * tensor([chord(RATE_HZ // 5, 8)])
    result = torch_haaqi(faint.requires_grad_(), faint.detach(), LEVELS_DB[1], LEVEL1)
    result.score.sum().backward()
    assert result.cepstral_correlation.item() == result.bm_synchrony.item() == 0


@pytest.mark.parametrize("rate_hz", [16000, 24000, 32000, 44100])
def test_resampling_keeps_what_is_below_the_cut_off(rate_hz):
    """Compare with the evaluation's resampler, on tones up to 10 kHz or the source's limit."""
    time_s = np.arange(rate_hz // 2) / rate_hz
    tones = [
        np.sin(2 * np.pi * f * time_s) for f in (100, 1000, 7000, 10_000) if f < 0.45 * rate_hz
    ]
    expected = soxr.resample(sum(tones), rate_hz, RATE_HZ, quality="HQ")
    resampled = at_model_rate(tensor([sum(tones)]), rate_hz)[0].numpy()
    assert len(resampled) == len(expected)
    middle = slice(960, -960)
    np.testing.assert_allclose(resampled[middle], expected[middle], atol=len(tones) * 1e-3)


def test_resampling_removes_what_is_above_the_cut_off():
    high = np.sin(2 * np.pi * 14_000 * np.arange(22_050) / 44_100)
    assert at_model_rate(tensor([high]), 44_100)[0, 960:-960].abs().max() < 0.01


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_agree(signals):
    references, processed = (tensor(each) for each in signals)
    on_cpu = torch_haaqi(processed, references, LEVELS_DB, LEVEL1).score
    on_gpu = torch_haaqi(processed.cuda(), references.cuda(), LEVELS_DB, LEVEL1).score
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-8)
