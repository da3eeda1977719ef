"""Margin of a portfolio document of either version, under any method.

Owns the choice of method and the way from records of topics to a stated portfolio. Documents of version 1 under the
workers' method take the workers' own path (``streams.offline``), so that the figures are a worker's to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.errors import InvalidReference
from engine.methods.contributions import contributions
from engine.methods.modes import account_margin, compare_modes
from engine.methods.statement import (
    PositionKind,
    StatedCollateral,
    StatedExpiry,
    StatedMarket,
    StatedPortfolio,
    StatedPosition,
)
from engine.pricing.valuation import contract_table
from engine.reference.instruments import Instrument, InstrumentKind
from engine.risk.exposures import why_unpriced
from engine.risk.margin import account_risk
from engine.units import PPM
from schemas.documents import PortfolioV1
from schemas.errors import Reason, SchemaError
from schemas.stated_portfolio import StatedPortfolioV2
from streams.margin_methods import load_methods, read_statement
from streams.method_parameters import for_method
from streams.method_report import method_report
from streams.mode_report import pools_report, totals
from streams.offline import METHOD, Valuation, margin_report, read_valuation

DEFAULT_METHOD = "crossmargin"
_E8 = Decimal(10) ** -8
_KINDS = {
    InstrumentKind.LINEAR_PERPETUAL: PositionKind.PERPETUAL,
    InstrumentKind.FUTURE: PositionKind.FUTURE,
    InstrumentKind.CALL: PositionKind.OPTION,
    InstrumentKind.PUT: PositionKind.OPTION,
}


def document_report(document: PortfolioV1 | StatedPortfolioV2, method: str | None = None) -> dict[str, object]:
    """Every figure of the document's portfolio; raises ``SchemaError`` or ``EngineError`` naming the field."""
    if isinstance(document, PortfolioV1):
        if method in (None, METHOD.name):
            return margin_report(read_valuation(document))
        return stated_report(stated_portfolio(read_valuation(document)), str(method))
    return stated_report(read_statement(document), method or document.method or DEFAULT_METHOD)


def stated_report(portfolio: StatedPortfolio, method: str) -> dict[str, object]:
    """The report of the method ``method``, with the requirement of every position alone beside it, what netting frees,
    and every holding's part in the requirements. With isolated positions the totals are those of all pools (cross, and
    each of them), listed as ``pools``.
    """
    known = load_methods().get(method)
    if known is None:
        names = ", ".join(load_methods())
        hint = "reads documents of version 1" if method == METHOD.name else f"is not a method; there are {names}"
        raise SchemaError(Reason.OUT_OF_RANGE, "method", f"{method} {hint}")
    portfolio = for_method(portfolio, known.name, load_methods().keys())
    account, modes = account_margin(portfolio, known), compare_modes(portfolio, known)
    report = method_report(portfolio, known)
    if account.isolated:
        report |= {**totals(account), "equity_initial": account.total.equity_initial, "pools": pools_report(account)}
    parts = [contributions(pool.context.portfolio, known, derived=True) for pool in account.pools.values()]
    return {
        **report,
        "contributions": [
            {"holding": row.holding, "kind": row.kind, "initial": row.initial, "maintenance": row.maintenance}
            for pool in parts
            for row in pool.rows
        ],
        "isolated": {
            "initial_margin": modes.alone.initial_margin, "maintenance_margin": modes.alone.maintenance_margin
        },
        "freed": {"initial_margin": modes.freed_initial, "maintenance_margin": modes.freed_maintenance},
    }  # fmt: skip


