"""Takeover prices: the published quotes leg by leg, ticks, limits of a price, and an owner who never owes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.units import E8
from engine.waterfall.bankruptcy import Leg, gain_e8, takeover
from tests.reference import published_rules

FINE = 1


def whole(value: str | int) -> int:
    return int(Fraction(value) * E8)


def leg(name: str, quantity: str, price: str, share: str, tick_e8: int = FINE) -> Leg:
    return Leg(name, whole(quantity), whole(price), tick_e8, share=whole(share))


LONG, SHORT = leg("BTC", "0.1", "50000", "500"), leg("BTC", "-0.1", "50000", "500")


@pytest.mark.parametrize(
    ("cash", "legs", "wanted"),
    [
        # dYdX v4-chain, liquidations_test.go, TestGetBankruptcyPriceInQuoteQuantums: cash and quote of closing in full.
        # The source closes one leg at a time; the other leg of a pair follows from its formula.
        (-4501, (LONG,), {"BTC": 4501}),
        (5499, (SHORT,), {"BTC": -5499}),
        (-5000, (LONG,), {"BTC": 5000}),
        (5000, (SHORT,), {"BTC": -5000}),
        (-5100, (LONG,), {"BTC": 5100}),
        (4900, (SHORT,), {"BTC": -4900}),
        (-490, (leg("BTC", "0.004", "50000", "20"), leg("ETH", "0.1", "3000", "30")), {"BTC": 196, "ETH": 294}),
        (510, (leg("BTC", "-0.004", "50000", "20"), leg("ETH", "-0.1", "3000", "30")), {"BTC": -204, "ETH": -306}),
        (110, (leg("BTC", "0.004", "50000", "20"), leg("ETH", "-0.1", "3000", "30")), {"BTC": 196, "ETH": -306}),
    ],
)
def test_every_leg_trades_at_the_published_quote(cash: int, legs: tuple[Leg, ...], wanted: dict[str, int]) -> None:
    equity = whole(cash) + sum(each.quantity_e8 * each.mark_price_e8 // E8 for each in legs)
    result = takeover(legs, equity)
    quotes = {
        each.name: Fraction(each.quantity_e8 * price, E8 * E8)
        for each, price in zip(legs, result.prices_e8, strict=True)
    }
    assert quotes == wanted
    assert (result.left_e8, result.uncovered_e8) == (0, 0)


@given(
    cash=st.integers(-200_000, 20_000),
    sizes=st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=3),
)
def test_books_are_priced_like_their_slow_twin(cash: int, sizes: list[int]) -> None:
    names, prices = ("BTC", "ETH", "SOL")[: len(sizes)], (5_000, 300, 15)
    markets = {
        name: {
            "price": Fraction(price), "initial_fraction": Fraction(1, 5), "maintenance_share": Fraction(1, 2),
            "open_interest": Fraction(0), "lower_cap": Fraction(0), "upper_cap": Fraction(0),
        }
        for name, price in zip(names, prices, strict=False)
    }  # fmt: skip
    held = {name: Fraction(size) for name, size in zip(names, sizes, strict=True)}
    rows = list(zip(names, sizes, prices, strict=False))
    legs = [leg(name, str(size), str(price), str(abs(size) * price)) for name, size, price in rows]
    result = takeover(legs, whole(cash + sum(size * price for _, size, price in rows)))
    slow = {name: published_rules.bankruptcy_quote(Fraction(cash), held, markets, name, -held[name]) for name in names}
    if all(slow[name] / held[name] >= 0 for name in names):  # the source lets prices fall below zero
        for each, price in zip(legs, result.prices_e8, strict=True):
            assert abs(Fraction(each.quantity_e8 * price, E8 * E8) - slow[each.name]) <= Fraction(2, 10**6)


def test_coarse_ticks_are_rounded_for_the_owner_then_spent() -> None:
    legs = (leg("A", "3", "100", "1", whole(1)), leg("B", "-7", "50", "1", whole(1)))
    result = takeover(legs, whole(20))
    # 10 each: A at 96.67 -> 97, B at 51.43 -> 51, which leaves 4; a tick of A costs 3, one of B costs 7
    assert result.prices_e8 == (whole(96), whole(51))
    assert result.left_e8 == whole(1)
    assert result.gains_e8 == (whole(-12), whole(-7))


def test_money_left_that_pays_for_exactly_one_tick_is_spent() -> None:
    legs = (leg("A", "3", "100", "1", whole(1)), leg("B", "-8", "50", "1", whole(1)))
    result = takeover(legs, whole(20))  # 97 and 51 leave 3, which is what a tick of A costs
    assert (result.prices_e8, result.left_e8) == ((whole(96), whole(51)), 0)


def test_a_leg_gives_no_more_than_its_price() -> None:
    # the long option is worth 10: it cannot give 50, the future gives the rest
    legs = (leg("OPTION", "1", "10", "1"), leg("FUTURE", "1", "1000", "1"))
    assert takeover(legs, whole(100)).prices_e8 == (0, whole(910))


def test_an_account_that_owes_nothing_at_any_price_keeps_its_cash() -> None:
    # the source's quote is -1 here, "not possible since it's impossible to sell a position for less than 0 dollars"
    result = takeover((leg("BTC", "1", "50000", "5000"),), whole(50_001))
    assert (result.prices_e8, result.left_e8) == ((0,), whole(1))


def test_a_debt_no_price_reaches_is_uncovered() -> None:
    result = takeover((leg("A", "-1", "100", "1"),), whole(-150))
    assert (result.prices_e8, result.left_e8, result.uncovered_e8) == ((0,), 0, whole(50))


def test_hedges_without_a_share_trade_at_mark() -> None:
    legs = (leg("A", "1", "100", "5"), leg("HEDGE", "-1", "100", "0"))
    assert takeover(legs, whole(-5)).prices_e8 == (whole(105), whole(100))


def test_an_inverse_contract_reaches_its_bankruptcy_price() -> None:
    # long 10,000 dollars from 50,000 with 0.01 of 0.2 coins of value: size / (value + free) = 10000 / 0.21
    contract = Leg("INV", whole(10_000), whole(50_000), whole("0.5"), E8, 1, inverse=True)
    result = takeover((contract,), whole("0.01"))
    assert result.prices_e8 == (whole("47619.5"),)  # 47,619.047..., up for a long
    assert 0 <= result.left_e8 < -gain_e8(contract, whole("47619")) + gain_e8(contract, whole("47619.5"))
    short = Leg("INV", whole(-10_000), whole(50_000), whole("0.5"), E8, 1, inverse=True)
    assert takeover((short,), whole("0.01")).prices_e8 == (whole("52631.5"),)


@pytest.mark.parametrize(
    "arguments", [(0, 100, 1), (1, -1, 1), (1, 100, 0)], ids=["no quantity", "negative mark", "no tick"]
)
def test_impossible_legs_are_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(InvalidReference):
        Leg("A", *arguments)


def test_names_are_unique() -> None:
    with pytest.raises(InvalidReference, match="twice"):
        takeover((leg("A", "1", "100", "1"), leg("A", "2", "100", "1")), 0)


LEGS = st.lists(
    st.builds(
        Leg,
        name=st.uuids().map(str),
        quantity_e8=st.integers(-(10**12), 10**12).filter(bool),
        mark_price_e8=st.integers(10**7, 10**13),
        tick_e8=st.sampled_from((1, 10**4, 10**7)),
        value_per_price_e8=st.sampled_from((E8, 10**6)),
        share=st.integers(0, 10**12),
        inverse=st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda each: each.name,
)


@given(legs=LEGS, equity_e8=st.integers(-(10**14), 10**14))
def test_the_owner_ends_with_nothing_and_owes_nothing(legs: list[Leg], equity_e8: int) -> None:
    result = takeover(legs, equity_e8)
    left = equity_e8 + sum(gain_e8(each, price) for each, price in zip(legs, result.prices_e8, strict=True))
    assert left == result.left_e8 - result.uncovered_e8
    assert result.left_e8 == 0 or result.uncovered_e8 == 0
    assert all(price >= 0 and price % each.tick_e8 == 0 for each, price in zip(legs, result.prices_e8, strict=True))
    if equity_e8 >= 0:
        assert result.uncovered_e8 == 0


@given(legs=LEGS, equity_e8=st.integers(-(10**12), 10**12))
def test_what_is_left_pays_for_no_further_tick(legs: list[Leg], equity_e8: int) -> None:
    linear = [each for each in legs if not each.inverse and each.quantity_e8 < 0]  # shorts: prices have room above
    if not linear or equity_e8 < 0:
        return
    result = takeover(linear, equity_e8)
    dearer = [
        gain_e8(each, price) - gain_e8(each, price + each.tick_e8)
        for each, price in zip(linear, result.prices_e8, strict=True)
    ]
    assert result.left_e8 <= max(dearer)
    assert result.left_e8 < sum(dearer) + len(linear)
