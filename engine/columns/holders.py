"""Holders: which accounts hold any of a set of instruments or assets.

Owns that scan over the columns. It looks at every account, so it is for what is rare: a settlement, a listing, the
first mark of a feed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.columns.arrays import Int32s, Int64s
from engine.compiled import compiled
from engine.portfolio import HoldingColumns


def holders(
    numbers: Int32s,
    holdings: HoldingColumns,
    instrument_I: npt.NDArray[np.bool_],
    asset_C: npt.NDArray[np.bool_],
) -> Int32s:
    """Those of the accounts ``numbers`` that have a position in a marked instrument or a balance of a marked asset.

    Instruments and assets with numbers beyond the masks count as not marked.
    """
    found = np.zeros(numbers.size, dtype=np.bool_)
    held = holdings
    _mark(numbers, held.position_start_A, held.position_count_A, held.instrument_P, instrument_I, found)
    _mark(numbers, held.balance_start_A, held.balance_count_A, held.asset_C, asset_C, found)
    return numbers[found]


@compiled
def _mark(
    numbers: Int32s,
    start_A: Int64s,
    count_A: Int32s,
    thing_E: Int32s,
    wanted: npt.NDArray[np.bool_],
    found: npt.NDArray[np.bool_],
) -> None:
    for at in range(numbers.size):
        account = numbers[at]
        for entry in range(start_A[account], start_A[account] + count_A[account]):
            thing = thing_E[entry]
            if thing < wanted.size and wanted[thing]:
                found[at] = True
                break