def stated_portfolio(valuation: Valuation) -> StatedPortfolio:
    """The portfolio of records as a stated one: marks as prices, surfaces as volatilities at each strike, balances as
    collateral at their haircut; amounts are in the settlement asset.

    Raises ``EngineError`` for a missing mark, ``InvalidReference`` for an inverse contract and for more than one
    settlement asset: a stated portfolio has one.
    """
    portfolio, market = valuation.portfolio, valuation.market
    if not account_risk((portfolio,), market, valuation.parameters).priced_A[0]:
        raise why_unpriced(portfolio, market, valuation.parameters)
    held = [market.instruments[name] for name in portfolio.positions]
    table = contract_table(tuple(portfolio.positions), market)
    markets: dict[str, StatedMarket] = {}
    for row, instrument in enumerate(held):
        if instrument.kind not in _KINDS:
            raise InvalidReference(
                f"instruments.{instrument.instrument_id}", "inverse contracts take the default method"
            )
        spot = market.marks[instrument.underlying if instrument.kind.is_option else instrument.mark_feed].price_e8 * _E8
        known = markets.get(instrument.underlying)
        expiries = dict(known.expiries) if known is not None else {}
        if instrument.expiry_us is not None:
            key = _expiry_name(instrument)
            seconds = Decimal(instrument.expiry_us - market.time_us) / 1_000_000
            expiries[key] = StatedExpiry(key, seconds, Decimal(float(table.price_I[row])))
        index = market.marks.get(instrument.underlying)
        spot = index.price_e8 * _E8 if index is not None else spot
        markets[instrument.underlying] = StatedMarket(instrument.underlying, spot, expiries=expiries)
    positions = tuple(
        StatedPosition(
            instrument=name,
            kind=_KINDS[instrument.kind],
            underlying=instrument.underlying,
            quantity=position.quantity_e8 * _E8,
            multiplier=instrument.multiplier_e8 * _E8,
            expiry=_expiry_name(instrument) if instrument.expiry_us is not None else None,
            strike=instrument.strike_e8 * _E8 if instrument.strike_e8 is not None else None,
            is_call=instrument.kind is InstrumentKind.CALL if instrument.kind.is_option else None,
            volatility=Decimal(float(table.volatility_I[row])) if instrument.kind.is_option else None,
            mark_price=None if instrument.kind.is_option else Decimal(float(table.price_I[row])),
            unrealized_pnl=None
            if instrument.kind.is_option
            else _unrealized(valuation, name, float(table.price_I[row])),
        )
        for row, ((name, position), instrument) in enumerate(zip(portfolio.positions.items(), held, strict=True))
    )
    return StatedPortfolio(
        portfolio.account,
        stable_price=_settlement_price(valuation, held),
        markets=markets,
        positions=positions,
        collateral=_collateral(valuation, markets),
    )


def _settlement_price(valuation: Valuation, held: Sequence[Instrument]) -> Decimal:
    names = sorted({instrument.settlement_asset for instrument in held})
    if len(names) > 1:
        raise InvalidReference("positions", f"settle in {', '.join(names)}; other methods know one settlement asset")
    feed = valuation.market.assets[names[0]].mark_feed if names else None
    return Decimal(1) if feed is None else valuation.market.marks[feed].price_e8 * _E8


def _expiry_name(instrument: Instrument) -> str:
    """Expiries are told apart by instant and by the feed of their forward."""
    return f"{instrument.expiry_us} {instrument.mark_feed}"


def _unrealized(valuation: Valuation, name: str, price: float) -> Decimal:
    position, instrument = valuation.portfolio.positions[name], valuation.market.instruments[name]
    value = position.quantity_e8 * _E8 * instrument.multiplier_e8 * _E8 * Decimal(price)
    return value - position.cost_e8 * _E8


def _collateral(valuation: Valuation, markets: dict[str, StatedMarket]) -> tuple[StatedCollateral, ...]:
    entries = []
    for name, amount_e8 in valuation.portfolio.balances.items():
        asset = valuation.market.assets[name]
        price = Decimal(1) if asset.mark_feed is None else valuation.market.marks[asset.mark_feed].price_e8 * _E8
        entries.append(
            StatedCollateral(
                name, amount_e8 * _E8, price,
                underlying=asset.underlying if asset.underlying in markets else None,
                maintenance_haircut=Decimal(asset.haircut_ppm) / PPM,
            )
        )  # fmt: skip
    return tuple(entries)
