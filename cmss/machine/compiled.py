"""Functions compiled to machine code by numba, with a cache on disk if a folder is writable.

numba stores the machine code beside the source, in the home folder, or in the folder that
NUMBA_CACHE_DIR names. A read-only installation without a writable home folder, for example in a
container, has none of these. There each process compiles again: this takes longer, but the results
are the same.
"""

import pickle
import sys
from collections.abc import Callable
from multiprocessing import current_process
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function at its first call, or load the machine code from the cache.

    Args:
        options: of :func:`numba.njit`, such as `error_model`.
    """

    def decorate(function: Function) -> Function:
        dispatcher = numba.njit(**options)(function)
        # With NUMBA_DISABLE_JIT, numba returns the function itself.
        if isinstance(dispatcher, Dispatcher):
            _add_cache(dispatcher, function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """A cache that is cleared if it is damaged, and disabled if it cannot be read or written."""

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except (
            EOFError,
            pickle.UnpicklingError,
            AttributeError,
            ImportError,
            LookupError,
            ValueError,
        ):  # the errors that unpickling a damaged file can raise
            self._disable_on_error(self.flush)
        except OSError as error:
            self._disable(error)
        return None

    def save_overload(self, *arguments: Any) -> None:
        self._disable_on_error(super().save_overload, *arguments)

    def _disable_on_error(self, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except OSError as error:
            self._disable(error)

    def _disable(self, error: OSError) -> None:
        self.disable()
        _print_once(f"{self.cache_path}: {error.strerror or error}")


def _add_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    """Give a compiled function a cache, or report once that there is no folder for it."""
    config: Any = numba.config
    try:
        Path.home()
    except RuntimeError:  # neither HOME nor an entry in the system's list of users
        # Otherwise numba would create a folder named "~" in the current folder. Older versions of
        # numba lack this setting.
        if not getattr(config, "CACHE_LOCATOR_CLASSES", ""):
            config.CACHE_LOCATOR_CLASSES = "UserProvidedCacheLocator,InTreeCacheLocator"
    try:
        # `numba.njit(cache=True)` sets the same attribute, but its cache raises on a full disk.
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # "no locator available"
        _print_once("no writable folder to cache compiled code in")


_printed: set[str] = set()


def _print_once(reason: str) -> None:
    """Print the reason for a slow start, once for all functions and worker processes."""
    # While a worker process imports modules, its parent process is not known, but its name is set.
    if not _printed and current_process().name == "MainProcess":
        _printed.add(reason)
        print(
            f"{reason}: each start takes up to a minute longer; "
            "set NUMBA_CACHE_DIR to a writable folder",
            file=sys.stderr,
        )
