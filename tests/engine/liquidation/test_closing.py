from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest

from engine.books.account import AccountBook, Position
from engine.books.positions import apply_fill
from engine.liquidation.closing import Closing
from engine.market import Market
from engine.outcomes import APPLIED
from engine.portfolio import Portfolio
from engine.units import E8
from tests.builders import EXPIRY_US, INSTRUMENTS, e8, engine, fill, mark, parameters

PARAMETERS = parameters()


def market(perpetual: str = "20000") -> Market:
    made = engine()
    made.step([mark("BTC-PERP", perpetual, 100)])
    return made.market()


def holding(**quantities: str) -> AccountBook:
    """A book with 1,000 USD, 1 BTC and positions at zero cost; _ in a name stands for -."""
    positions = {name.replace("_", "-"): Position(e8(quantity), 0, 0) for name, quantity in quantities.items()}
    return AccountBook("a", {"USD": e8(1_000), "BTC": e8(1)}, positions)


@pytest.mark.parametrize("name", ["BTC-PERP", "BTC-INVERSE", "BTC-FUTURE", "ETH-PERP"])
@pytest.mark.parametrize(("held", "closed"), [("4", "1"), ("4", "4"), ("-4", "3"), ("-4", "4")])
def test_trial_is_the_account_that_a_fill_at_the_mark_makes(name: str, held: str, closed: str) -> None:
    made = engine()
    made.step([mark("BTC-PERP", 20_000, 100, linear_e12=10**13, inverse_e12=10**5)])
    terms = next(listed for listed in INSTRUMENTS if listed.instrument_id == name)
    book = AccountBook("a", {"USD": e8(1_000)}, {name: Position(e8(held), e8(7), 0)})
    closing = Closing(book, made.market(), PARAMETERS)
    trial = closing.after({name: e8(closed)})
    filled = deepcopy(book)
    index = 0 if name not in ("BTC-PERP", "BTC-INVERSE") else 10**13 if name == "BTC-PERP" else 10**5
    price_e8 = made.market().marks[terms.mark_feed].price_e8
    numeraire_per_asset = 20_000 if terms.settlement_asset == "BTC" else 1
    fee_e8 = round(closing.cost({name: e8(closed)}) / numeraire_per_asset * E8)
    event = replace(
        fill("a", name, 1, 1, 0), quantity_e8=closing.signed(name, e8(closed)), price_e8=price_e8, fee_e8=fee_e8
    )
    assert APPLIED == apply_fill(filled, event, terms, index, None).outcome
    assert _values(filled) == _values(trial)


def _values(portfolio: AccountBook | Portfolio) -> object:
    return (
        {asset: amount for asset, amount in portfolio.balances.items() if amount},
        {name: (p.quantity_e8, p.cost_e8, p.funding_index_e12) for name, p in portfolio.positions.items()},
    )


@pytest.mark.parametrize(
    ("name", "quantity", "cost"),
    [
        ("BTC-PERP", "2", 20.0),  # 5 basis points of 40,000
        ("ETH-PERP", "10", 12.0),  # 8 basis points of 15,000
        ("BTC-INVERSE", "50", 2.5),  # 50 contracts of 100, paid in coin
        ("BTC-CALL", "2", 20.1),  # of the underlying's notional
    ],
)
def test_cost_is_a_share_of_closed_notional(name: str, quantity: str, cost: float) -> None:
    closing = Closing(holding(**{name: quantity}), market(), PARAMETERS)
    assert cost == pytest.approx(closing.cost({name: e8(quantity)}), rel=1e-6)


@pytest.mark.parametrize(
    ("quantity", "price", "limit"),
    [
        # band 5 %, tick 0.5: on a tick inside the band
        ("1", "20000", "19000"),
        ("-1", "20000", "21000"),
        ("1", "20000.3", "19000.5"),  # 19,000.285 rounds up: a seller gets no less
        ("-1", "20000.3", "21000"),  # 21,000.315 rounds down: a buyer pays no more
        # no tick inside the band beyond the mark: the next tick that can trade
        ("1", "1.2", "1"),
        ("-1", "1.2", "1.5"),
        ("-1", "0.2", "0.5"),
        ("1", "0.2", "0.5"),  # never zero
    ],
)
def test_limit_price(quantity: str, price: str, limit: str) -> None:
    closing = Closing(holding(BTC_PERP=quantity), market(price), PARAMETERS)
    assert e8(limit) == closing.limit_price("BTC-PERP")


def test_option_is_marked_by_its_model_price() -> None:
    closing = Closing(holding(BTC_CALL="1", BTC_PUT="-1"), market(), PARAMETERS)
    call, put = (closing.mark_prices_e8[name] / 10**8 for name in ("BTC-CALL", "BTC-PUT"))
    assert 500 < call < 1_000
    assert 500 < put < 1_000
    assert closing.limit_price("BTC-CALL") < e8(round(call))
    assert closing.limit_price("BTC-PUT") > e8(round(put))


def test_expired_positions_await_settlement() -> None:
    made = engine()
    book = holding(BTC_PERP="1", BTC_FUTURE="1")
    assert ("BTC-FUTURE", "BTC-PERP") == Closing(book, made.market(), PARAMETERS).closable
    made.step([mark("BTC", 20_000, 100, EXPIRY_US)])
    assert ("BTC-PERP",) == Closing(book, made.market(), PARAMETERS).closable


def test_cost_of_closing_is_spread_plus_the_square_root_impact_of_the_depth_model() -> None:
    terms = replace(
        PARAMETERS.underlyings["BTC"], close_cost_ppm=1_000, impact_ppm=40_000, daily_volume_e8=e8(8_000_000)
    )
    deep = replace(PARAMETERS, underlyings={**PARAMETERS.underlyings, "BTC": terms})
    closing = Closing(holding(BTC_PERP="100"), market(), deep)
    notional = 100 * 20_000
    assert pytest.approx(notional * (0.001 + 0.04 * 0.5)) == closing.cost({"BTC-PERP": e8(100)})
    quarter = notional / 4
    assert pytest.approx(quarter * (0.001 + 0.04 * 0.25)) == closing.cost({"BTC-PERP": e8(25)})


def test_impact_makes_the_plan_spread_over_like_positions() -> None:
    """Two contracts of one underlying cost alike: with impact, closing some of both is cheaper than all of one."""
    terms = replace(PARAMETERS.underlyings["BTC"], impact_ppm=100_000, daily_volume_e8=e8(1_000_000))
    deep = replace(PARAMETERS, underlyings={**PARAMETERS.underlyings, "BTC": terms})
    closing = Closing(holding(BTC_PERP="10", BTC_FUTURE="10"), market(), deep)
    both = closing.cost({"BTC-PERP": e8(5), "BTC-FUTURE": e8(5)})
    assert both < closing.cost({"BTC-PERP": e8(10)})
