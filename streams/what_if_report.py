"""Reports of what-ifs and explanations of a margin, ready for JSON.

Owns their shape and the way from a document and the words of a command line to the engine's values. Refuses to compute
what the engine computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from engine.errors import InvalidReference
from engine.methods.contributions import contributions, marginal_margin
from engine.methods.method import MarginMethod
from engine.methods.modes import switch_mode
from engine.methods.parameters import as_exact
from engine.methods.pre_trade import pre_trade, worst_orders
from engine.methods.statement import MarginMode, StatedPortfolio
from engine.methods.surface import Distance, cheapest_restoring_trade, liquidation_surface
from engine.methods.what_if import Change, Fill, Transfer, WhatIf, what_if, what_ifs
from schemas.documents import PortfolioV1
from schemas.errors import Reason, SchemaError
from schemas.stated_portfolio import StatedPortfolioV2
from schemas.what_if import ChangeLineV1
from streams.margin_methods import load_methods, read_statement
from streams.method_parameters import for_method
from streams.mode_report import pools_report, totals
from streams.offline import read_valuation
from streams.portfolio_margin import DEFAULT_METHOD, stated_portfolio


def stated(document: PortfolioV1 | StatedPortfolioV2, method: str | None) -> tuple[StatedPortfolio, MarginMethod]:
    """The portfolio of a document of either version, and the method to use; raises ``SchemaError``, ``EngineError``."""
    if isinstance(document, PortfolioV1):
        portfolio, name = stated_portfolio(read_valuation(document)), method or DEFAULT_METHOD
    else:
        portfolio, name = read_statement(document), method or document.method or DEFAULT_METHOD
    known = load_methods().get(name)
    if known is None:
        names = ", ".join(load_methods())
        raise SchemaError(Reason.OUT_OF_RANGE, "method", f"{name} is not a method; there are {names}")
    return for_method(portfolio, known.name, load_methods().keys()), known


def parse_fill(text: str) -> Fill:
    """INSTRUMENT:QTY[@PRICE]; raises ``InvalidReference``."""
    instrument, _, trade = text.rpartition(":")
    quantity, at, price = trade.partition("@")
    if not instrument:
        raise InvalidReference("fill", f"{text!r} is not INSTRUMENT:QTY@PRICE")
    return Fill(instrument, _number(quantity, "fill.quantity"), _number(price, "fill.price") if at else None)


def parse_transfer(text: str) -> Transfer:
    """ASSET:AMOUNT; raises ``InvalidReference``."""
    asset, _, amount = text.rpartition(":")
    if not asset:
        raise InvalidReference("transfer", f"{text!r} is not ASSET:AMOUNT")
    return Transfer(asset, _number(amount, "transfer.amount"))


def parse_move(text: str, option: str) -> tuple[str, Decimal]:
    """UNDERLYING=MOVE; raises ``InvalidReference``."""
    underlying, _, move = text.rpartition("=")
    if not underlying:
        raise InvalidReference(option, f"{text!r} is not UNDERLYING=MOVE")
    return underlying, _number(move, f"{option}.{underlying}")


def _number(text: str, field: str) -> Decimal:
    try:
        return as_exact(Decimal(text), field)
    except InvalidOperation:
        raise InvalidReference(field, f"{text!r} is not a number") from None


def change_of(line: ChangeLineV1) -> Change:
    """The change that a line of a bulk file states; raises ``InvalidReference``."""
    numbers: list[tuple[str, Decimal | None]] = [
        *((f"fills[{i}].{name}", getattr(f, name)) for i, f in enumerate(line.fills)
          for name in ("quantity", "price", "fee")),
        *((f"transfers[{i}].amount", t.amount) for i, t in enumerate(line.transfers)),
        *((f"shock.{unit}", move) for unit, move in line.shock.items()),
        *((f"vol.{unit}", move) for unit, move in line.vol.items()),
    ]  # fmt: skip
    for field, value in numbers:
        if value is not None:
            as_exact(value, field)
    return Change(
        fills=tuple(Fill(f.instrument, f.quantity, f.price, f.fee) for f in line.fills),
        transfers=tuple(Transfer(t.asset, t.amount) for t in line.transfers),
        spot=tuple(line.shock.items()),
        vol=tuple(line.vol.items()),
    )


def what_if_report(portfolio: StatedPortfolio, method: MarginMethod, change: Change) -> dict[str, object]:
    """Margin before and after one change, and whether its fills may happen."""
    before, after = what_if(portfolio, method, Change()), what_if(portfolio, method, change)
    report = {**_head(portfolio, method), "before": totals(before.margin), **_after(before, after)}
    if change.fills:
        decision = pre_trade(portfolio, method, change.fills)
        report["pre_trade"] = {"accepted": decision.accepted, "reason": decision.reason}
    return report


def bulk_report(
    portfolio: StatedPortfolio, method: MarginMethod, names: Sequence[str | None], changes: Sequence[Change]
) -> dict[str, object]:
    """Margin before, and after each of ``changes`` on its own."""
    before, *after = what_ifs(portfolio, method, (Change(), *changes))
    results = [
        {"name": name or f"{i}", **_after(before, one)}
        for i, (name, one) in enumerate(zip(names, after, strict=True), 1)
    ]
    return {**_head(portfolio, method), "before": totals(before.margin), "results": results}


def _head(portfolio: StatedPortfolio, method: MarginMethod) -> dict[str, object]:
    return {"account": portfolio.account, "method": method.name, "method_version": method.version}


def _after(before: WhatIf, after: WhatIf) -> dict[str, object]:
    first, later = totals(before.margin), totals(after.margin)
    return {"after": later, "change": {name: later[name] - value for name, value in first.items()}}


def contribution_report(portfolio: StatedPortfolio, method: MarginMethod) -> dict[str, object]:
    """Every holding's part in both requirements, and what one more contract would change."""
    parts = contributions(portfolio, method)
    return {
        "convention": "euler" if parts.homogeneous else "aumann-shapley",
        "rows": [
            {"holding": r.holding, "kind": r.kind, "initial": r.initial, "maintenance": r.maintenance}
            for r in parts.rows
        ],
        "residual": {"initial": parts.residual_initial, "maintenance": parts.residual_maintenance},
        "one_more": [
            {
                "instrument": m.instrument,
                "buy": {"initial": m.buy_initial, "maintenance": m.buy_maintenance},
                "sell": {"initial": m.sell_initial, "maintenance": m.sell_maintenance},
            }
            for m in marginal_margin(portfolio, method)
        ],
    }


