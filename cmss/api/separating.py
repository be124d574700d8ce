"""Separates mixtures into stems."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cmss.api.arguments import shortened
from cmss.api.level import SAMPLE_RATE_HZ, calibration
from cmss.api.players import players
from cmss.api.separator_list import list_separators
from cmss.api.waveforms import Array, Waveform, sampling_rate, waveform
from cmss.audio import resample
from cmss.errors import InputError, did_you_mean
from cmss.machine.device import device_named, devices
from cmss.run.configuration import default_separator
from cmss.scenes import Source
from cmss.separators import SEPARATORS, Separator, Stems, build_separator
from cmss.separators.blocks import InBlocks
from cmss.separators.progress import Progress

FAST = "multichannel_unet"
"""The best single network of docs/results.md."""


def separate(
    mixture: Array,
    rate: int,
    instruments: Iterable[str],
    *,
    quality: Literal["best", "fast"] | None = None,
    separator: str | Mapping[str, Any] | None = None,
    device: str | None = None,
    progress: Callable[[float], object] | None = None,
) -> dict[str, Array]:
    """Separate a mixture into a stem for each player.

    The stems sum to the mixture. With N stems, the sum differs from the mixture by at most N
    rounding steps of the sample type. For integers, a rounding step is 1. For floating-point types,
    a rounding step is the largest sample of all stems times 2^-7 (bfloat16), 2^-10 (float16), 2^-23
    (float32) or 2^-52 (float64). Integer stems beyond full scale are clipped with a warning; the
    clipped part is missing from the sum.

    The stems also contain noise and all instruments that are not named, because the stems sum to
    the mixture. The separator assigns the sound at each time and frequency to the named players.
    The difference between the mixture and the sum of the estimates is added to the stems in
    proportion to their energies. Therefore, name all instruments that play. If only one player is
    named, the stem is the mixture.

    Args:
        mixture: NumPy array or torch tensor, (samples,), (samples, channels) or
            (channels, samples), mono or stereo, at least 0.4 s long; float16, float32 or float64
            with full scale = 1, int16 or int32.
        rate: sampling rate in Hz, at least 8000. Mixtures are separated at 44100 Hz.
        instruments: the instrument of each player, in upper or lower case: Bassoon, Cello,
            Clarinet, Flute, Oboe, Sax, Viola, Violin. An instrument that is named twice has two
            players.
        quality: "best" (default) or "fast". "best" selects the default ensemble with its steps, and
            "fast" selects the best single network. On music that is unseen in training, "best"
            closes 32 % of the gap between the mixture and the true stems (SDR 5.6 dB), and "fast"
            closes 21 % (SDR 3.8 dB). On two cores with AVX-512 BF16, one minute of music takes less
            than 26 s with "best" and about 17 s with "fast".
        separator: name of a separator from `list_separators`; or a dict with the settings of a
            separator, such as `{"name": "convtasnet", "weights_from": "best.safetensors"}`. Give
            either `separator` or `quality`, not both.
        device: name of a device such as "cpu" or "cuda". If `device` is None, the GPU is used if
            the machine has one, and otherwise the CPU. Only networks use the device.
        progress: function that is called with the completed fraction of the work, from 0 to 1.
            `progress` is called at the start, after each member of an ensemble, and after each 30 s
            of music. To cancel the separation, raise an exception in `progress`; `separate` raises
            the same exception. The value that `progress` returns is ignored.

    Returns:
        Dict from the name of the player to the stem, in the order of `instruments`. Stems have the
            shape, type, sample type and device of the mixture. A player has the name of the
            instrument (`Cello`); two players of the same instrument are `Violin_1` and `Violin_2`.

    Raises:
        InputError: an argument is not as described, or weights are missing.
        FloatingPointError: an estimate is not finite.

    Examples:
        >>> import cmss
        >>> import numpy as np
        >>> rate = 44100
        >>> time = np.arange(rate) / rate
        >>> mixture = 0.1 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 110 * time)
        >>> stems = cmss.separate(mixture, rate, ["Violin", "Cello"], quality="fast")
        >>> {name: stem.shape for name, stem in stems.items()}
        {'Violin': (44100,), 'Cello': (44100,)}
        >>> bool(np.allclose(stems["Violin"] + stems["Cello"], mixture))
        True
    """
    rate_hz = sampling_rate(rate)
    sound = waveform(mixture, "mixture")
    sources = players(instruments)
    built = _built(quality, separator, _checked_device(device))
    if progress is not None and not callable(progress):
        raise InputError(
            f"progress: expected a function that takes the completed fraction, "
            f"got {shortened(progress)}"
        )
    stems = _estimates(built, sound, rate_hz, sources, progress)
    if not stems:
        raise InputError(f"separator: {shortened(separator)} returns no stems")
    complete = _with_remainder(sound.signal, stems)
    return {name: sound.restore(stem, f"stem {name}") for name, stem in complete.items()}


def _estimates(
    separator: Separator,
    sound: Waveform,
    rate_hz: int,
    sources: Mapping[str, Source],
    progress: Callable[[float], object] | None,
) -> Stems:
    """Separate the mixture at 44.1 kHz and at the level of the challenge's mixtures.

    Returns:
        Stems by name, (channels, samples), at the rate and the level of the mixture.
    """
    mixture = resample(sound.stereo.astype(np.float32), rate_hz, SAMPLE_RATE_HZ)
    gain = np.float32(calibration(mixture, "mixture"))
    separator.prepare(sources.values())
    counted = Progress(progress, mixture.shape[-1])
    blocks = InBlocks(counted.watch(separator), counted.block_done)
    stems = {}
    for name, stem in blocks.separate(gain * mixture, sources).items():
        if not np.isfinite(stem).all():
            raise FloatingPointError(f"the estimate of {name} is not finite")
        # Both channels of a mono mixture are equal, and the stem is the mean of its two channels.
        channels = stem if len(sound.signal) == 2 else stem.mean(0, keepdims=True)
        back = resample(channels / gain, SAMPLE_RATE_HZ, rate_hz)
        stems[name] = _of_length(back, sound.signal.shape[1])
    return stems


def _built(
    quality: str | None, separator: str | Mapping[str, Any] | None, device: str | None
) -> Separator:
    """Build the separator for the arguments of `separate`."""
    if quality is not None and not (isinstance(quality, str) and quality in ("best", "fast")):
        raise InputError(
            f"quality: expected 'best' or 'fast', got {shortened(quality)}"
            + did_you_mean(quality, ("best", "fast"))
        )
    if separator is None:
        settings = {"name": FAST} if quality == "fast" else default_separator()
    elif quality is not None:
        raise InputError(
            f"separator: expected either quality or separator, got quality={quality!r} and "
            f"separator={shortened(separator)}"
        )
    elif isinstance(separator, Mapping):
        settings = dict(separator)
    else:
        is_default = isinstance(separator, str) and separator == "ensemble"
        settings = default_separator() if is_default else {"name": separator}
    known = [entry.name for entry in list_separators()]
    name = settings.get("name")
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"separator: expected one of {', '.join(known)}, got {shortened(name)}"
            + did_you_mean(name, known)
        )
    cls = SEPARATORS.get(name)
    # Separators without networks have no device.
    if device is not None and (cls is None or "device" in {item.name for item in fields(cls)}):
        settings["device"] = device
    return build_separator(settings, SAMPLE_RATE_HZ)


def _checked_device(device: Any) -> str | None:
    """Return the name of a device, or None.

    Raises:
        InputError: the device does not exist or does not work.
    """
    if device is None:
        return None
    name = str(device)  # also of a torch.device
    if name not in devices():
        raise InputError(
            f"device: expected None or one of {', '.join(devices())}, got {shortened(device)}"
            + did_you_mean(name, devices())
        )
    try:
        device_named(name)
    except ValueError as error:
        raise InputError(f"device: {name!r} {error}") from error
    return name


def _of_length(signal: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Cut a signal (channels, n) to a number of samples, or append zeros."""
    cut = signal[:, :samples]
    return np.pad(cut, ((0, 0), (0, samples - cut.shape[1])))


def _with_remainder(
    mixture: NDArray[np.floating], stems: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.floating]]:
    """Add the remainder of the mixture to the stems, in proportion to their energies.

    The remainder is the mixture minus the sum of the stems. The remainder consists of sound that
    the masks of a network assign to no instrument, and of frequencies above 22.05 kHz, which
    resampling removes. A silent stem stays silent, unless all stems are silent.

    Args:
        mixture: (channels, samples).
        stems: dict from the name to the stem, (channels, samples).

    Returns:
        Stems with the sample type of the mixture.
    """
    remainder = mixture - sum(stem.astype(mixture.dtype) for stem in stems.values())
    energies = [float(np.sum(np.square(stem, dtype=np.float64))) for stem in stems.values()]
    if not any(energies):
        energies = [1.0] * len(energies)
    total = sum(energies)
    return {
        name: stem + mixture.dtype.type(energy / total) * remainder
        for (name, stem), energy in zip(stems.items(), energies, strict=True)
    }
