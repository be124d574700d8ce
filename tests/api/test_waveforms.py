"""Arrays of the caller: recognised with type, layout and scale, or refused in a line."""

import re
import warnings

import numpy as np
import pytest
import torch

import cmss

RATE_HZ = 16000
NOISE = 0.1 * np.random.default_rng(1).standard_normal((2, RATE_HZ))
"""White noise, (channels, samples)."""

STEP = {"float16": 2**-10, "float32": 2**-23, "float64": 2**-52, "bfloat16": 2**-7}
"""Largest difference in the tolerance that cmss.separate states, relative to the largest sample."""

FORMS = {
    "soundfile, stereo": NOISE.T,
    "soundfile, float32": NOISE.T.astype(np.float32),
    "soundfile, mono": NOISE[0],
    "soundfile, mono with always_2d": NOISE[:1].T,
    "channels first": NOISE.astype(np.float32),
    "mono, channels first": NOISE[:1],
    "float16": NOISE.astype(np.float16),
    "int16": np.rint(NOISE.T * 2**15).astype(np.int16),
    "int16 of the other byte order": np.rint(NOISE.T * 2**15).astype(">i2"),
    "int32": np.rint(NOISE * 2**31).astype(np.int32),
    "every second sample, backwards": np.repeat(NOISE, 2, axis=1)[:, ::-2],
    "read only": np.broadcast_to(NOISE[0], (2, RATE_HZ)),
    "tensor": torch.tensor(NOISE, dtype=torch.float32),
    "tensor, mono float64": torch.tensor(NOISE[0]),
    "tensor with a gradient": torch.tensor(NOISE.T, requires_grad=True),
    "tensor, float16": torch.tensor(NOISE, dtype=torch.float16),
    "tensor, bfloat16": torch.tensor(NOISE, dtype=torch.bfloat16),
    "tensor, int16": torch.tensor(np.rint(NOISE * 2**15).astype(np.int16)),
    "tensor, int32": torch.tensor(np.rint(NOISE.T * 2**31).astype(np.int32)),
}


def as_float64(array) -> np.ndarray:
    return array.detach().double().numpy() if torch.is_tensor(array) else array.astype(np.float64)


@pytest.mark.parametrize("mixture", FORMS.values(), ids=FORMS)
def test_stems_have_the_form_of_the_mixture_and_sum_to_it(mixture):
    before = as_float64(mixture).copy()
    stems = cmss.separate(mixture, RATE_HZ, ["Oboe", "Cello"], separator="nmf")
    np.testing.assert_array_equal(as_float64(mixture), before)
    for stem in stems.values():
        assert type(stem) is type(mixture)
        assert stem.dtype == mixture.dtype
        assert stem.shape == mixture.shape
    values = [as_float64(stem) for stem in stems.values()]
    name = str(mixture.dtype).removeprefix("torch.")
    step = STEP[name] * max(np.abs(value).max() for value in values) if name in STEP else 1
    assert np.abs(sum(values) - before).max() <= len(values) * step
    # Integers are scaled to full scale: the stems of the same sound are as loud in every form.
    full_scale = {2: 2**15, 4: 2**31}[mixture.dtype.itemsize] if name not in STEP else 1
    assert 0.01 < np.sqrt(np.mean(np.square(sum(values) / full_scale))) < 0.2


