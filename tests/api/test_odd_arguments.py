"""Any object in place of an argument is refused in a line that names the argument."""

import pathlib

import numpy as np
import pytest
import torch

import cmss

RATE_HZ = 44100
NOISE = 0.1 * np.random.default_rng(8).standard_normal((RATE_HZ // 2, 2))

ODD = {
    "an object": object(),
    "a function": len,
    "bytes": b"Violin",
    "a long text": "Vio\nlin" * 99,
    "a path": pathlib.Path("mixture.wav"),
    "an array without dimensions": np.array(["Violin", 1], object)[:1].reshape(()),
    "a structured array": np.zeros(9, [("left", "f4"), ("right", "f4")]),
    "an array of objects": np.array([None, {}]),
    "a list of lists": [[], [[]]],
    "a dict": {"a": {}, 1: None},
    "a large integer": 10**400,
    "a complex number": 1j,
    "nan": float("nan"),
    "a sparse tensor": torch.ones(2, 900).to_sparse(),
    "a tensor without values": torch.ones(2, 900, device="meta"),
    "a complex tensor": torch.ones(2, 900, dtype=torch.complex64),
    "a tensor of bools": torch.ones(2, 900, dtype=torch.bool),
}

CALLS = {
    "separate": {
        "mixture": NOISE,
        "rate": RATE_HZ,
        "instruments": ["Violin", "Oboe"],
        "separator": "nmf",
        "quality": None,
        "device": None,
        "progress": None,
    },
    "rebalance": {"mixture": NOISE, "stems": {"Violin": NOISE}, "gains_db": {"Violin": 3}},
    "amplify": {"signal": NOISE, "rate": RATE_HZ, "audiogram": [20] * 6},
    "score": {
        "processed": NOISE,
        "reference": NOISE,
        "rate": RATE_HZ,
        "audiogram": [20] * 6,
        "reference_rate": RATE_HZ,
    },
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_values(odd):
    for function, arguments in CALLS.items():
        for name in arguments:
            if name == "progress" and callable(odd):
                continue
            with pytest.raises(cmss.InputError) as caught:
                getattr(cmss, function)(**{**arguments, name: odd})
            for line in caught.value.problems:
                assert line.startswith(f"{name}:"), (function, name, line)
                assert line.isprintable()
                assert len(line) < 400


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_values_within_arguments(odd):
    for name, call in {
        "instruments": lambda: cmss.separate(NOISE, RATE_HZ, ["Violin", odd], separator="nmf"),
        "stems": lambda: cmss.rebalance(NOISE, {"Violin": odd}, {}),
        "gains_db": lambda: cmss.rebalance(NOISE, {"Violin": NOISE}, {"Violin": odd}),
        "audiogram": lambda: cmss.amplify(NOISE, RATE_HZ, [20] * 5 + [odd]),
        "separator": lambda: cmss.separate(
            NOISE, RATE_HZ, ["Violin"], separator={"name": "nmf", "divergence": odd}
        ),
    }.items():
        with pytest.raises(cmss.InputError) as caught:
            call()
        (line,) = caught.value.problems
        assert line.startswith(name), line
        assert line.isprintable()


def test_arrays_in_unusual_memory():
    noise = torch.tensor(NOISE)
    # The imaginary part of a conjugate is a view with negated values.
    negated = torch.conj(torch.complex(noise, noise)).imag
    reversed_halves = np.stack([NOISE, NOISE])[::-1, ::2][0]
    for mixture in (np.asfortranarray(NOISE), reversed_halves, negated, noise[::3].mT):
        remix = cmss.rebalance(mixture, {"Oboe": mixture}, {"Oboe": 20}, keep_level=False)
        assert np.allclose(remix, 10 * mixture)
