"""Where what Numba compiles is kept: beside its module, also where nobody may write any more.

Numba takes a folder only if it can write to it. In a container with a read-only file system, as another user than the one who built the image,
it would leave what was compiled at build time where it lies, and compile for seconds at each start. So where Numba finds no folder, the one
beside the module is read, and never written.

What is found there is the module's own: Numba compares its version, the SHA-256 of the source (no time, no path: layers of an image keep neither
to the nanosecond), the processor's name and features, the signature and the byte code. Images set ``NUMBA_CPU_NAME=generic``, so that it does not matter
on which processor they were built; the kernel takes as long (20 µs a payment, both).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, InTreeCacheLocator

_F = TypeVar("_F", bound=Callable[..., Any])


class _BesideTheModule(InTreeCacheLocator):  # type: ignore[misc]
    """As Numba's own, but that it is enough to read."""

    def ensure_cache_path(self) -> None:
        if not Path(self.get_cache_path()).is_dir():
            raise FileNotFoundError(self.get_cache_path())


class _ReadOnlyImpl(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_BesideTheModule,)


class ReadOnlyCache(FunctionCache):  # type: ignore[misc]
    """What is not found is compiled, and not kept."""

    _impl_class = _ReadOnlyImpl

    def save_overload(self, sig: Any, data: Any) -> None:
        return


def compiled(function: _F) -> _F:
    """The function, compiled at its first call unless it lies on the disk. Exact: no fast mathematics, so each operation rounds as Python's does."""
    try:
        return cast(_F, numba.njit(fastmath=False, cache=True)(function))
    except RuntimeError:
        # There is no folder that it may write to: neither beside the module, nor NUMBA_CACHE_DIR, nor the user's own.
        dispatcher = numba.njit(fastmath=False)(function)
    try:
        dispatcher._cache = ReadOnlyCache(function)
    except RuntimeError:
        # Nothing was compiled at build time either.
        return cast(_F, dispatcher)
    return cast(_F, dispatcher)
