"""Reads and writes sound files, resamples signals and measures loudness.

A waveform is an array of shape (channels, samples). The libraries soundfile, soxr and pyloudnorm
use the shape (samples, channels); only this package transposes arrays.

This package reads and writes the same sample values as pyclarity (`clarity.utils.flac_encoder` and
`clarity.utils.signal_processing`), because scores are compared with scores of the official code.
Unlike pyclarity, this package decodes only the excerpt and leaves no temporary WAV file. If there
is a `.txt` file with the name of a FLAC file, pyclarity rescales the FLAC file; this package
ignores the `.txt` file.
"""

from cmss.audio.programme_loudness import (
    SHORTEST_LOUDNESS_S,
    k_weighting,
    loudness_lufs,
    loudness_of_pieces,
    true_peak,
)
from cmss.audio.reading import (
    AudioHeader,
    Excerpt,
    read_excerpt,
    read_header,
    read_pipe,
    read_sound,
    read_span,
    read_stereo,
    stereo_pieces,
)
from cmss.audio.resampling import resample, resampled, resampled_length
from cmss.audio.writing import FORMATS, FULL_SCALE_16_BIT, sample_format, write_flac, write_sound

__all__ = [
    "FORMATS",
    "FULL_SCALE_16_BIT",
    "SHORTEST_LOUDNESS_S",
    "AudioHeader",
    "Excerpt",
    "k_weighting",
    "loudness_lufs",
    "loudness_of_pieces",
    "read_excerpt",
    "read_header",
    "read_pipe",
    "read_sound",
    "read_span",
    "read_stereo",
    "resample",
    "resampled",
    "resampled_length",
    "sample_format",
    "stereo_pieces",
    "true_peak",
    "write_flac",
    "write_sound",
]
