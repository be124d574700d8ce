"""Compiles functions to machine code with numba, and stores the machine code in a cache on disk.

numba stores the machine code next to the source, in the home folder, or in the folder that the
environment variable NUMBA_CACHE_DIR names. If numba finds no writable folder for the machine code,
for example in a container, each process compiles the functions again. The repeated compilation
takes longer, but does not change the results.
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

    If a function is compiled with `fastmath` and is called by another compiled function, the
    function must also have the option `forceinline=True`. Without `forceinline=True`, there are two
    versions of the machine code: the function compiled alone, and the function compiled together
    with the caller. The results of the two versions differ from each other only in the last digit.
    The version that runs depends on whether the machine code of the caller is loaded from the
    cache.

    Args:
        options: options of :func:`numba.njit`, such as `error_model`.
    """

    def decorate(function: Function) -> Function:
        dispatcher = numba.njit(**options)(function)
        # With NUMBA_DISABLE_JIT, numba returns the function itself.
        if isinstance(dispatcher, Dispatcher):
            _add_cache(dispatcher, function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """Clears a cache that is damaged, and disables a cache that cannot be read or written."""

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
        ):  # Unpickling a damaged file can raise these errors.
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
    """Add a cache to a compiled function, or print once that there is no folder for the cache."""
    config: Any = numba.config
    try:
        Path.home()
    except RuntimeError:  # HOME is not set, and the user is not in the system's list of users.
        # Otherwise numba would create a folder named "~" in the current folder. Older versions of
        # numba lack this setting.
        if not getattr(config, "CACHE_LOCATOR_CLASSES", ""):
            config.CACHE_LOCATOR_CLASSES = "UserProvidedCacheLocator,InTreeCacheLocator"
    try:
        # `numba.njit(cache=True)` sets the same attribute, but its cache raises on a full disk.
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # numba finds no writable folder ("no locator available").
        _print_once("no writable folder to cache compiled code in")


_printed: set[str] = set()


def _print_once(reason: str) -> None:
    """Print the reason for a slow start; after the first call, print nothing.

    Worker processes print nothing.
    """
    # The name shows whether this is a worker process: while a worker process imports modules, its
    # name is set, but its parent process is not known yet.
    if not _printed and current_process().name == "MainProcess":
        _printed.add(reason)
        print(
            f"{reason}: each start takes up to a minute longer; "
            "set NUMBA_CACHE_DIR to a writable folder",
            file=sys.stderr,
        )
