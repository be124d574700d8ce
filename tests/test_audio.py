import math
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from clarity.utils import flac_encoder
from clarity.utils import signal_processing as official
from hypothesis import given, settings
from hypothesis import strategies as st

from cmss import audio
from cmss.errors import InputError

RATE_HZ = 44100


def noise(samples: int, level: float = 0.2, seed: int = 1) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal((2, samples))


def cut(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


# Reading: samples equal pyclarity's.


def test_read_flac_is_pyclaritys(tmp_path):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(20001, level=0.6), RATE_HZ)
    expected, rate_hz = flac_encoder.read_flac_signal(path)
    waveform, our_rate_hz = audio.read_sound(path)
    assert our_rate_hz == rate_hz == RATE_HZ
    assert waveform.dtype == expected.dtype == np.float32
    assert waveform.flags.c_contiguous
    np.testing.assert_array_equal(waveform, expected.T)


@pytest.mark.parametrize(("start_s", "duration_s"), [(0, 0.5), (0.1, 0.3), (0.123457, 0.2000003)])
def test_excerpt_is_pyclaritys_slice(tmp_path, start_s, duration_s):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(RATE_HZ // 2), RATE_HZ)
    whole, rate_hz = flac_encoder.read_flac_signal(path)
    expected = whole[int(start_s * rate_hz) : int((start_s + duration_s) * rate_hz)]
    waveform = audio.read_excerpt(audio.Excerpt(path, start_s, duration_s), RATE_HZ)
    np.testing.assert_array_equal(waveform, expected.T)


def test_a_text_file_beside_the_flac_does_not_scale_it(tmp_path):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(1000), RATE_HZ)
    before, _ = audio.read_sound(path)
    path.with_suffix(".txt").write_text("7.0")
    np.testing.assert_array_equal(audio.read_sound(path)[0], before)


# Writing: samples equal pyclarity's, also if they clip.


@pytest.mark.parametrize("soft_clip", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [0.05, 0.6])
def test_written_samples_and_clip_count_are_pyclaritys(tmp_path, soft_clip, dtype, level):
    signal = noise(5000, level).astype(dtype)
    signal[:, :6] = [1.0, -1.0, 0.0, 1.001, 32767.5 / 32768, -32767.5 / 32768]
    flac_encoder.save_flac_signal(
        signal.T,
        tmp_path / "theirs.flac",
        RATE_HZ,
        do_clip_signal=True,
        do_soft_clip=soft_clip,
    )
    clipped = audio.write_flac(tmp_path / "ours.flac", signal, RATE_HZ, soft_clip=soft_clip)
    theirs, _ = soundfile.read(tmp_path / "theirs.flac", dtype="int16")
    ours, _ = soundfile.read(tmp_path / "ours.flac", dtype="int16")
    np.testing.assert_array_equal(ours, theirs)
    assert clipped == official.clip_signal(signal, soft_clip)[1]
    assert (clipped > 0) == (not soft_clip)


