"""SDR, SIR and SAR: museval's values, hard inputs, and what each of the three has to tell apart."""

import numpy as np
import pytest
from scipy.signal import butter, lfilter

from benchmarks.bss_eval import cholesky_ratios
from cmss.results.bss_eval import bss_eval, framewise_ratios

RATE_HZ = 8000
SECONDS = 3.5


def coloured(sources: int = 3) -> np.ndarray:
    """Stereo references (sources, 2, samples) of coloured noise."""
    rng = np.random.RandomState(0)
    samples = int(RATE_HZ * SECONDS)
    mono = [
        lfilter([1], [1, -0.9 * np.cos(k + 1), 0.5], rng.randn(samples)) for k in range(sources)
    ]
    return np.stack(
        [
            [g * s, (1 - g) * np.roll(s, 3) + 0.1 * rng.randn(samples)]
            for g, s in zip((0.3, 0.6, 0.8), mono, strict=True)
        ]
    )


def poor(true: np.ndarray) -> np.ndarray:
    """Estimates with all three errors: a level, a delayed neighbour, noise."""
    rng = np.random.RandomState(1)
    neighbours = np.roll(np.roll(true, -1, axis=0), 5, axis=-1)
    noise = rng.randn(*true.shape) * true.std(axis=(1, 2), keepdims=True)
    return 0.9 * true + 0.2 * neighbours + 0.05 * noise


def as_stems(signals: np.ndarray) -> dict[str, np.ndarray]:
    return {f"source_{number}": signal for number, signal in enumerate(signals, start=1)}


def medians(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    ratios = bss_eval(as_stems(true), as_stems(estimated), RATE_HZ)
    return np.array([[r.sdr, r.sir, r.sar] for r in ratios.values()])


def test_museval():
    # np.median of museval.metrics.bss_eval(coloured, poor, window=8000, hop=8000), 0.4.1; it takes
    # samples before channels.
    expected = [
        [13.3288979, 13.8671476, 25.6733725],
        [10.5408535, 10.4409958, 25.7886626],
        [14.2892347, 15.2448647, 25.6445866],
    ]
    # It adds 2e-16 to the diagonal of the normal equations, we 1e-10 of the power.
    np.testing.assert_allclose(medians(coloured(), poor(coloured())), expected, atol=1e-6)


def equal_references(true: np.ndarray) -> np.ndarray:
    """Play the same sound by two sources: the matrix of the normal equations is singular."""
    return np.stack([true[0], true[1], true[0]])


def correlated(true: np.ndarray) -> np.ndarray:
    """Mix each source into its neighbour."""
    return true + 0.95 * np.roll(true, 1, axis=0)


def low_passed(true: np.ndarray) -> np.ndarray:
    """Remove the frequencies above 1 kHz, which makes the matrix almost singular."""
    return lfilter(*butter(8, 0.25), true)


def tones(true: np.ndarray) -> np.ndarray:
    """Replace each channel by a sine: most singular values of the matrix are almost zero."""
    time_s = np.arange(true.shape[-1]) / RATE_HZ
    pitches_hz = np.array([[440.0, 440.0], [554.4, 659.3], [880.0, 441.0]])
    return np.sin(2 * np.pi * pitches_hz[..., None] * time_s)


def quiet(true: np.ndarray) -> np.ndarray:
    """Make a source 120 dB quieter than the others."""
    return true * np.array([1.0, 1e-6, 1.0])[:, None, None]


def one_channel(true: np.ndarray) -> np.ndarray:
    """Silence the right channel of a source."""
    return true * np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])[..., None]


def silent_for_a_second(true: np.ndarray) -> np.ndarray:
    """Silence a source for a second, whose frame is therefore excluded."""
    return true * (np.arange(true.shape[-1]) >= np.array([RATE_HZ, 0, 0])[:, None, None])


def assert_cholesky(true: np.ndarray, estimated: np.ndarray, tolerance_db: float = 1e-6) -> None:
    """Compare with a Cholesky decomposition; above 100 dB, ratios are rounding errors."""
    expected = cholesky_ratios(true, estimated, RATE_HZ)
    actual = framewise_ratios(true, estimated, RATE_HZ)
    actual, expected = np.minimum(actual, 100), np.minimum(expected, 100)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance_db)


