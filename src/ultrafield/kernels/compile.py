"""Compilation of kernels for the CPU, kept on disk where there is a place for it.

numba refuses to define a function whose cache has no writable place, and fails at the first call if the cache is
damaged or its disk is full. A kernel must run all the same: it is then compiled anew in every process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Set
from functools import cache
from types import ModuleType
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.sigutils import normalize_signature


def compiled(
    *, parallel: bool = False, fastmath: bool | Set[str] = False, inline: str = "never"
) -> Callable[[Callable[..., Any]], Any]:
    """Decorator that compiles a function without the interpreter lock, when it is first called.

    Args:
        parallel: Whether loops over `prange` run on several threads.
        fastmath: Rules of floating-point arithmetic that may be broken, as numba names them.
        inline: "always" for a helper that becomes part of its callers.

    Returns:
        numba's dispatcher itself; a call costs nothing more.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, parallel=parallel, fastmath=fastmath, inline=inline)(function)
        if hasattr(dispatcher, "enable_caching"):  # not under NUMBA_DISABLE_JIT
            try:
                dispatcher._cache = _Cache(function)
            except (RuntimeError, OSError) as failure:  # numba found no writable place
                _say_uncached(str(failure))
        return dispatcher

    return decorate


class _Cache(FunctionCache):  # type: ignore[misc]
    """numba's cache of one function, which replaces what is damaged and gives up where it cannot write."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function from disk, None if it is not there or cannot be used."""
        try:
            result = super().load_overload(sig, target_context)
        except Exception:  # unpickling a damaged file may raise anything
            return None
        if result is None or result.signature.args != normalize_signature(sig)[0]:  # two processes wrote at once
            return None
        return result

    def signatures(self, target_context: Any) -> list[Any]:
        """Types of the arguments of all functions that are on disk for this machine and source."""
        try:
            keys = list(self._cache_file._load_index())
            codegen = target_context.codegen()
            return [key[0] for key in keys if key == self._index_key(key[0], codegen)]
        except Exception:  # the index is damaged; the kernel is compiled when it is called
            return []

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled function; failing that, in an emptied cache; failing that, not at all."""
        try:
            try:
                super().save_overload(sig, data)
            except OSError:
                raise
            except Exception:  # the index is damaged
                self.flush()
                super().save_overload(sig, data)
        except Exception as failure:
            self.disable()
            _say_uncached(f"{self.cache_path}: {failure}")


def load_stored(module: ModuleType) -> int:
    """Load what earlier processes have compiled of a module's kernels, so that their first calls need not.

    Returns:
        How many compiled functions were loaded.
    """
    count = 0
    for kernel in vars(module).values():
        stored = getattr(kernel, "_cache", None)
        if isinstance(stored, _Cache) and kernel.py_func.__module__ == module.__name__:
            for signature in stored.signatures(kernel.targetctx):
                kernel.compile(signature)
                count += 1
    return count


@cache
def _say() -> Callable[[str], None]:
    """A function that prints the first text that it is given, and no other."""
    texts: list[str] = []

    def say(text: str) -> None:
        if not texts and sys.stderr is not None:
            print(text, file=sys.stderr)
        texts.append(text)

    return say


def _say_uncached(reason: str) -> None:
    """Say once in a process that kernels are not kept, and what helps."""
    _say()(
        f"ultrafield: compiled kernels cannot be kept ({reason}), so each process compiles them again; "
        "NUMBA_CACHE_DIR may name a writable folder for them"
    )