def orders_report(portfolio: StatedPortfolio, method: MarginMethod) -> dict[str, object]:
    """The worst fills of the open orders by underlying, and the margin if they happen."""
    worst = worst_orders(portfolio, method)
    return {
        "sides": dict(worst.sides),
        "initial_by_side": {unit: dict(sides) for unit, sides in worst.initial_by_side.items()},
        "worst": totals(worst.margin),
    }


def surface_report(portfolio: StatedPortfolio, method: MarginMethod) -> list[dict[str, object]]:
    """Distance to the breach of maintenance margin by factor; ``move`` null: none within ``searched``."""
    return [_distance(distance) for distance in liquidation_surface(portfolio, method)]


def _distance(distance: Distance) -> dict[str, object]:
    return {
        "factor": distance.factor,
        "searched": distance.searched,
        "move": distance.move,
        "spot": dict(distance.spot),
        "vol": dict(distance.vol),
        "prices": dict(distance.prices),
    }


def restore_report(portfolio: StatedPortfolio, method: MarginMethod, spread: str) -> dict[str, object] | None:
    """The cheapest single trade back to maintenance margin, None if none is needed or helps."""
    trade = cheapest_restoring_trade(portfolio, method, _number(spread, "restore"))
    if trade is None:
        return None
    return {
        "instrument": trade.instrument,
        "quantity": float(trade.quantity),
        "closes": trade.closes,
        "cost": trade.cost,
        "after": totals(trade.margin),
    }


def switch_report(portfolio: StatedPortfolio, method: MarginMethod, text: str) -> dict[str, object]:
    """INSTRUMENT=cross, or INSTRUMENT=isolated[:COLLATERAL]: the account before and after, and what is freed."""
    instrument, _, target = text.rpartition("=")
    name, colon, collateral = target.partition(":")
    if not instrument or name not in tuple(MarginMode) or (colon and name == MarginMode.CROSS):
        raise InvalidReference("switch", f"{text!r} is not INSTRUMENT=cross or INSTRUMENT=isolated:COLLATERAL")
    own = _number(collateral, "switch.collateral") if colon else None
    switch = switch_mode(portfolio, method, instrument, MarginMode(name), own)
    return {
        "before": totals(switch.before),
        "after": totals(switch.after),
        "freed": {"initial": switch.freed_initial, "maintenance": switch.freed_maintenance},
        "pools": pools_report(switch.after),
    }
