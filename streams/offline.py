"""The offline margin calculator: one portfolio document in, every figure of its account out.

Owns the way from a document to the engine's (portfolio, market, parameters) and the shape of the answer. It computes
with the functions the workers compute with, so a document that states what a worker knew gives that worker's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TypeVar

from engine.books.funding import funding_index
from engine.books.positions import trade_value
from engine.commands import AccountFigures
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.instruments import InstrumentKind
from engine.reference.parameters import RiskParameters
from engine.risk.attribution import contributions, scenario_pnl
from engine.risk.exposures import why_unpriced
from engine.risk.margin import margin_figures
from engine.risk.scenarios import scenario_names
from engine.risk.sensitivities import greeks
from engine.units import E8, fits_int64
from schemas.documents import PortfolioPositionV1, PortfolioV1
from schemas.errors import Reason, SchemaError
from streams.translate import to_asset, to_e8, to_instrument, to_mark, to_parameters

Record = TypeVar("Record")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Method:
    """A way to margin a portfolio."""

    name: str
    version: str
    source: str

    def described(self) -> dict[str, object]:
        """The same as JSON's types; its parameters are a document's risk parameters."""
        return {**asdict(self), "documents": "version 1"}


METHOD = Method(
    name="crossmargin-grid",
    version="1",
    source="scenario grid of price and volatility moves with weighted tails, netted per underlying, plus a"
    " short-option minimum; parameters in the shape that Deribit, Derive and Paradex publish",
)
"""The method of the workers."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a margin figure is a function of."""

    portfolio: Portfolio
    market: Market
    parameters: RiskParameters


def read_valuation(document: PortfolioV1) -> Valuation:
    """Translate a document; raises ``SchemaError`` naming the field."""
    instruments = _translated("instruments", document.instruments, to_instrument)
    assets = _translated("assets", document.assets, to_asset)
    marks = _translated("marks", document.marks, lambda mark: to_mark(mark, 0))
    market = Market(
        instruments=_by_id("instruments", "instrument", ((value.instrument_id, value) for value in instruments)),
        assets=_by_id("assets", "asset", ((value.asset_id, value) for value in assets)),
        marks=_by_id("marks", "feed", ((value.feed, value) for value in marks)),
        time_us=document.time_us,
    )
    balances = {asset: to_e8(amount, f"balances.{asset}") for asset, amount in document.balances.items()}
    for asset in balances:
        if asset not in market.assets:
            raise SchemaError(Reason.OUT_OF_RANGE, f"balances.{asset}", "not among the assets")
    return Valuation(
        Portfolio(document.account, balances, _positions(document.positions, market)),
        market,
        _within("parameters", to_parameters, document.parameters),
    )


def margin_report(valuation: Valuation) -> dict[str, object]:
    """Every figure of the portfolio, ready for JSON; raises ``engine.errors.EngineError`` naming what is missing.

    Money is in the numeraire. ``mark_value`` is what the holdings are worth at mark: equity before haircuts.
    ``scenarios`` are the net PnL of each underlying's scenarios; ``worst_scenario`` names the one with the largest
    loss (None without a loss), ``worst_scenarios`` the binding one of each underlying, whose losses the margin adds.
    """
    portfolio, market, parameters = valuation.portfolio, valuation.market, valuation.parameters
    (figures,) = margin_figures((portfolio,), market, parameters)
    if figures is None:
        raise why_unpriced(portfolio, market, parameters)
    scenarios = _scenarios(valuation)
    worst = min(scenarios, key=lambda scenario: scenario[1], default=None)
    return {
        "account": portfolio.account,
        "method": METHOD.name,
        "equity": figures.equity,
        "initial_margin": figures.initial_margin,
        "maintenance_margin": figures.maintenance_margin,
        "margin_excess_initial": figures.equity - figures.initial_margin,
        "margin_excess_maintenance": figures.equity - figures.maintenance_margin,
        "mark_value": _mark_value(valuation, figures),
        "collateral_value": figures.collateral_value,
        "unrealized_pnl": figures.unrealized_pnl,
        "option_value": figures.option_value,
        "worst_scenario": worst[0] if worst is not None and worst[1] < 0 else None,
        "worst_scenarios": dict(figures.worst_scenarios),
        "scenarios": [{"name": name, "pnl": pnl} for name, pnl in scenarios],
        "add_ons": dict(figures.add_ons),
        "greeks": {underlying: dict(values) for underlying, values in greeks(portfolio, market).items()},
        "contributions": [
            {
                "holding": part.holding,
                "underlying": part.underlying,
                "scenario": part.scenario,
                "value": part.value,
                "pnl": part.pnl,
                "isolated_initial_margin": part.isolated_initial_margin,
            }
            for part in contributions(portfolio, market, parameters)
        ],
        "isolated": {
            "initial_margin": figures.isolated_initial_margin,
            "maintenance_margin": figures.isolated_maintenance_margin,
        },
    }