@pytest.mark.parametrize(
    "rate_hz", [8000, 11025, 32000, 44100, 48000, 96000, 48000.0, np.int64(22050)]
)
def test_any_rate(rate_hz):
    noise = 0.1 * np.random.default_rng(2).standard_normal((int(rate_hz) // 2 + 3, 2))
    stems = cmss.separate(noise, rate_hz, ["Flute", "Sax"], separator="nmf")
    # float64: rounding alone.
    np.testing.assert_allclose(stems["Flute"] + stems["Sax"], noise, rtol=0, atol=1e-15)


SHAPES = "expected (samples,), (samples, channels) or (channels, samples)"
TYPES = "expected samples of type float16, float32, float64, int16 or int32"
REFUSED = {
    "two by two": (np.ones((2, 2)), SHAPES + ".*(2, 2), which is ambiguous"),
    "one by two": (np.ones((1, 2)), "ambiguous"),
    "a number": (np.float64(3), "expected a NumPy array or a torch tensor, got float64"),
    "no dimension": (np.array(3.0), SHAPES + ", got the shape ()"),
    "a batch": (np.ones((1, 2, 9)), SHAPES + ", got the shape (1, 2, 9)"),
    "three channels": (np.ones((9, 3)), "1 or 2 channels, got 3 channels"),
    "six channels, tensor": (torch.ones(6, 900), "1 or 2 channels, got 6 channels"),
    "empty": (np.empty(0), "empty, expected sound, got the shape (0,)"),
    "no samples": (np.empty((2, 0), np.int16), "empty, expected sound"),
    "silence": (np.zeros((2, 44100)), "expected sound, got silence"),
    "silent integers": (torch.zeros(44100, dtype=torch.int16), "expected sound, got silence"),
    "nan": (np.where(np.arange(44100) == 7, np.nan, 0.1), "got NaN or infinity"),
    "infinity": (torch.full((2, 900), torch.inf), "got NaN or infinity"),
    "bool": (np.ones((2, 900), bool), TYPES + ", got bool"),
    "complex": (np.ones((2, 900), complex), TYPES + ", got complex128"),
    "object": (np.array(["a", None] * 9), TYPES + ", got object"),
    "text": (np.array(["loud"] * 9), TYPES + ", got str"),
    "uint8": (np.full((2, 900), 128, np.uint8), TYPES + ", got uint8"),
    "int64 tensor": (torch.ones(2, 900, dtype=torch.int64), TYPES + ", got int64"),
    "a list": ([0.1, 0.2, 0.3], "expected a NumPy array or a torch tensor, got list"),
    "a path": ("mixture.wav", "expected a NumPy array or a torch tensor, got str"),
    "nothing": (None, "expected a NumPy array or a torch tensor, got NoneType"),
    "masked": (np.ma.masked_array(np.ones(900)), "expected a NumPy array"),
    "integers as floats": (np.full(44100, 20000.0), "expected samples from -1 to 1"),
    "too short": (np.full(1000, 0.1), "too short, expected at least 0.4 s, got 0.0227 s"),
    "too soft": (np.full((44100, 2), 1e-7), "too soft"),
}


@pytest.mark.parametrize(("array", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_arrays(array, message):
    for name, call in {
        "mixture": lambda: cmss.separate(array, 44100, ["Violin", "Cello"], separator="nmf"),
        "signal": lambda: cmss.amplify(array, 44100, [0] * 6),
        "processed": lambda: cmss.score(array, array, 44100, [0] * 6),
    }.items():
        with pytest.raises(cmss.InputError) as caught:
            call()
        (line,) = caught.value.problems
        pattern = ".*".join(map(re.escape, message.split(".*")))
        expected = "reference" if name == "processed" and message.startswith("too") else name
        assert re.match(f"{expected}: .*{pattern}", line), line
        assert line.isprintable()


RATES = {
    "in kHz": (44.1, "rate: looks like kHz, expected Hz: 44100, got 44.1"),
    "too low": (4000, "rate: expected 8000 to 768000 Hz, got 4000"),
    "negative": (-44100, "rate: expected 8000 to 768000 Hz, got -44100"),
    "nan": (float("nan"), "rate: expected 8000 to 768000 Hz, got nan"),
    "a fraction": (44100.5, "rate: expected a whole number of Hz, got 44100.5"),
    "bool": (True, "rate: expected a sampling rate in Hz, got True"),
    "text": ("44100", "rate: expected a sampling rate in Hz, got '44100'"),
    "nothing": (None, "rate: expected a sampling rate in Hz, got None"),
    "exchanged arguments": (NOISE, "rate: expected a sampling rate in Hz, got ndarray of shape"),
}


@pytest.mark.parametrize(("rate", "message"), RATES.values(), ids=RATES)
def test_refused_rates(rate, message):
    with pytest.raises(cmss.InputError, match=re.escape(message)):
        cmss.separate(NOISE, rate, ["Violin", "Cello"], separator="nmf")


def test_integers_beyond_full_scale_are_clipped_with_a_warning():
    loud = np.full(900, 30000, np.int16)
    with pytest.warns(UserWarning, match="remix: 900 samples beyond the full scale of int16"):
        remix = cmss.rebalance(loud, {"Violin": loud}, {"Violin": 6}, keep_level=False)
    assert (remix == 32767).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remix = cmss.rebalance(
            loud / 2**15, {"Violin": loud / 2**15}, {"Violin": 6}, keep_level=False
        )
    assert remix.max() > 1.5
