"""Replaces missing libraries on a machine that has only PyTorch and NumPy.

The modules of this package import more libraries than a training needs. :func:`install` replaces
only the libraries that are missing. For some libraries, this module has replacements of the
functions that a training calls. The replacements do not check the values of settings and do not
lock files. All other functions of missing libraries raise ImportError when they are called.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

LIBRARIES = (
    "filelock", "huggingface_hub", "julius", "numba", "pydantic", "pyloudnorm", "safetensors",
    "scipy", "soundfile", "soxr", "tqdm",
)  # fmt: skip
"""Libraries that are replaced if they are missing."""


def install() -> list[str]:
    """Replace the libraries that are missing, and return the names of these libraries."""
    missing = [name for name in LIBRARIES if not _is_installed(name)]
    sys.meta_path.insert(0, _Modules(missing))
    for name in missing:
        import_module(name)
        _REPLACED.get(name, lambda: None)()
    return missing


def _is_installed(name: str) -> bool:
    try:
        return name in sys.modules or find_spec(name) is not None
    except (ImportError, ValueError):
        return False


class _Modules:
    """Finds and creates the modules of missing libraries."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = missing

    def find_spec(self, name: str, *_: Any) -> Any:
        inside = name.partition(".")[0] in self.missing
        return ModuleSpec(name, self, is_package=True) if inside else None  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType:
        return _Library(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing, because the stand-in for a missing module has no code to execute."""


class _Library(ModuleType):
    """Replaces a library. The functions of the library raise ImportError when they are called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (_Missing,), {"library": self.__name__})


class _Missing(Exception):
    """Replaces a function or a class of a missing library."""

    library = ""

    def __new__(cls, *_: Any, **__: Any) -> "_Missing":
        if cls.__init__ is not Exception.__init__:  # a class of this package
            return super().__new__(cls)
        raise ImportError(f"{cls.library} is not installed, but {cls.__name__} needs it")

    def __init_subclass__(cls, **_: Any) -> None:
        """Accept keyword arguments, because the base classes of some libraries have them."""


# Replacements of the functions that a training calls.


def _pydantic() -> None:
    class TypeAdapter:
        def __init__(self, type_: Any, **_: Any) -> None:
            self.type = type_

        def __class_getitem__(cls, item: Any) -> type:
            return cls

        def validate_python(self, value: Any) -> Any:
            return value

    module: Any = sys.modules["pydantic"]
    module.TypeAdapter = TypeAdapter
    for name in ("Field", "BeforeValidator", "AfterValidator", "ConfigDict"):
        setattr(module, name, lambda *_, **__: None)
    for name in ("model_validator", "field_validator"):
        setattr(module, name, lambda *_, **__: lambda function: function)


def _filelock() -> None:
    @contextmanager
    def lock_descriptor(*_: Any, **__: Any) -> Iterator[None]:
        yield

    module: Any = sys.modules["filelock"]
    module.lock_descriptor = lock_descriptor


def _numba() -> None:
    module: Any = sys.modules["numba"]
    module.njit = lambda *_, **__: lambda function: function
    module.prange = range
    module.config = object()


def _scipy() -> None:
    module: Any = import_module("scipy.signal")
    module.firwin = firwin


def firwin(taps: int, cutoff: Any, window: str = "hann", pass_zero: bool = False) -> np.ndarray:
    """Design a band-pass or high-pass filter by the window method.

    This function replaces `scipy.signal.firwin`.

    Args:
        taps: odd number of taps.
        cutoff: lower and upper edge of the pass band, relative to the Nyquist frequency. If
            `cutoff` is a single number, the filter is a high-pass filter.
        window, pass_zero: only the default values are supported.
    """
    if window != "hann" or pass_zero or taps % 2 == 0:
        raise ImportError("scipy is not installed, but this filter design needs scipy")
    edges = [*np.atleast_1d(cutoff), 1.0][:2]
    position = np.arange(taps) - (taps - 1) / 2
    low, high = edges
    response = high * np.sinc(high * position) - low * np.sinc(low * position)
    response *= np.hanning(taps)
    # The gain is 1 in the middle of the pass band, or at the highest frequency.
    middle = 1.0 if high == 1.0 else 0.5 * (low + high)
    return response / np.sum(response * np.cos(np.pi * middle * position))


_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def _safetensors() -> None:
    module: Any = sys.modules["safetensors"]

    class SafetensorError(Exception):
        pass

    class safe_open:
        def __init__(self, path: Path, **_: str) -> None:
            self._content = Path(path).read_bytes()
            end = 8 + int.from_bytes(self._content[:8], "little")
            try:
                self._header = json.loads(self._content[8:end])
            except ValueError as error:
                raise SafetensorError(str(error)) from error
            self._metadata = self._header.pop("__metadata__", None)
            self._start = end

        def __enter__(self) -> "safe_open":
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def keys(self) -> list[str]:
            return list(self._header)

        def metadata(self) -> dict[str, str] | None:
            return self._metadata

        def get_tensor(self, key: str) -> torch.Tensor:
            entry = self._header[key]
            first, stop = (self._start + offset for offset in entry["data_offsets"])
            data = bytearray(self._content[first:stop])
            dtype = _DTYPES[entry["dtype"]]
            if not data:
                return torch.empty(entry["shape"], dtype=dtype)
            return torch.frombuffer(data, dtype=dtype).reshape(entry["shape"])

    module.SafetensorError, module.safe_open = SafetensorError, safe_open
    inner: Any = import_module("safetensors.torch")
    inner.save = save_tensors


def save_tensors(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Convert tensors and metadata to the content of a file.

    This function replaces `safetensors.torch.save`.
    """
    names = {dtype: name for name, dtype in _DTYPES.items()}
    # The library safetensors sorts tensors by the size of an element, and then by name.
    order = sorted(tensors, key=lambda key: (-tensors[key].element_size(), key))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    content, place = [], 0
    for key in order:
        tensor = tensors[key].detach().cpu().contiguous()
        data = tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        header[key] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + len(data)],
        }
        content.append(data)
        place += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(content)


_REPLACED = {
    "pydantic": _pydantic,
    "filelock": _filelock,
    "numba": _numba,
    "scipy": _scipy,
    "safetensors": _safetensors,
}
