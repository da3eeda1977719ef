"""What the forced flow of others means for one leg: it trades after it, and there may be no room beside it.

Owns netting: opposite forced flows meet first, so that only their difference reaches the market. A leg that joins the
larger side queues behind that difference; a leg on the other side meets it, and pays no more than it would alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

NO_FLOW: Mapping[str, int] = MappingProxyType({})
"""Nobody else trades."""


def ahead_e8(net_e8: int, side: int) -> int:
    """The flow of others, ``net_e8`` signed, that a leg on ``side`` (1 buys, -1 sells) has to queue behind."""
    return max(net_e8 * side, 0)


def room_e8(net_e8: int, side: int, most_e8: int) -> int:
    """How much a leg on ``side`` may trade so that no more than ``most_e8`` of net flow on its side is outstanding."""
    return max(most_e8 - net_e8 * side, 0)
