import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.official import official_enhance
from cmss.transforms.overlap_add import official_overlap_add, overlap_add
from tests.support.tensors import noise


def two_of_it(signal: torch.Tensor) -> torch.Tensor:
    """An identity network with two outputs: (1, channels, samples) -> (2, channels, samples)."""
    return torch.cat((signal, -2 * signal))


@settings(deadline=None, max_examples=100)
@given(samples=st.integers(1, 400), segment=st.integers(1, 120), overlap=st.floats(0, 0.999))
def test_identity_in_input_out(samples, segment, overlap):
    signal = noise(2, samples).double()
    output = overlap_add(two_of_it, signal, segment, int(overlap * segment))
    assert output.shape == (2, 2, samples)
    # In double precision, since at the largest overlaps over a hundred segments are summed.
    torch.testing.assert_close(output, torch.stack((signal, -2 * signal)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("overlap", [0, 1, 25, 50, 75])
@pytest.mark.parametrize("samples", [1, 50, 99, 100, 101, 150, 737, 1000])
def test_identity_in_single_precision(samples, overlap):
    signal = noise(2, samples).clamp(-1, 1)
    output = overlap_add(two_of_it, signal, 100, overlap)[0]
    torch.testing.assert_close(output, signal, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(samples=st.integers(1, 400), segment=st.integers(2, 120), overlap=st.floats(0, 0.999))
def test_segments_have_equal_lengths_and_are_as_few_as_possible(samples, segment, overlap):
    lengths = []

    def note(signal: torch.Tensor) -> torch.Tensor:
        lengths.append(signal.shape[-1])
        return signal

    shared = int(overlap * segment)
    overlap_add(note, noise(2, samples), segment, shared)
    assert len(set(lengths)) == 1
    assert lengths[0] <= segment
    fewer = len(lengths) - 1
    assert not fewer or fewer * segment - (fewer - 1) * shared < samples


def test_no_seam():
    """A function whose gain differs from segment to segment fades instead of jumping."""
    gains = iter([1.0, 3.0, 2.0])
    output = overlap_add(lambda x: x * next(gains), torch.ones(1, 200), 100, 50)
    steps = output[0, 0].diff().abs()
    assert steps.max() <= 2.01 / 51  # the largest change of gain, spread over the overlap


@pytest.mark.parametrize("overlap", [-1, 100, 101])
def test_an_overlap_that_never_ends_is_refused(overlap):
    with pytest.raises(ValueError, match="at least 0 and less than 100"):
        overlap_add(two_of_it, noise(2, 300), 100, overlap)


class Position(torch.nn.Module):
    """Depends on where a segment begins and on its length, so that other segments tell."""

    def forward(self, mixture: torch.Tensor) -> torch.Tensor:
        place = torch.linspace(0.5, 1.5, mixture.shape[-1])
        return torch.stack((mixture * place, mixture.flip(-1)), 1)


# Shorter than a chunk, one chunk, a chunk and half a fade more, two and three chunks.
@pytest.mark.parametrize("seconds", [9.0, 11.0, 11.05, 11.2, 15.0, 33.0, 33.01, 40.0])
@pytest.mark.parametrize("sample_rate_hz", [100, 441, 1000])
def test_official_segments_equal_those_of_the_baseline(seconds, sample_rate_hz):
    mixture = noise(2, round(seconds * sample_rate_hz))
    expected = official_enhance().separate_sources(
        Position(), mixture, sample_rate_hz, number_sources=2
    )[0]
    model = Position()
    output = official_overlap_add(lambda x: model(x)[0], mixture, sample_rate_hz, 10.0, 0.1)
    assert torch.equal(output, expected)


def test_official_segments_lose_the_end_of_a_short_signal():
    output = official_overlap_add(two_of_it, torch.ones(2, 900), 100, 10.0, 0.1)
    assert output[0, 0, :890].eq(1).all()
    assert output[0, 0, -1] == 0


def test_official_segments_of_less_than_a_fade_are_refused():
    with pytest.raises(
        ValueError, match="10 samples, expected more than the 10 samples of the fade"
    ):
        official_overlap_add(two_of_it, torch.ones(2, 10), 100, 10.0, 0.1)
