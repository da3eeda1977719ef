"""A weighted account: deposits and debts in many assets, perpetuals, and the two sums they come to.

Owns the account level of ``weighted_holdings``: collateral, requirement, both with the liquidation buffer, isolated
positions apart, and the unweighted net value. Refuses to know orders beyond their size, and liquidation.

    collateral  = weighted deposits + weighted profits and losses;  requirement = weighted debts + perpetual margins
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.rounding import ONE, ZERO, floor_to, truncate_to
from engine.rules.weighted_holdings import (
    PerpHolding,
    PriceRange,
    SpotHolding,
    WeightedItem,
    WeightedTerms,
    perp_item,
    spot_item,
    unrealized_pnl,
)
from engine.rules.weights import MONEY_STEP


@dataclass(frozen=True, slots=True)
class WeightedAccount:
    """Collateral and requirement of the holdings that share them; ``isolated`` holds the others, each on its own.

    The figures ``*_with_buffer`` are what a liquidation must restore: losses and liabilities enlarged by the buffer.
    """

    total_collateral: Fraction
    margin_requirement: Fraction
    total_collateral_with_buffer: Fraction
    margin_requirement_with_buffer: Fraction
    items: tuple[WeightedItem, ...]
    isolated: Mapping[str, WeightedAccount]

    @property
    def free_collateral(self) -> Fraction:
        """Collateral beyond the requirement, never below zero."""
        return max(self.total_collateral - self.margin_requirement, ZERO)

    @property
    def shortage(self) -> Fraction:
        """What is missing to the requirement with buffer, never below zero."""
        return max(self.margin_requirement_with_buffer - self.total_collateral_with_buffer, ZERO)

    @property
    def meets_requirement(self) -> bool:
        """Whether this account and every isolated position has its requirement."""
        own = self.total_collateral >= self.margin_requirement
        return own and all(part.meets_requirement for part in self.isolated.values())


def weighted_account(
    spot: Sequence[SpotHolding], perps: Sequence[PerpHolding], terms: WeightedTerms | None = None
) -> WeightedAccount:
    """The account under ``terms``.

    Without terms: initial margin, not strict, and the first holding that is not risky gives the price of the
    settlement currency (1 when there is none); see ``terms_for``.
    """
    chosen = terms if terms is not None else terms_for(spot)
    _unique([holding.asset for holding in spot], "spot")
    _unique([holding.market for holding in perps], "perps")
    shared = [spot_item(holding, chosen) for holding in spot]
    shared += [perp_item(holding, chosen) for holding in perps if holding.isolated_collateral is None]
    pnl_names = {holding.market for holding in perps}
    isolated = {
        holding.market: _isolated(holding, holding.isolated_collateral, chosen)
        for holding in perps
        if holding.isolated_collateral is not None
    }
    return _sum(tuple(shared), chosen, pnl_names, isolated)


def terms_for(spot: Sequence[SpotHolding], terms: WeightedTerms | None = None) -> WeightedTerms:
    """``terms`` with the settlement currency priced by the first holding that is not risky, if there is one."""
    base = terms if terms is not None else WeightedTerms()
    for holding in spot:
        if not holding.risky:
            return replace(base, quote=PriceRange(holding.price, holding.twap))
    return base


def net_usd_value(spot: Sequence[SpotHolding], perps: Sequence[PerpHolding], quote_price: Fraction = ONE) -> Fraction:
    """Unweighted value at oracle prices: balances plus unrealized profits and losses and isolated collateral."""
    total = sum((floor_to(holding.amount * holding.price, MONEY_STEP) for holding in spot), ZERO)
    for holding in perps:
        total += truncate_to(unrealized_pnl(holding) * quote_price, MONEY_STEP)
        total += floor_to((holding.isolated_collateral or ZERO) * quote_price, MONEY_STEP)
    return total


def _isolated(holding: PerpHolding, deposit: Fraction, terms: WeightedTerms) -> WeightedAccount:
    quote = terms.quote.low() if terms.strict else terms.quote.price
    base = _sum((perp_item(holding, terms),), terms, {holding.market}, {})
    worth = floor_to(deposit * quote, MONEY_STEP)
    return replace(
        base,
        total_collateral=base.total_collateral + worth,
        total_collateral_with_buffer=base.total_collateral_with_buffer + worth,
    )


def _sum(
    items: tuple[WeightedItem, ...],
    terms: WeightedTerms,
    pnl_names: set[str],
    isolated: Mapping[str, WeightedAccount],
) -> WeightedAccount:
    collateral = sum((item.collateral for item in items), ZERO)
    required = sum((item.margin_requirement for item in items), ZERO)
    losses = (min(item.collateral, ZERO) for item in items if item.name in pnl_names)
    worse = sum((truncate_to(loss * terms.buffer, MONEY_STEP) for loss in losses), ZERO)
    more = sum((floor_to(item.liability * terms.buffer, MONEY_STEP) for item in items), ZERO)
    return WeightedAccount(collateral, required, collateral + worse, required + more, items, isolated)


def _unique(names: Sequence[str], field: str) -> None:
    if len(set(names)) != len(names):
        raise InvalidReference(field, "an asset or market appears twice")