def _scenarios(valuation: Valuation) -> list[tuple[str, float]]:
    pnl_by_underlying = scenario_pnl(valuation.portfolio, valuation.market, valuation.parameters)
    return [
        (f"{underlying}: {name}", float(pnl))
        for underlying, pnl_S in pnl_by_underlying.items()
        for name, pnl in zip(scenario_names(valuation.parameters, underlying), pnl_S, strict=True)
    ]


def _mark_value(valuation: Valuation, figures: AccountFigures) -> float:
    value = figures.unrealized_pnl + figures.option_value
    for name in sorted(valuation.portfolio.balances):
        feed = valuation.market.assets[name].mark_feed
        price_e8 = E8 if feed is None else valuation.market.marks[feed].price_e8
        value += valuation.portfolio.balances[name] / E8 * (price_e8 / E8)
    return value


def _positions(records: Iterable[PortfolioPositionV1], market: Market) -> Mapping[str, PortfolioPosition]:
    return _by_id(
        "positions",
        "instrument",
        ((record.instrument, _position(index, record, market)) for index, record in enumerate(records)),
    )


def _position(index: int, record: PortfolioPositionV1, market: Market) -> PortfolioPosition:
    path = f"positions[{index}]"
    instrument = market.instruments.get(record.instrument)
    if instrument is None:
        raise SchemaError(Reason.OUT_OF_RANGE, f"{path}.instrument", f"{record.instrument} is not among instruments")
    if instrument.kind is InstrumentKind.SPOT:
        raise SchemaError(Reason.OUT_OF_RANGE, f"{path}.instrument", "holdings of a spot instrument are balances")
    quantity_e8 = to_e8(record.quantity, f"{path}.quantity")
    if quantity_e8 == 0:
        raise SchemaError(Reason.OUT_OF_RANGE, f"{path}.quantity", "must not be zero")
    cost_e8 = trade_value(instrument, quantity_e8, to_e8(record.entry_price, f"{path}.entry_price"))
    if not fits_int64(cost_e8):
        raise SchemaError(Reason.AMOUNT_OUT_OF_RANGE, f"{path}.entry_price", "the position's cost does not fit 64 bits")
    return PortfolioPosition(quantity_e8, cost_e8, funding_index(instrument, market.marks))


def _translated(path: str, records: Iterable[Record], translate: Callable[[Record], Value]) -> list[Value]:
    return [_within(f"{path}[{index}]", translate, record) for index, record in enumerate(records)]


def _within(path: str, translate: Callable[[Record], Value], record: Record) -> Value:
    """Translate a part of the document, naming fields from the document's root."""
    try:
        return translate(record)
    except SchemaError as error:
        raise SchemaError(error.reason, f"{path}.{error.field}", error.detail) from error


def _by_id(path: str, field: str, values: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for index, (name, value) in enumerate(values):
        if name in found:
            raise SchemaError(Reason.OUT_OF_RANGE, f"{path}[{index}].{field}", f"{name} is listed twice")
        found[name] = value
    return found