@pytest.mark.parametrize(
    ("change", "tolerance_db"),
    [
        (equal_references, 1e-6),
        (correlated, 1e-6),
        # Almost singular: with iterative refinement in extended precision, the error of a Cholesky
        # decomposition is 5e-6 dB, and ours is 2e-6 dB.
        (low_passed, 2e-5),
        # Of six signals, only a few frequencies are not zero: the error of each Cholesky
        # decomposition is up to 3e-5 dB.
        (tones, 1e-4),
        (quiet, 1e-6),
        (one_channel, 1e-6),
        (silent_for_a_second, 1e-6),
    ],
)
def test_ratios_are_those_of_a_cholesky_decomposition(change, tolerance_db):
    true = change(coloured())
    assert_cholesky(true, poor(true), tolerance_db)


@pytest.mark.parametrize("shape", [(1, 2, 9000), (2, 1, 9000), (3, 2, 300), (1, 1, 7), (2, 2, 511)])
def test_few_channels_and_short_signals(shape):
    true = np.random.default_rng(3).standard_normal(shape)
    assert_cholesky(true, poor(true))


def test_a_silent_second_of_an_estimate_is_excluded():
    true, estimated = coloured(), poor(coloured())
    estimated[2, :, RATE_HZ : 2 * RATE_HZ] = 0
    assert np.isnan(framewise_ratios(true, estimated, RATE_HZ)[..., 1]).all()
    assert_cholesky(true, estimated)


def test_noise_is_an_artefact():
    true = coloured()
    rng = np.random.default_rng(2)
    noise = 0.1 * true.std() * rng.standard_normal(true.shape)
    sdr, sir, sar = framewise_ratios(true, true + noise, true.shape[-1])[..., 0]
    expected = 10 * np.log10((true**2).sum((1, 2)) / (noise**2).sum((1, 2)))
    np.testing.assert_allclose(sdr, expected, atol=1e-9)
    # Of 28000 samples of noise 512 taps from six channels can explain a tenth.
    np.testing.assert_allclose(sar, expected, atol=1.0)
    assert (sir > sar + 5).all()


def test_another_source_is_interference():
    true = coloured()
    estimated = true + 0.1 * np.roll(true, 1, axis=0)
    sdr, sir, sar = framewise_ratios(true, estimated, true.shape[-1])[..., 0]
    np.testing.assert_allclose(sir, sdr, atol=0.5)
    # What the ridge leaves of what the filters explain.
    assert (sar > 60).all()


def test_a_filter_is_neither():
    true = coloured()
    estimated = lfilter([0.5, 0.2, -0.1], [1], true)
    sdr, sir, sar = framewise_ratios(true, estimated, true.shape[-1])[..., 0]
    assert (sdr < 10).all()
    # Not more, because the end of what the filter gives is cut off.
    assert (sir > 40).all()
    assert (sar > 40).all()


def test_true_stems_have_no_error():
    assert (medians(coloured(), coloured())[:, 0] == np.inf).all()


def test_equal_channels_can_be_judged():
    true = coloured()[:, :1].repeat(2, axis=1)
    assert np.isfinite(medians(true, poor(true))).all()


def test_silent_sources_are_left_out():
    true, estimated = coloured(), poor(coloured())
    alone = bss_eval(as_stems(true[:2]), as_stems(estimated[:2]), RATE_HZ)
    true[2] = 0
    assert bss_eval(as_stems(true), as_stems(estimated), RATE_HZ) == alone
    assert bss_eval({"a": true[2]}, {"a": true[2]}, RATE_HZ) == {}


def test_seconds_with_a_silent_source_do_not_count():
    true, estimated = coloured(), poor(coloured())
    true[0, :, :RATE_HZ] = 0
    frames = framewise_ratios(true, estimated, RATE_HZ)
    assert np.isnan(frames[..., 0]).all()
    ratios = bss_eval(as_stems(true), as_stems(estimated), RATE_HZ)
    assert ratios["source_2"].sdr == pytest.approx(np.median(frames[0, 1, 1:]))


def test_no_second_without_silence():
    true = np.zeros((2, 2, 2 * RATE_HZ))
    true[0, :, :RATE_HZ] = true[1, :, RATE_HZ:] = coloured()[0, :, :RATE_HZ]
    assert np.isnan(medians(true, poor(true + 1e-3))).all()


def test_shorter_than_the_filters():
    true = coloured()[..., :300]
    assert np.isfinite(medians(true, poor(true))[:, 0]).all()


def test_other_sources_or_lengths_are_refused():
    stems = as_stems(coloured())
    with pytest.raises(ValueError, match="expected"):
        bss_eval(stems, {"source_1": stems["source_1"]}, RATE_HZ)
    with pytest.raises(ValueError, match="expected"):
        bss_eval(stems, {key: stem[:, 1:] for key, stem in stems.items()}, RATE_HZ)
