"""Closing: what it does to a portfolio to close part of a position at the mark, and what it costs.

Owns trial portfolios and their costs. Refuses to choose among them (``plan``). A trial goes through the same trade
arithmetic as a fill, so that the planner's account after its commands is the account that the fills will make.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.books.account import AccountBook, Position
from engine.books.funding import funding_index
from engine.books.ledger import Flow
from engine.books.positions import add_trade, trade, trade_value
from engine.commands import CommandKind
from engine.fleet.flow import NO_FLOW, ahead_e8
from engine.liquidation.hedging import phantoms
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.pricing.black76 import black76
from engine.pricing.valuation import contract_table, mark_of
from engine.reference.instruments import Instrument
from engine.reference.parameters import RiskParameters
from engine.risk.depth import Depth, cost_to_close
from engine.units import E8, INT64_MAX, PPM, div_down, div_up


@dataclass(frozen=True, slots=True)
class ClosingEffect:
    """What closing one quantity moves: cash in the settlement asset, the position left, the cost in numeraire."""

    asset: str
    cash_e8: int
    left: PortfolioPosition | None
    cost: float


def can_close(book: AccountBook, market: Market) -> bool:
    """Whether any position of ``book`` can be traded."""
    return any(_is_open_for_trade(name, market) for name in book.positions)


def may_close(book: AccountBook, market: Market) -> bool:
    """Whether nobody has stopped that some position of ``book`` is traded."""
    return any(_is_open_for_trade(name, market) and _is_permitted(book, name, market) for name in book.positions)


def is_partly_held(book: AccountBook, market: Market) -> bool:
    """Whether somebody has stopped that some position of ``book`` is traded, which could be traded otherwise."""
    return any(_is_open_for_trade(name, market) and not _is_permitted(book, name, market) for name in book.positions)


class Closing:
    """The ways to close one account's book under one market, beside the forced ``flow`` of others (signed contracts in
    10^-8 by instrument). ``closable`` are positions; ``hedges`` phantoms (``engine.liquidation.hedging``), which are
    closed in the same way: their sizes, sides, limits and costs are asked for by the same methods."""

    def __init__(
        self, book: AccountBook, market: Market, parameters: RiskParameters, flow: Mapping[str, int] = NO_FLOW
    ) -> None:
        self._book = book
        self._flow = flow
        self._market = market
        self._parameters = parameters
        self._effects: dict[tuple[str, int], ClosingEffect] = {}
        self._held = {
            name: PortfolioPosition(position.quantity_e8, position.cost_e8, position.funding_index_e12)
            for name, position in book.positions.items()
        }
        self.hedges = phantoms(book, market, parameters)
        self._held |= {name: PortfolioPosition(quantity_e8) for name, quantity_e8 in self.hedges.items()}
        self.closable = tuple(
            name
            for name in sorted(book.positions)
            if _is_open_for_trade(name, market) and _is_permitted(book, name, market)
        )
        self.mark_prices_e8 = _mark_prices((*self.closable, *self.hedges), market)

    def size_e8(self, instrument: str) -> int:
        """Unsigned quantity of the position."""
        return abs(self._held[instrument].quantity_e8)

    def held(self, instrument: str) -> PortfolioPosition:
        """The position."""
        return self._held[instrument]

    def lot_e8(self, instrument: str) -> int:
        """The smallest quantity that can be traded."""
        return self._market.instruments[instrument].lot_e8

    def net_flow_e8(self, instrument: str) -> int:
        """What others are to trade, signed so that the side on which the position is closed is positive."""
        net_e8 = self._flow.get(instrument, 0)
        return -net_e8 if self._held[instrument].quantity_e8 > 0 else net_e8

    def ahead(self, instrument: str) -> float:
        """Contracts that others trade before the position can be closed; none where nobody knows the depth."""
        return self._ahead_e8(instrument) / E8 if self.daily_volume(instrument) is not None else 0.0

    def daily_volume(self, instrument: str) -> float | None:
        """What is traded of the underlying in a day, numeraire; None where nobody knows."""
        terms = self._market.instruments[instrument]
        volume_e8 = self._parameters.underlyings[terms.underlying].daily_volume_e8
        return None if volume_e8 is None else volume_e8 / E8

    def cost(self, closes: Mapping[str, int]) -> float:
        """Cost of closing the unsigned quantities ``closes``, numeraire."""
        return sum((self._effect(name, quantity).cost for name, quantity in sorted(closes.items())), 0.0)

    def after(self, closes: Mapping[str, int]) -> Portfolio:
        """The portfolio after closing the unsigned quantities ``closes`` at the marks and paying for it."""
        balances = dict(self._book.balances)
        positions = {name: position for name, position in self._held.items() if name not in self.hedges}
        for name, quantity_e8 in closes.items():
            effect = self._effect(name, quantity_e8)
            cash_e8 = balances.get(effect.asset, 0) + effect.cash_e8
            # A fill beyond the range of a row would be rejected; the trial is valued at the limit instead.
            balances[effect.asset] = max(-INT64_MAX, min(INT64_MAX, cash_e8))
            if effect.left is None:
                positions.pop(name, None)
            else:
                positions[name] = effect.left
        return Portfolio(self._book.account, balances, positions)

    def limit_price(self, instrument: str) -> int:
        """Worst price to accept: the mark less (selling) or plus (buying) the band, on a tick inside the band.

        Where the band holds no tick on the far side of the mark, the nearest tick there is taken: a command that
        could not trade at the mark would close nothing.
        """
        terms, mark_e8 = self._market.instruments[instrument], self.mark_prices_e8[instrument]
        band, tick = self._parameters.limit_price_band_ppm, terms.tick_e8
        if self._held[instrument].quantity_e8 > 0:
            inside = div_up(mark_e8 * (PPM - band), PPM * tick)
            return max(min(inside, div_down(mark_e8, tick)), 1) * tick
        inside = div_down(mark_e8 * (PPM + band), PPM * tick)
        return max(inside, div_up(mark_e8, tick), 1) * tick

    def signed(self, instrument: str, quantity_e8: int) -> int:
        """The trade that closes ``quantity_e8``: negative sells a long, positive buys back a short."""
        return -quantity_e8 if self._held[instrument].quantity_e8 > 0 else quantity_e8

    def _effect(self, name: str, quantity_e8: int) -> ClosingEffect:
        effect = self._effects.get((name, quantity_e8))
        if effect is None:
            effect = self._effects[name, quantity_e8] = self._close(name, quantity_e8)
        return effect

    def _close(self, name: str, quantity_e8: int) -> ClosingEffect:
        terms, held = self._market.instruments[name], self._book.positions.get(name)
        assert 0 < quantity_e8 <= self.size_e8(name)
        index = funding_index(terms, self._market.marks)
        made = trade(terms, held, self.signed(name, quantity_e8), self.mark_prices_e8[name], index)
        flow = Flow()
        add_trade(flow, terms, held, made, index)
        asset_price = self._asset_price(terms)
        fee_e8 = self._fee(terms, quantity_e8, self._ahead_e8(name), asset_price)
        return ClosingEffect(
            asset=terms.settlement_asset,
            cash_e8=flow.balance_e8 - fee_e8,
            left=_portfolio_position(made.position),
            cost=fee_e8 / E8 * asset_price,
        )

    def notional_each(self, instrument: str) -> float:
        """Notional of one contract (of an option: of its underlying), numeraire."""
        terms, size_e8 = self._market.instruments[instrument], self.size_e8(instrument)
        return self._notional_e8(terms, size_e8) / size_e8 * self._asset_price(terms)

    def cost_rates(self, instrument: str) -> tuple[float, float]:
        """Spread and fees per contract, and impact per contract^1.5, both numeraire: the cost of closing x contracts
        behind a flow of f is linear x + impact ((f + x)^1.5 - f^1.5), but for rounding up to whole units of money."""
        parameters = self._parameters.underlyings[self._market.instruments[instrument].underlying]
        each = self.notional_each(instrument)
        linear = (parameters.close_cost_ppm + self._parameters.policy.liquidation_fee_ppm) / PPM * each
        if parameters.daily_volume_e8 is None:
            return linear, 0.0
        return linear, parameters.impact_ppm / PPM * each * math.sqrt(each / (parameters.daily_volume_e8 / E8))

    def _ahead_e8(self, instrument: str) -> int:
        return ahead_e8(self.net_flow_e8(instrument), 1)

    def _fee(self, terms: Instrument, quantity_e8: int, ahead_e8: int, asset_price: float) -> int:
        """Cost of closing the notional (of an option: of the underlying), in the settlement asset, rounded up: spread
        and fees exactly, and the impact of the depth model that margin uses too, beyond that of the flow ahead."""
        parameters = self._parameters.underlyings[terms.underlying]
        notional_e8 = self._notional_e8(terms, quantity_e8)
        fee_e8 = div_up((parameters.close_cost_ppm + self._parameters.policy.liquidation_fee_ppm) * notional_e8, PPM)
        if parameters.daily_volume_e8 is None:
            return fee_e8
        depth = Depth(0.0, 1.0, parameters.daily_volume_e8 / E8, parameters.impact_ppm / PPM)
        both_e8 = (self._notional_e8(terms, ahead_e8 + quantity_e8), self._notional_e8(terms, ahead_e8))
        impact = cost_to_close(np.array([each / E8 * asset_price for each in both_e8]), depth)
        return fee_e8 + math.ceil(float(impact[0] - impact[1]) / asset_price * E8)

    def _notional_e8(self, terms: Instrument, quantity_e8: int) -> int:
        return abs(trade_value(terms, quantity_e8, self._market.marks[terms.mark_feed].price_e8))

    def _asset_price(self, terms: Instrument) -> float:
        price = mark_of(self._market, self._market.assets[terms.settlement_asset].mark_feed)
        assert price is not None, "only priced accounts are closed"
        return price


def _is_open_for_trade(name: str, market: Market) -> bool:
    """Expired instruments trade no more; their positions await settlement."""
    expiry_us = market.instruments[name].expiry_us
    return expiry_us is None or market.time_us < expiry_us


def _is_permitted(book: AccountBook, name: str, market: Market) -> bool:
    return market.controls.permits(CommandKind.CLOSE, book.account, name)


def _portfolio_position(position: Position | None) -> PortfolioPosition | None:
    if position is None:
        return None
    return PortfolioPosition(position.quantity_e8, position.cost_e8, position.funding_index_e12)


def _mark_prices(names: tuple[str, ...], market: Market) -> dict[str, int]:
    """Mark price per unit in each instrument's quote: its feed's, or for an option the Black-76 price on it."""
    prices = {name: market.marks[market.instruments[name].mark_feed].price_e8 for name in names}
    options = [name for name in names if market.instruments[name].kind.is_option]
    table = contract_table(options, market)
    premiums = black76(table.price_I, table.strike_I, table.years_I, table.volatility_I, table.sign_I)
    for name, premium in zip(options, premiums.tolist(), strict=True):
        prices[name] = round(premium * E8)
    return prices