@given(
    st.lists(st.floats(-1.5, 1.5, width=32), min_size=2, max_size=64),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_any_sample_is_rounded_as_pyclarity_does(tmp_path_factory, values, soft_clip):
    path = tmp_path_factory.mktemp("flac") / "a.flac"
    signal = np.array([values, values[::-1]])
    audio.write_flac(path, signal, RATE_HZ, soft_clip)
    expected = official.to_16bit(official.clip_signal(signal, soft_clip)[0])
    np.testing.assert_array_equal(soundfile.read(path, dtype="int16")[0].T, expected)


def test_what_is_written_is_16_bit_stereo_flac_with_equal_bytes_each_time(tmp_path):
    for name in ("a.flac", "b.flac"):
        audio.write_flac(tmp_path / name, noise(9000), 32000)
    header = audio.read_header(tmp_path / "a.flac")
    assert header == audio.AudioHeader(32000, 2, 9000, "FLAC", "PCM_16")
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


def test_a_comment_is_read_back_and_changes_no_sample(tmp_path):
    comment = " ".join(f"part_{number}=0123456789abcdef" for number in range(20))
    audio.write_flac(tmp_path / "a.flac", noise(9000), 32000)
    audio.write_flac(tmp_path / "b.flac", noise(9000), 32000, comment=comment)
    assert audio.read_header(tmp_path / "b.flac").comment == comment
    np.testing.assert_array_equal(*(audio.read_sound(tmp_path / f"{n}.flac")[0] for n in "ab"))


def test_the_callers_array_is_left_alone(tmp_path):
    signal = noise(100, level=2.0)
    before = signal.copy()
    audio.write_flac(tmp_path / "a.flac", signal, RATE_HZ, soft_clip=True)
    np.testing.assert_array_equal(signal, before)


@pytest.fixture
def largest_file():
    """Set the size in bytes at which writing a file fails, as it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 50, 30_000])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, capfd, largest_file, size):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(100), RATE_HZ)
    before = path.read_bytes()
    largest_file(size)
    with pytest.raises(OSError, match=r"File too large: '.*/a\.flac'"):
        audio.write_flac(path, noise(20_000, seed=2), RATE_HZ)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_file_from_a_signal_that_is_not_finite(tmp_path, bad):
    signal = noise(100)
    signal[1, 50] = bad
    with pytest.raises(FloatingPointError, match=r"a\.flac: the signal contains NaN or infinity"):
        audio.write_flac(tmp_path / "a.flac", signal, RATE_HZ)
    assert not list(tmp_path.iterdir())


# Resampling.


@pytest.mark.parametrize("to_hz", [44100, 32000, 24000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resample_is_pyclaritys_along_the_last_axis(to_hz, dtype):
    signal = noise(12345).astype(dtype)
    ours = audio.resample(signal, RATE_HZ, to_hz)
    np.testing.assert_array_equal(ours, official.resample(signal.T, RATE_HZ, to_hz).T)
    np.testing.assert_array_equal(audio.resample(signal[0], RATE_HZ, to_hz), ours[0])
    assert ours.dtype == dtype
    assert ours.flags.c_contiguous


@given(st.integers(0, 3000), st.sampled_from([(44100, 32000), (32000, 24000), (44100, 24000)]))
@settings(max_examples=60, deadline=None)
def test_resampled_length(samples, rates):
    assert audio.resample(np.zeros(samples), *rates).shape == (
        audio.resampled_length(samples, *rates),
    )


# Loudness.


def test_loudness_of_a_full_scale_tone_is_the_standards():
    # A 997 Hz sine at full scale in one channel reads -3.01 LUFS; EBU Tech 3341 allows 0.1 LU.
    tone = np.sin(2 * np.pi * 997 * np.arange(2 * 48000) / 48000)
    assert audio.loudness_lufs(np.stack([tone, 0 * tone]), 48000) == pytest.approx(-3.01, abs=0.1)


def test_loudness_follows_level_and_silence_is_minus_infinity():
    signal = noise(RATE_HZ)
    louder = audio.loudness_lufs(10 ** (6 / 20) * signal, RATE_HZ)
    assert louder - audio.loudness_lufs(signal, RATE_HZ) == pytest.approx(6, abs=1e-9)
    assert audio.loudness_lufs(np.zeros((2, RATE_HZ)), RATE_HZ) == -np.inf


def cut_anywhere(signal: np.ndarray, rng: np.random.Generator, count: int = 7) -> list[np.ndarray]:
    """Divide a signal (channels, samples) into pieces of random lengths, also of no sample."""
    return np.split(signal, np.sort(rng.integers(0, signal.shape[-1] + 1, count)), axis=-1)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44099, 96000])
@pytest.mark.parametrize("seconds", [0.4, 0.43, 0.4999, 2.77])
def test_loudness_in_pieces_is_pyloudnorms(rate_hz, seconds):
    rng = np.random.default_rng(round(rate_hz * seconds))
    signal = noise(math.ceil(rate_hz * seconds))
    # Levels over 80 dB, so that both gates exclude blocks.
    signal *= np.repeat(10 ** rng.uniform(-4, 0, 30), len(signal[0]) // 30 + 1)[: len(signal[0])]
    expected = pyloudnorm.Meter(rate_hz).integrated_loudness(signal.T)
    for in_pieces in ([signal], cut_anywhere(signal, rng)):
        assert audio.loudness_of_pieces(in_pieces, rate_hz) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rates", [(44100, 32000), (8000, 44100), (44100, 44100), (96000, 44100)])
def test_resampling_and_writing_in_pieces_give_equal_samples(tmp_path, dtype, rates):
    rng = np.random.default_rng(sum(rates))
    signal = noise(70_001, level=0.6).astype(dtype)
    whole = audio.resample(signal, *rates)
    resampled = [*audio.resampled(cut_anywhere(signal, rng), *rates)]
    np.testing.assert_array_equal(np.concatenate(resampled, axis=1), whole)
    clipped = audio.write_flac(tmp_path / "a.flac", whole, rates[1])
    again = audio.write_sound(tmp_path / "b.flac", resampled, 2, rates[1])
    assert clipped == again > 0
    assert (tmp_path / "a.flac").read_bytes() == (tmp_path / "b.flac").read_bytes()


@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_read_in_pieces(tmp_path, channels):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(200_001)[:channels].T, 8000, "FLOAT")
    with audio.stereo_pieces(path) as (header, pieces):
        assert (header.channels, header.samples) == (channels, 200_001)
        read = np.concatenate([*pieces], axis=1)
    np.testing.assert_array_equal(read, audio.read_stereo(path)[0])


# Unusable files.


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_flac_that_was_cut_off_is_noticed_from_its_end(tmp_path, keep):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(3 * RATE_HZ), RATE_HZ)
    cut(path, keep)
    assert soundfile.info(path).frames == 3 * RATE_HZ  # the header still states its full length
    with pytest.raises(InputError, match=r"a\.flac: truncated or damaged: .* 132300 samples"):
        audio.read_header(path)
    with pytest.raises(InputError, match="truncated or damaged"):
        audio.read_excerpt(audio.Excerpt(path, 0.0, 0.1), RATE_HZ)


def test_a_hole_in_the_middle_is_noticed_when_it_is_read(tmp_path):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(3 * RATE_HZ), RATE_HZ)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 30000] = bytes(30000)
    path.write_bytes(data)
    audio.read_header(path)
    with pytest.raises(InputError, match="truncated or damaged"):
        audio.read_sound(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _path: None, "no such audio file"),
        (lambda path: path.mkdir(), "no such audio file"),
        (lambda path: path.write_text("not music"), "not a readable sound file"),
        (lambda path: path.write_bytes(b""), "not a readable sound file"),
        (
            lambda path: audio.write_flac(path, np.zeros((2, 0)), RATE_HZ),
            "not a readable sound file",
        ),
    ],
)
def test_what_is_no_sound_file_is_named(tmp_path, make, message):
    path = tmp_path / "a.flac"
    make(path)
    with pytest.raises(InputError, match=rf"a\.flac: .*({message})"):
        audio.read_sound(path)


@pytest.mark.parametrize("hours", [0.5, 10, 400])  # by its size, the first could be silence
def test_a_flac_that_claims_hours_is_refused_before_room_is_made_for_them(tmp_path, hours):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(5000), RATE_HZ)
    data = bytearray(path.read_bytes())
    # STREAMINFO: the length in samples is the last 36 bits of bytes 18 to 25 of the file.
    claimed = round(hours * 3600) * RATE_HZ
    data[21] = data[21] & 0xF0 | claimed >> 32
    data[22:26] = (claimed & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match=rf"a\.flac: truncated .* states {claimed} samples"):
        audio.read_sound(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1e6  # ten hours of it would be 6 GB


def test_a_flac_without_stated_length_is_decoded_to_its_end(tmp_path, capsys):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(5000), RATE_HZ)
    data = bytearray(path.read_bytes())
    # STREAMINFO: the length in samples is the last 36 bits of bytes 18 to 25 of the file.
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert audio.read_header(path).samples == audio.read_sound(path)[0].shape[1] == 5000
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: the header states no length that can be checked; used as far")


@pytest.mark.parametrize(
    ("channels", "rate_hz", "start_s", "message"),
    [
        (2, 48000, 0.0, r"sampling rate 48000 Hz, expected 44100 Hz"),
        (1, 44100, 0.0, r"1 channel\(s\), expected 2"),
        (2, 44100, 0.1, r"expected samples 4410 to 13230, the file has 11025"),
        (2, 44100, -0.1, r"expected samples -4410 to 4410"),
    ],
)
def test_an_excerpt_that_the_file_does_not_hold(tmp_path, channels, rate_hz, start_s, message):
    path = tmp_path / "a.flac"
    audio.write_flac(path, noise(rate_hz // 4)[:channels], rate_hz)
    with pytest.raises(InputError, match=message):
        audio.read_excerpt(audio.Excerpt(path, start_s, 0.2), RATE_HZ)
