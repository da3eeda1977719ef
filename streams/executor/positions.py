"""The executor's own view of positions, from the topic ``fills``.

Owns what every account holds and roughly at what price, and which trades of a command stand on the topic already.
Refuses balances and margin: the view tells what reduces and who stands on the other side, nothing more. Positions that
expired stay in it; they are traded no more.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.events.fills import FillV1
from streams.translate import to_e8

SEEN_MAX = 200_000
"""Event ids remembered, so that a fill published twice counts once."""
_OWN = re.compile(r"^(?P<command>.+):(?P<number>[0-9.]+):(?:account|counterparty)$")


@dataclass(slots=True)
class Holding:
    """Signed quantity (10^-8) and what was paid for it, as a sum of quantity x price (10^-16), at average cost."""

    quantity_e8: int = 0
    cost_e16: int = 0

    def trade(self, quantity_e8: int, price_e8: int) -> None:
        """Add a signed trade."""
        before, after = self.quantity_e8, self.quantity_e8 + quantity_e8
        if before * quantity_e8 >= 0:
            self.cost_e16 += quantity_e8 * price_e8
        elif before * after > 0:
            self.cost_e16 = self.cost_e16 * after // before
        else:
            self.cost_e16 = after * price_e8
        self.quantity_e8 = after


def command_of(fill: FillV1) -> tuple[str, str] | None:
    """Command id and trade number of a fill that this executor made, on either side; None for anybody else's."""
    matched = _OWN.match(fill.event_id)
    return (matched["command"], matched["number"]) if matched else None


def signed_e8(fill: FillV1) -> int:
    """Quantity bought (positive) or sold (negative), 10^-8."""
    quantity_e8 = to_e8(fill.quantity, "quantity")
    return quantity_e8 if fill.side == "buy" else -quantity_e8


class PositionView:
    """Positions by instrument and account. ``complete``: every fill there ever was is counted; without that no trade
    can be told not to reduce."""

    def __init__(self, complete: bool = True) -> None:
        self.complete = complete
        self._holdings: dict[str, dict[str, Holding]] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._own: dict[str, list[FillV1]] = {}

    def learn(self, fill: FillV1) -> None:
        """Count a fill, once however often it comes."""
        if self.has(fill.event_id):
            return
        self._seen[fill.event_id] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        holding = self._holdings.setdefault(fill.instrument, {}).setdefault(fill.account, Holding())
        holding.trade(signed_e8(fill), to_e8(fill.price, "price"))
        if (own := command_of(fill)) is not None:
            self._own.setdefault(own[0], []).append(fill)

    def has(self, event_id: str) -> bool:
        """Whether a fill of this id was counted."""
        return event_id in self._seen

    def executed(self, command_id: str) -> tuple[FillV1, ...]:
        """The fills of a command that is not ``forgotten``, both sides, as they came."""
        return tuple(self._own.get(command_id, ()))

    def forget(self, command_id: str) -> None:
        """Drop the fills of a command that is answered for good; the positions stay."""
        self._own.pop(command_id, None)

    def position_e8(self, account: str, instrument: str, without: str = "") -> int:
        """Signed quantity held, 10^-8, less what the command ``without`` has traded."""
        holding = self._holdings.get(instrument, {}).get(account)
        held_e8 = holding.quantity_e8 if holding is not None else 0
        own = (fill for fill in self._own.get(without, ()) if (fill.account, fill.instrument) == (account, instrument))
        return held_e8 - sum(map(signed_e8, own))

    def holders(self, instrument: str) -> Mapping[str, Holding]:
        """Everybody who has traded ``instrument``."""
        return self._holdings.get(instrument, {})

    def book(self, account: str, without: str = "") -> dict[str, int]:
        """Signed quantities that ``account`` holds, by instrument id, sorted; see ``position_e8``."""
        quantities = {name: self.position_e8(account, name, without) for name in sorted(self._holdings)}
        return {name: quantity for name, quantity in quantities.items() if quantity}
