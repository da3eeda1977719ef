"""The garbage collector, told what will not become garbage.

A full collection looks at every container of the process: with Faust, NumPy, SciPy and Numba loaded that is 160 ms of
CPU in which neither thread does anything, and it came every few seconds of load. What exists when a worker has its
partitions (modules, classes, compiled functions, books) stays, so it is moved out of the collector's sight. Records
come by the thousand and live for milliseconds, so the young generation is made large enough not to be searched within
a batch. Owns these two decisions.
"""

from __future__ import annotations

import gc

YOUNG_OBJECTS = 20_000


def settle_heap() -> None:
    """Collect once and exempt what is left from further collections. Call when partitions were taken over; may be
    called again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)
