"""Handing a whole book over: legs at the prices that leave its owner with nothing and without a debt.

Owns what a takeover is made of: every position that can be traded, its share of the requirement, the account's equity.
Refuses the arithmetic of the prices (``engine.waterfall.bankruptcy``) and who takes the book over.
"""

from __future__ import annotations

from engine.books.account import AccountBook
from engine.liquidation.closing import Closing
from engine.liquidation.plan import PlanLeg
from engine.market import Market
from engine.portfolio import Portfolio
from engine.pricing.valuation import mark_of
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters
from engine.risk.margin import account_risk
from engine.risk.revaluation import RiskFrame
from engine.units import E8
from engine.waterfall.bankruptcy import Leg, takeover


def takeover_legs(
    book: AccountBook, market: Market, parameters: RiskParameters, frame: RiskFrame, equity: float
) -> tuple[PlanLeg, ...]:
    """All positions that can be traded, each at its takeover price, in order of instrument id. ``equity`` is the
    account's, in numeraire, and is shared out by what each position would have to maintain alone."""
    closing = Closing(book, market, parameters)
    if not closing.closable:
        return ()
    alone = [Portfolio(book.account, {}, {name: closing.held(name)}) for name in closing.closable]
    shares = account_risk(alone, market, parameters, frame).maintenance_margin_A.tolist()
    legs = [
        Leg(
            name=name,
            quantity_e8=closing.held(name).quantity_e8,
            mark_price_e8=max(closing.mark_prices_e8[name], market.instruments[name].tick_e8),
            tick_e8=market.instruments[name].tick_e8,
            value_per_price_e8=_value_per_price_e8(market.instruments[name], market),
            share=round(share * E8),
            inverse=market.instruments[name].kind is InstrumentKind.INVERSE_PERPETUAL,
        )
        for name, share in zip(closing.closable, shares, strict=True)
    ]
    prices = takeover(legs, round(equity * E8)).prices_e8
    return tuple(
        PlanLeg(leg.name, -leg.quantity_e8, max(price_e8, leg.tick_e8))
        for leg, price_e8 in zip(legs, prices, strict=True)
    )


def _value_per_price_e8(terms: Instrument, market: Market) -> int:
    """Numeraire (10^-8) per unit of price of one contract; for an inverse one its size in quote currency, valued in the
    numeraire at the mark of the coin it settles in."""
    settlement_price = mark_of(market, market.assets[terms.settlement_asset].mark_feed)
    assert settlement_price is not None, "only priced accounts are handed over"
    return max(1, round(terms.multiplier_e8 / E8 * settlement_price * E8))
