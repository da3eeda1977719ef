"""Compilation: the one way a loop over arrays becomes machine code.

Owns the decorator. Compiled code computes what the same Python text would: no relaxed arithmetic, no contraction of
multiply and add, integers that wrap at 64 bits as NumPy's do. The first call of a kernel on a machine compiles it for
some seconds; the result is kept on disk beside the module. Refuses everything but arrays and numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])

_njit: Callable[..., Callable[..., object]] = numba.njit  # its annotations leave out the option _nrt


def compiled(kernel: Kernel) -> Kernel:
    """``kernel`` as machine code with the same signature; it may call other compiled functions."""
    return cast(Kernel, numba.njit(cache=True, fastmath=False, error_model="numpy")(kernel))


def allocation_free(kernel: Kernel) -> Kernel:
    """As ``compiled``, for a kernel that makes no arrays and returns none: it counts no references to those it is
    given. Counting costs more than the work itself where small functions hand bundles of dozens of arrays on."""
    return cast(Kernel, _njit(cache=True, fastmath=False, error_model="numpy", _nrt=False)(kernel))


def inlined(kernel: Kernel) -> Kernel:
    """A piece of an ``allocation_free`` kernel in the same module, pasted into its callers: a large bundle is dear to
    hand on. Not across modules, because what is kept on disk is compiled anew only when its own module changes."""
    inlining = _njit(cache=True, fastmath=False, error_model="numpy", _nrt=False, inline="always")
    return cast(Kernel, inlining(kernel))
