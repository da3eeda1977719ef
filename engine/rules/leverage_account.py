"""An account under leverage margin: cash, positions, and the sums that verdicts are made of.

Owns the account level of ``leverage``: settles funding, applies intended changes, adds up. Refuses to know orders and
liquidation. All amounts are in quote currency and exact.

    net collateral = cash + settled funding + sum of (notional + quote balance),  requirements add up without netting
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.funding import funding_settlement, settled_funding
from engine.rules.leverage import LeverageMarket, PositionMargin, Risk, position_margin
from engine.rules.rounding import MICRO, ZERO, Number, exact


@dataclass(frozen=True, slots=True)
class LeveragePosition:
    """``size`` signed units of a market, or a change of them.

    ``quote_balance`` is quote currency kept with the position. ``funding_index`` is the index of its last settlement;
    None means settled up to now.
    """

    market: str
    size: Fraction
    quote_balance: Fraction = ZERO
    funding_index: Fraction | None = None


@dataclass(frozen=True, slots=True)
class LeverageAccount:
    """An account's risk and what it is made of; ``positions`` keeps the order of first mention."""

    net_collateral: Fraction
    initial_margin: Fraction
    maintenance_margin: Fraction
    cash: Fraction
    funding: Fraction
    positions: Mapping[str, PositionMargin]

    @property
    def risk(self) -> Risk:
        """The three sums, for verdicts and comparisons."""
        return Risk(self.net_collateral, self.initial_margin, self.maintenance_margin)

    @property
    def free_collateral(self) -> Fraction:
        """Net collateral less the initial requirement; negative when it is missed."""
        return self.net_collateral - self.initial_margin


def leverage_account(
    cash: Number,
    positions: Sequence[LeveragePosition],
    markets: Mapping[str, LeverageMarket],
    cash_update: Number = 0,
    updates: Sequence[LeveragePosition] = (),
    step: Number = MICRO,
) -> LeverageAccount:
    """The account after settling funding and applying the updates.

    Positions and updates of one market add up before anything is margined. ``step`` is the money step of the venue,
    zero for none. Raises ``InvalidReference`` for a market that ``markets`` does not have: no position values at zero.
    """
    money = exact(step, "step")
    funding = settled_funding((_funding_of(position, markets) for position in positions), money)
    held = merged_positions([*positions, *updates])
    margins = {name: position_margin(item.size, market_of(name, markets), money) for name, item in held.items()}
    balance = exact(cash, "cash") + exact(cash_update, "cash_update") + funding
    return LeverageAccount(
        net_collateral=sum((margins[name].notional + item.quote_balance for name, item in held.items()), balance),
        initial_margin=sum((margin.initial_margin for margin in margins.values()), ZERO),
        maintenance_margin=sum((margin.maintenance_margin for margin in margins.values()), ZERO),
        cash=balance,
        funding=funding,
        positions=margins,
    )


def merged_positions(positions: Sequence[LeveragePosition]) -> dict[str, LeveragePosition]:
    """One position per market: sizes and quote balances added, settled."""
    merged: dict[str, LeveragePosition] = {}
    for item in positions:
        known = merged.get(item.market, LeveragePosition(item.market, ZERO))
        merged[item.market] = LeveragePosition(
            item.market, known.size + item.size, known.quote_balance + item.quote_balance
        )
    return merged


def market_of(name: str, markets: Mapping[str, LeverageMarket]) -> LeverageMarket:
    """The market's parameters and price, or ``InvalidReference`` naming it."""
    market = markets.get(name)
    if market is None:
        raise InvalidReference("market", f"no parameters and price for {name!r}")
    return market


def _funding_of(position: LeveragePosition, markets: Mapping[str, LeverageMarket]) -> Fraction:
    market = market_of(position.market, markets)
    if position.funding_index is None:
        return ZERO
    return funding_settlement(position.size, market.funding_index, position.funding_index)
