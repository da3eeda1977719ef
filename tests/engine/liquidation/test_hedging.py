"""Hedges in plans: used where cheaper, exact, from entry to release, and only where policy and people allow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.books.account import AccountBook, Position
from engine.commands import CommandKind, LiquidationCommand, LiquidationDecision
from engine.controls import Controls
from engine.events import ControlMode, ControlScope
from engine.liquidation.decision import decide
from engine.liquidation.hedging import phantoms
from engine.liquidation.plan import Plan, plan
from engine.market import Market
from engine.outcomes import MarginStatus
from engine.reference.parameters import RiskParameters
from engine.risk.margin import account_risk
from engine.state import book_from_text
from tests.builders import AT_ONCE, START_US, deposit, e8, engine, fill, mark, parameters
from tests.engine.liquidation.test_plan import MARKET, PARAMETERS, QUANTITIES, breached

HEDGED = parameters(policy=replace(AT_ONCE, hedges=("BTC-PERP",)))
PLAIN = parameters()


def market() -> Market:
    return engine().market()


def short_calls(share: float, **positions: Position) -> AccountBook:
    """Short ten calls, a strike of 22,000 on a future at 20,100; equity is ``share`` of maintenance margin."""
    book = AccountBook("a", {"USD": 0}, {"BTC-CALL": Position(e8(-10), 0, 0), **positions})
    risk = account_risk([book], market(), PLAIN)
    missing = share * float(risk.maintenance_margin_A[0]) - float(risk.equity_A[0])
    book.balances["USD"] = round(missing * 10**8)
    return book


def planned(book: AccountBook, terms: RiskParameters, on: Market | None = None) -> Plan:
    made = plan(book, on or market(), terms)
    assert made is not None
    return made


def kinds(made: Plan) -> Mapping[str, CommandKind]:
    return {leg.instrument: kind for leg, kind in zip(made.legs, made.kinds, strict=True)}


def test_delta_is_taken_off_where_that_is_cheaper_than_closing() -> None:
    book = short_calls(0.9)
    closing, hedging = planned(book, PLAIN), planned(book, HEDGED)

    assert {"BTC-CALL": CommandKind.REDUCE} == kinds(closing)
    assert CommandKind.HEDGE is kinds(hedging)["BTC-PERP"]
    (leg,) = [leg for leg in hedging.legs if leg.instrument == "BTC-PERP"]
    assert leg.quantity_e8 > 0, "short calls lose when the price rises: a hedge is bought"
    assert hedging.certificate.cost < closing.certificate.cost
    assert hedging.certificate.lower_bound <= hedging.certificate.cost
    assert hedging.equity_after >= 1.1 * hedging.maintenance_margin_after
    assert "hedging with BTC-PERP" in hedging.explanation


def test_a_hedge_takes_delta_to_zero_at_most() -> None:
    sizes = phantoms(short_calls(0.9), market(), HEDGED)
    assert ["BTC-PERP"] == list(sizes)
    assert -10 * e8(1) < sizes["BTC-PERP"] < 0


@pytest.mark.parametrize("named", [(), ("ETH-PERP",), ("BTC-FUTURE",), ("BTC-INVERSE",), ("NONE",)])
def test_only_listed_linear_perpetuals_of_an_underlying_that_is_held_qualify(named: tuple[str, ...]) -> None:
    terms = parameters(policy=replace(AT_ONCE, hedges=named))
    book = short_calls(0.9)
    assert {} == phantoms(book, market(), terms)
    assert planned(book, PLAIN) == planned(book, terms)


def test_what_is_held_already_or_stopped_is_no_hedge() -> None:
    held = short_calls(0.9, **{"BTC-PERP": Position(e8(1), e8(20_000), 0)})
    assert {} == phantoms(held, market(), HEDGED)
    stopped = replace(market(), controls=Controls({(ControlScope.GLOBAL, ""): ControlMode.REDUCE_ONLY}))
    assert {} == phantoms(short_calls(0.9), stopped, HEDGED)


def test_a_hedge_is_commanded_filled_and_cures_and_the_decision_can_be_repeated() -> None:
    made = engine(HEDGED)
    book = short_calls(1.05)
    made.step([deposit("a", "USD", book.balances["USD"] / 10**8, 0), fill("a", "BTC-CALL", -10, 0.5, 0)])
    result = made.step([mark("BTC-FUTURE", 20_700, 60, START_US + 1), mark("BTC", 20_600, 61, START_US + 1)])
    orders = [each for _, each in result.commands if isinstance(each, LiquidationCommand)]
    (evidence,) = [each for _, each in result.commands if isinstance(each, LiquidationDecision)]
    assert CommandKind.HEDGE in {order.kind for order in orders}
    repeated = decide(book_from_text(evidence.book), made.market(), HEDGED, evidence.versions, flow=evidence.flow)
    assert repeated is not None and (evidence, tuple(orders)) == repeated
    marks = {"BTC-PERP": 20_000, "BTC-CALL": 0.5}
    for at, order in enumerate(orders, start=1):
        price, quantity = marks[order.instrument], order.quantity_e8 / 10**8
        made.step([fill("a", order.instrument, quantity, price, at, command_id=order.command_id)])
    after = made.book("a")
    assert after is not None and after.positions["BTC-PERP"].quantity_e8 > 0
    assert not after.open_commands and after.status is not MarginStatus.LIQUIDATING


@settings(max_examples=40, deadline=None)
@given(QUANTITIES, st.floats(0.05, 0.99))
def test_a_plan_that_may_hedge_reaches_the_target_and_costs_no_more(quantities: dict[str, float], share: float) -> None:
    held = breached({name: size for name, size in quantities.items() if name != "BTC_PERP"}, share)
    terms = replace(PARAMETERS, policy=replace(PARAMETERS.policy, hedges=("BTC-PERP",)))
    plain, hedged = plan(held, MARKET, PARAMETERS), plan(held, MARKET, terms)
    if plain is not None:
        assert hedged is not None and hedged.certificate.cost <= plain.certificate.cost
    if hedged is not None:
        assert hedged.equity_after * 10**6 >= terms.liquidation_target_ppm * hedged.maintenance_margin_after - 1e-3
        assert hedged.certificate.lower_bound <= hedged.certificate.cost
