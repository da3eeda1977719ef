"""The planner: cures at least cost, never worsens, respects lots. The twin below tries every lot of one position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.books.account import AccountBook, Position
from engine.books.positions import trade_value
from engine.commands import CommandKind
from engine.liquidation.closing import Closing
from engine.liquidation.plan import Plan, plan
from engine.risk.margin import account_risk
from engine.units import PPM
from tests.builders import (
    AT_ONCE,
    CALL,
    ETH_PERP,
    EXPIRY_US,
    FUTURE,
    INVERSE,
    PERP,
    PUT,
    e8,
    engine,
    mark,
    parameters,
)

PARAMETERS = parameters()
MARKET = engine().market()
LISTED = {listed.instrument_id: listed for listed in (PERP, INVERSE, FUTURE, CALL, PUT, ETH_PERP)}


def book(usd: float, **quantities: float) -> AccountBook:
    """A book whose positions were opened at the mark; _ in a name stands for -."""
    positions = {}
    for key, quantity in quantities.items():
        name = key.replace("_", "-")
        listed = LISTED[name]
        price_e8 = MARKET.marks[listed.mark_feed].price_e8
        cost_e8 = 0 if listed.kind.is_option else trade_value(listed, e8(quantity), price_e8)
        positions[name] = Position(e8(quantity), cost_e8, 0)
    return AccountBook("a", {"USD": e8(usd)}, positions)


def shortfall(held: AccountBook, closes: Mapping[str, int]) -> float:
    """Liquidation target less equity after closing the unsigned quantities, numeraire."""
    risk = account_risk([Closing(held, MARKET, PARAMETERS).after(closes)], MARKET, PARAMETERS)
    target = PARAMETERS.liquidation_target_ppm / PPM
    return target * float(risk.maintenance_margin_A[0]) - float(risk.equity_A[0])


def closes_of(made: Plan) -> dict[str, int]:
    return {leg.instrument: abs(leg.quantity_e8) for leg in made.legs}


def planned(held: AccountBook) -> Plan:
    made = plan(held, MARKET, PARAMETERS)
    assert made is not None
    return made


def test_single_position_is_closed_to_the_least_that_cures() -> None:
    # Maintenance margin of 1 BTC: 0.8 x 16 % of 20,000 = 2,560. Equity 4,900 supports 4,900 / 1.1 / 2,560 = 1.74.
    made = planned(book(4_900, BTC_PERP=2))
    (leg,) = made.legs
    held = book(4_900, BTC_PERP=2)
    enough = next(lots for lots in range(PERP.lot_e8, e8(2), PERP.lot_e8) if shortfall(held, {"BTC-PERP": lots}) <= 0)
    assert enough == -leg.quantity_e8
    assert e8(19_000) == leg.limit_price_e8


def test_short_is_bought_back() -> None:
    (leg,) = planned(book(4_900, BTC_PERP=-2)).legs
    assert 0 < leg.quantity_e8 < e8(2)
    assert e8(21_000) == leg.limit_price_e8


def test_position_that_hedges_is_left_alone() -> None:
    # The future hedges most of the perpetual; only the unhedged part is at risk, and only it is closed.
    closes = closes_of(planned(book(4_000, BTC_PERP=4, BTC_FUTURE=-2.25)))
    assert {"BTC-PERP"} == set(closes)
    assert closes["BTC-PERP"] < e8("1.75")


def test_cheaper_of_two_like_risks_is_closed() -> None:
    # Both legs lose alike, at 5 and at 8 basis points of notional; notionals for equal loss are 20,000 and 16,000.
    held = book(5_900, BTC_PERP=1, ETH_PERP=15)
    assert {"BTC-PERP"} == set(closes_of(planned(held)))


def test_two_positions_are_closed_one_after_the_other_not_alike() -> None:
    # Neither close is enough alone. The cheaper one is closed whole, of the dearer only what is still needed.
    held = book(1_500, BTC_PERP=1, ETH_PERP=15)
    closes = closes_of(planned(held))
    assert {"BTC-PERP", "ETH-PERP"} == set(closes)
    assert e8(1) == closes["BTC-PERP"]
    assert closes["ETH-PERP"] < e8(15)


def test_there_is_no_plan_where_closing_everything_would_not_do() -> None:
    assert plan(book(-1, BTC_PERP=2, BTC_FUTURE=-2, ETH_PERP=1), MARKET, PARAMETERS) is None
    assert plan(book(15, BTC_PERP=2), MARKET, PARAMETERS) is None


def test_closing_that_would_only_cost_is_not_planned() -> None:
    # A perfect hedge: no loss in any scenario but the basis; closing 100 BTC of each leg costs 2,000.
    held = book(1, BTC_PERP=100, BTC_FUTURE=-100)
    assert shortfall(held, {}) > 0
    assert shortfall(held, {"BTC-PERP": e8(100), "BTC-FUTURE": e8(100)}) > shortfall(held, {})
    assert plan(held, MARKET, PARAMETERS) is None


def test_expired_positions_are_left_to_settlement() -> None:
    made = engine()
    made.step([mark("BTC", 20_000, 100, EXPIRY_US)])
    assert plan(book(9_000, BTC_FUTURE=4), made.market(), PARAMETERS) is None
    both = plan(book(9_000, BTC_FUTURE=2, BTC_PERP=2), made.market(), PARAMETERS)
    assert both is not None
    assert {"BTC-PERP"} == set(closes_of(both))


QUANTITIES = st.fixed_dictionaries(
    {},
    optional={
        "BTC_PERP": st.integers(-300, 300).filter(bool).map(lambda lots: lots / 100),
        "BTC_FUTURE": st.integers(-300, 300).filter(bool).map(lambda lots: lots / 100),
        "BTC_INVERSE": st.integers(-300, 300).filter(bool),
        "BTC_CALL": st.integers(-300, 300).filter(bool).map(lambda lots: lots / 100),
        "BTC_PUT": st.integers(-300, 300).filter(bool).map(lambda lots: lots / 100),
        "ETH_PERP": st.integers(-300, 300).filter(bool).map(lambda lots: lots / 10),
    },
)


def breached(quantities: Mapping[str, float], share: float) -> AccountBook:
    """A book with ``quantities`` whose equity is ``share`` of its maintenance margin."""
    held = book(0, **quantities)
    risk = account_risk([held], MARKET, PARAMETERS)
    equity, maintenance = float(risk.equity_A[0]), float(risk.maintenance_margin_A[0])
    assume(maintenance > 1)
    held.balances["USD"] = round((share * maintenance - equity) * 10**8)
    return held


@settings(max_examples=60, deadline=None)
@given(QUANTITIES, st.floats(0.01, 0.99))
def test_plan_cures_when_closing_everything_would_and_never_worsens(quantities: dict[str, float], share: float) -> None:
    held = breached(quantities, share)
    start = shortfall(held, {})
    everything = shortfall(held, {name: abs(position.quantity_e8) for name, position in held.positions.items()})
    made = plan(held, MARKET, PARAMETERS)
    closes = {} if made is None else closes_of(made)
    end = shortfall(held, closes)
    assert end <= 0 if everything <= 0 else made is None
    assert end <= start
    for name, quantity in closes.items():
        assert 0 < quantity <= abs(held.positions[name].quantity_e8)
        assert 0 == quantity % LISTED[name].lot_e8


@settings(max_examples=30, deadline=None)
@given(QUANTITIES, st.floats(0.01, 0.99))
def test_legs_reduce_and_figures_are_those_of_the_account_after_them(
    quantities: dict[str, float], share: float
) -> None:
    held = breached(quantities, share)
    made = plan(held, MARKET, PARAMETERS)
    assume(made is not None)
    assert made is not None
    for leg in made.legs:
        assert (leg.quantity_e8 > 0) is (held.positions[leg.instrument].quantity_e8 < 0)
        assert leg.limit_price_e8 > 0
        assert 0 == leg.limit_price_e8 % LISTED[leg.instrument].tick_e8
    after = account_risk([Closing(held, MARKET, PARAMETERS).after(closes_of(made))], MARKET, PARAMETERS)
    assert (made.equity_after, made.maintenance_margin_after) == (
        float(after.equity_A[0]),
        float(after.maintenance_margin_A[0]),
    )


@settings(max_examples=20, deadline=None)
@given(QUANTITIES, st.floats(0.3, 0.99), st.randoms(use_true_random=False))
def test_order_of_positions_does_not_change_the_plan(
    quantities: dict[str, float], share: float, chance: Random
) -> None:
    held = breached(quantities, share)
    items = list(held.positions.items())
    chance.shuffle(items)
    assert plan(held, MARKET, PARAMETERS) == plan(AccountBook("a", held.balances, dict(items)), MARKET, PARAMETERS)


SLICES = 64


@settings(max_examples=40, deadline=None)
@given(QUANTITIES, st.floats(0.5, 0.99))
def test_plan_costs_no_more_than_closing_the_same_share_of_everything(
    quantities: dict[str, float], share: float
) -> None:
    """But for the lots by which it is rounded up."""
    held = breached(quantities, share)
    made = plan(held, MARKET, PARAMETERS)
    assume(made is not None)
    assert made is not None
    closing = Closing(held, MARKET, PARAMETERS)
    whole = {name: abs(position.quantity_e8) for name, position in held.positions.items()}
    lots = closing.cost({name: LISTED[name].lot_e8 for name in whole})
    slices = (
        {
            name: -(-quantity * part // (SLICES * LISTED[name].lot_e8)) * LISTED[name].lot_e8
            for name, quantity in whole.items()
        }
        for part in range(1, SLICES + 1)
    )
    enough = next(each for each in slices if shortfall(held, each) <= 0)
    assert closing.cost(closes_of(made)) <= closing.cost(enough) * (1 + 1e-6) + lots


@settings(max_examples=40, deadline=None)
@given(QUANTITIES, st.floats(0.3, 0.99), st.randoms(use_true_random=False))
def test_no_plan_that_anybody_finds_costs_less_than_the_bound(
    quantities: dict[str, float], share: float, chance: Random
) -> None:
    held = breached(quantities, share)
    made = plan(held, MARKET, PARAMETERS)
    assume(made is not None)
    assert made is not None
    certificate, closing = made.certificate, Closing(held, MARKET, PARAMETERS)
    assert 0.0 <= certificate.lower_bound <= certificate.cost == closing.cost(closes_of(made))
    for _ in range(60):
        found = {
            name: quantity
            for name, position in held.positions.items()
            if (quantity := chance.randint(0, abs(position.quantity_e8) // LISTED[name].lot_e8) * LISTED[name].lot_e8)
        }
        if shortfall(held, found) <= 0:
            # What a close pays out in a coin with a haircut is worth a trace more or less than the model says.
            assert certificate.lower_bound <= closing.cost(found) * (1 + 1e-6) + 1e-6


@settings(max_examples=30, deadline=None)
@given(QUANTITIES, st.floats(0.3, 0.99), st.integers(1, 7))
def test_closing_all_legs_at_one_pace_never_worsens(quantities: dict[str, float], share: float, eighth: int) -> None:
    held = breached(quantities, share)
    made = plan(held, MARKET, PARAMETERS)
    assume(made is not None)
    assert made is not None
    part = {name: quantity * eighth // 8 for name, quantity in closes_of(made).items()}
    start = shortfall(held, {})
    assert shortfall(held, {name: quantity for name, quantity in part.items() if quantity}) <= start + 1e-6 * abs(start)


def test_the_first_leg_alone_never_worsens_where_any_order_allows_it() -> None:
    held = breached({"BTC_PERP": 3.0, "BTC_CALL": -2.0, "ETH_PERP": 20.0}, 0.6)
    made = plan(held, MARKET, PARAMETERS)
    assert made is not None and len(made.legs) > 1
    path = [shortfall(held, dict(list(closes_of(made).items())[:legs])) for legs in range(len(made.legs) + 1)]
    assert sorted(path, reverse=True) == path


def test_dust_is_closed_with_the_rest() -> None:
    held = book(1_500, BTC_PERP=1, ETH_PERP=15)
    rest = e8(15) - closes_of(planned(held))["ETH-PERP"]
    left = rest / 10**8 * 1_600
    dusty = parameters(policy=replace(AT_ONCE, dust_e8=e8(left)))
    made = plan(held, MARKET, dusty)
    assert made is not None
    assert {"BTC-PERP": e8(1), "ETH-PERP": e8(15)} == closes_of(made)
    assert [CommandKind.CLOSE] * 2 == list(made.kinds)


def test_the_plan_names_the_scenario_that_binds() -> None:
    made = planned(book(4_900, BTC_PERP=2))
    (binding,) = made.certificate.binding
    assert ("BTC", "price -16% vol up", 1.0) == (binding.underlying, binding.scenario, binding.weight)
    assert "BTC price -16% vol up binds" in made.explanation
