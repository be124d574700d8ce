"""Functions compiled to machine code by numba, cached on disk where there is a place for it.

numba keeps what it has compiled beside the source, in the home folder or where NUMBA_CACHE_DIR
says. A read-only installation used without a writable home, as in a container, has no such place.
There each process compiles anew, which takes longer and gives the same results.
"""

import pickle
import sys
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

Function = TypeVar("Function", bound=Callable[..., Any])

_UNUSABLE = (OSError, EOFError, pickle.UnpicklingError)
"""What a full or damaged cache raises."""


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
    """A cache that is done without as soon as it cannot be read or written."""

    def load_overload(self, *arguments: Any) -> Any:
        if not self._enabled:
            return None
        try:
            return super().load_overload(*arguments)
        except _UNUSABLE as error:
            self._do_without(error)
            return None

    def save_overload(self, *arguments: Any) -> None:
        if not self._enabled:
            return
        try:
            super().save_overload(*arguments)
        except _UNUSABLE as error:
            self._do_without(error)

    def _do_without(self, error: Exception) -> None:
        self.disable()
        _say_once(f"{self.cache_path}: {getattr(error, 'strerror', None) or error}")


def _add_cache(dispatcher: Any, function: Callable[..., Any]) -> None:
    config: Any = numba.config
    if not getattr(config, "CACHE_LOCATOR_CLASSES", "") and not _has_home():
        # numba would make a folder named "~" in the current one. Older versions lack the setting.
        config.CACHE_LOCATOR_CLASSES = "UserProvidedCacheLocator,InTreeCacheLocator"
    try:
        # As `cache=True` does, which would let the errors of a full disk through.
        dispatcher._cache = _Cache(function)
    except RuntimeError:  # "no locator available"
        _say_once("no folder to keep compiled code in can be written")


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
    if not _said and parent_process() is None:
        _said.add(reason)
        print(
            f"{reason}: each start takes up to a minute longer; "
            "set NUMBA_CACHE_DIR to a folder that can be written",
            file=sys.stderr,
        )
