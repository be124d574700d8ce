"""Converts the caller's arrays to waveforms (channels, samples), and converts results back.

An array is accepted if it is a NumPy array or a torch tensor with one of these sample types and
shapes:

| sample type | full scale |
| --- | --- |
| float16, float32, float64, bfloat16 (torch only) | 1 |
| int16 | 32768 |
| int32 | 2147483648 |

| shape | meaning |
| --- | --- |
| `(samples,)` | mono |
| `(samples, 1)`, `(samples, 2)` | mono, stereo; layout of soundfile |
| `(1, samples)`, `(2, samples)` | mono, stereo; layout of torchaudio |

Any other array is refused, because a wrong guess of the layout could remain unnoticed.
"""

import sys
import warnings
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cmss.api.arguments import is_number, shortened
from cmss.errors import InputError
from cmss.quantities import SAMPLE_RATE_HZ

Array = TypeVar("Array")
"""NumPy array or torch tensor; results of the public functions have the type of the argument."""

FULL_SCALE = {"int16": 2.0**15, "int32": 2.0**31}
PRECISION = {
    "float16": np.float32,
    "bfloat16": np.float32,
    "float32": np.float32,
    "float64": np.float64,
    "int16": np.float32,
    "int32": np.float64,
}
"""Sample types of the caller, and the sample type of the waveform. float32 represents all samples
of 16 bits exactly; int32 needs float64."""

LARGEST_FLOAT = 1000.0
"""60 dB above full scale. Music has no such samples, but integers stored as floats do."""

CALLER_RATE_HZ = replace(SAMPLE_RATE_HZ, highest=768000)


@dataclass(frozen=True)
class Waveform:
    """Holds a sound as a waveform, with the type and the layout of the caller's array.

    Args:
        signal: (channels, samples), one or two channels, full scale = 1, float32 or float64.
        array: array of the caller. Results get the type, sample type, layout and device of `array`.
        sample_type: name of the caller's sample type.
        channels_last: whether the caller's layout is (samples, channels).
    """

    signal: NDArray[np.floating]
    array: Any
    sample_type: str
    channels_last: bool

    @property
    def stereo(self) -> NDArray[np.floating]:
        """The waveform in two channels, (2, samples); both channels of a mono sound are equal."""
        return np.broadcast_to(self.signal, (2, self.signal.shape[1]))

    def restore(self, result: NDArray[np.floating], name: str) -> Any:
        """Convert a result to the type, sample type, layout and device of the caller's array.

        Integers beyond full scale are clipped, and a warning states the number of such samples.

        Args:
            result: (channels, samples); the result may have two channels if the caller's array is
                mono. If this mono array has the shape (samples,), the returned array has the shape
                (samples, 2).
            name: name of the result, for the warning.
        """
        if scale := FULL_SCALE.get(self.sample_type):
            integers = np.rint(result * scale)
            clipped = np.count_nonzero((integers < -scale) | (integers >= scale))
            if clipped:
                warnings.warn(
                    f"{name}: {clipped} samples beyond the full scale of {self.sample_type} are "
                    "clipped; floating-point arrays are not clipped",
                    stacklevel=3,
                )
            result = np.clip(integers, -scale, scale - 1)
        if self.array.ndim == 1 and len(result) == 1:
            result = result[0]
        elif self.channels_last:
            result = result.T
        if isinstance(self.array, np.ndarray):
            return np.ascontiguousarray(result, dtype=self.array.dtype)
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(result))
        return tensor.to(self.array.device, self.array.dtype)


def waveform(array: Any, name: str, may_be_silent: bool = False) -> Waveform:
    """Convert an array of the caller to a waveform; the array itself is not changed.

    The sample type and the shape of the array determine the full scale and the layout.

    Args:
        array: the array, see the tables at the head of this module.
        name: name of the argument, for messages.
        may_be_silent: whether a sound of zeros is accepted.

    Raises:
        InputError: the array has another type, sample type or shape, is empty or silent, or has
            samples that are not finite or far beyond full scale.
    """
    # If torch is not imported, the array is no tensor.
    torch: Any = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(array, torch.Tensor)
    if not is_tensor and (not isinstance(array, np.ndarray) or np.ma.isMaskedArray(array)):
        raise InputError(
            f"{name}: expected a NumPy array or a torch tensor, got {type(array).__name__}"
        )
    sample_type = str(array.dtype).removeprefix("torch.") if is_tensor else array.dtype.name
    if sample_type not in PRECISION:
        raise InputError(
            f"{name}: expected samples of type float16, float32, float64, int16 or int32, "
            f"got {sample_type}"
        )
    channels_last = _channels_last(tuple(array.shape), name)
    if is_tensor:
        if array.is_meta or array.layout != torch.strided:
            raise InputError(
                f"{name}: expected a dense tensor that stores its values, "
                f"got the layout {array.layout} on the device {array.device}"
            )
        # NumPy has no negated views, such as the imaginary part of a conjugate.
        plain = array.detach().cpu().resolve_neg()
        values = (plain.float() if sample_type == "bfloat16" else plain).numpy()
    else:
        values = array
    # float16 has no scale: full scale is 1 for all floating-point types.
    signal = np.array(values, PRECISION[sample_type], ndmin=2)
    if channels_last and array.ndim == 2:
        signal = np.ascontiguousarray(signal.T)
    signal /= FULL_SCALE.get(sample_type, 1.0)
    _check_samples(signal, name, may_be_silent)
    return Waveform(signal, array, sample_type, channels_last)


def _channels_last(shape: tuple[int, ...], name: str) -> bool:
    """Return whether a shape is (samples,) or (samples, channels).

    Raises:
        InputError: the shape is not that of a mono or stereo sound, or fits both layouts.
    """
    expected = "expected (samples,), (samples, channels) or (channels, samples)"
    if len(shape) not in (1, 2):
        raise InputError(f"{name}: {expected}, got the shape {shape}")
    if 0 in shape:
        raise InputError(f"{name}: empty, expected sound, got the shape {shape}")
    if len(shape) == 1:
        return True
    first, second = shape
    if max(shape) <= 2:
        raise InputError(
            f"{name}: {expected} with more than 2 samples, got the shape {shape}, "
            "which is ambiguous"
        )
    if min(shape) > 2:
        raise InputError(
            f"{name}: {expected} with 1 or 2 channels, got {min(shape)} channels (shape {shape})"
        )
    return first > second


def _check_samples(signal: NDArray[np.floating], name: str, may_be_silent: bool) -> None:
    lowest, highest = float(signal.min()), float(signal.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        raise InputError(f"{name}: expected finite samples, got NaN or infinity")
    peak = max(-lowest, highest)
    if peak > LARGEST_FLOAT:
        raise InputError(
            f"{name}: expected samples from -1 to 1 (full scale), got {peak:g}; "
            "if these are integers stored as floats, divide them by their full scale"
        )
    if peak == 0 and not may_be_silent:
        raise InputError(f"{name}: expected sound, got silence (all samples are 0)")


def sampling_rate(rate: Any, name: str = "rate") -> int:
    """Check a sampling rate in Hz, and return it as an integer.

    Raises:
        InputError: the rate is not a whole number of Hz, or is below 8 kHz or above 768 kHz.
    """
    if not is_number(rate):
        raise InputError(f"{name}: expected a sampling rate in Hz, got {shortened(rate)}")
    if refusal := CALLER_RATE_HZ.refusal([float(rate)]):
        raise InputError(f"{name}: {refusal}")
    if float(rate) % 1:
        raise InputError(f"{name}: expected a whole number of Hz, got {rate}")
    return int(rate)
