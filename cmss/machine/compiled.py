"""Functions compiled to machine code by numba, cached on disk where there is a place for it.

numba keeps what it has compiled beside the source, in the home folder or where NUMBA_CACHE_DIR
says. A read-only installation used without a writable home, as in a container, has no such place.
There each process compiles anew, which takes longer and gives the same results.
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

_DAMAGED = (EOFError, pickle.UnpicklingError, AttributeError, ImportError, LookupError, ValueError)
"""What reading a damaged cache raises."""


def compiled(**options: Any) -> Callable[[Function], Function]:
    """Compile a function at its first call, or take the machine code of an earlier process.

    Args:
        options: of :func:`numba.njit`, such as `error_model`.
    """

    def decorate(function: Function) -> Function:
        dispatcher = numba.njit(**options)(function)
        if isinstance(dispatcher, Dispatcher):  # not the function itself: NUMBA_DISABLE_JIT
            _add_cache(dispatcher, function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """A cache that is emptied when it is damaged, and ignored when it cannot be read or written."""

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return super().load_overload(*arguments)
        except _DAMAGED:
            self._try(self.flush)
        except OSError as error:
            self._do_without(error)
        return None

    def save_overload(self, *arguments: Any) -> None:
        self._try(super().save_overload, *arguments)

    def _try(self, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except OSError as error:
            self._do_without(error)

    def _do_without(self, error: OSError) -> None:
        self.disable()
        _say_once(f"{self.cache_path}: {error.strerror or error}")


def _add_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    config: Any = numba.config
    if not getattr(config, "CACHE_LOCATOR_CLASSES", "") and not _has_home():
        # numba would make a folder named "~" in the current one. Older versions lack the setting.
        config.CACHE_LOCATOR_CLASSES = "UserProvidedCacheLocator,InTreeCacheLocator"
    try:
        # As numba's own option does, which would let the errors of a full disk through.
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # "no locator available"
        _say_once("no writable folder to cache compiled code in")


def _has_home() -> bool:
    """Whether the user has a home folder: HOME, or an entry in the system's list of users."""
    try:
        Path.home()
    except RuntimeError:
        return False
    return True


_said: set[str] = set()


def _say_once(reason: str) -> None:
    """One line for a program, however many functions and worker processes it has."""
    # A worker has its name, but no parent yet, while it imports what the program imports.
    if not _said and current_process().name == "MainProcess":
        _said.add(reason)
        print(
            f"{reason}: each start takes up to a minute longer; "
            "set NUMBA_CACHE_DIR to a writable folder",
            file=sys.stderr,
        )
