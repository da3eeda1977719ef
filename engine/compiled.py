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


def compiled(kernel: Kernel) -> Kernel:
    """``kernel`` as machine code with the same signature; it may call other compiled functions."""
    return cast(Kernel, numba.njit(cache=True, fastmath=False, error_model="numpy")(kernel))
