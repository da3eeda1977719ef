"""Closing a leveraged account by hand, and the promise that bankruptcy closing needs no insurance."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.close_out import (
    LeverageHoldings,
    bankruptcy_price,
    bankruptcy_quote,
    block_limits,
    closable_delta,
    fillable_price,
    insurance_fund_delta,
    is_liquidatable,
    remaining_limit,
    uniform_share,
)
from engine.rules.leverage import LeverageMarket
from engine.rules.leverage_account import LeveragePosition
from engine.rules.refusals import RuleRefusal

F = Fraction
MARKETS = {"BTC": LeverageMarket(F(50_000), F(1, 5), F(1, 2)), "ETH": LeverageMarket(F(3_000), F(1, 5), F(1, 2))}


def account(cash: object, **sizes: object) -> LeverageHoldings:
    return LeverageHoldings(
        F(str(cash)), [LeveragePosition(name, F(str(size))) for name, size in sizes.items()], MARKETS
    )


def test_bankruptcy_price_splits_collateral_by_maintenance() -> None:
    # net collateral 600 of maintenance 500 + 60; closing ETH releases 60: gives up floor(600*60/560) = 64.285714
    held = account(-5_000, BTC="0.1", ETH="0.2")
    assert bankruptcy_quote(held, "ETH", "-0.2") == 600 - F("64.285714")
    assert bankruptcy_price(held, "ETH", "-0.2") == (600 - F("64.285714")) / F("0.2")


def test_an_account_below_zero_gets_a_bankruptcy_price_beyond_oracle() -> None:
    assert bankruptcy_quote(account(-5_100, BTC="0.1"), "BTC", "-0.1") == 5_100
    assert bankruptcy_quote(account(4_900, BTC="-0.1"), "BTC", "0.1") == -4_900


@pytest.mark.parametrize(
    ("adjustment", "spread", "wanted"),
    # net collateral 400 of 500: rating 0.2 * adjustment, at most 1; per unit: 50,000 - rating * spread * 5,000
    [
        (1, "0.1", 49_900),
        (2, "0.1", 49_800),
        (5, "0.1", 49_500),
        (100, "0.1", 49_500),
        (1, "1.5", 48_500),
        (0, 1, 50_000),
    ],
)
def test_fillable_price_moves_with_the_rating(adjustment: int, spread: str, wanted: int) -> None:
    assert fillable_price(account(-4_600, BTC="0.1"), "BTC", "-0.1", adjustment, spread) == wanted


def test_a_healthy_account_fills_at_oracle() -> None:
    assert fillable_price(account(0, BTC="0.1"), "BTC", "-0.1") == 50_000


@pytest.mark.parametrize("delta", ["0", "0.05", "-0.2"])
def test_a_change_that_does_not_reduce_is_refused(delta: str) -> None:
    for rule in (bankruptcy_quote, fillable_price):
        with pytest.raises(RuleRefusal, match="invalid size delta"):
            rule(account(-4_600, BTC="0.1"), "BTC", delta)


def test_without_a_requirement_there_is_no_price() -> None:
    free = {"BTC": LeverageMarket(F(50_000))}
    held = LeverageHoldings(F(0), [LeveragePosition("BTC", F(1))], free)
    with pytest.raises(RuleRefusal, match="no maintenance margin"):
        bankruptcy_quote(held, "BTC", -1)


@pytest.mark.parametrize(
    ("price", "fee", "wanted"),
    [(56_100, "0.005", "28.05"), (51_100, "0.005", "10"), (51_000, "0.005", "0"), (50_900, "0.005", "-10")],
)
def test_the_fund_takes_at_most_the_fee_and_pays_what_is_missing(price: int, fee: str, wanted: str) -> None:
    held = account(-5_100, BTC="0.1")  # bankrupt at 51,000
    assert insurance_fund_delta(held, "BTC", False, "0.1", price, fee) == F(wanted)


def test_a_fill_of_zero_is_refused() -> None:
    with pytest.raises(RuleRefusal, match="invalid fill size"):
        insurance_fund_delta(account(-5_100, BTC="0.1"), "BTC", False, 0, 50_000, 1)


def test_limits_of_one_step() -> None:
    assert block_limits(-1, 50_000, 1_000, "0.1") == (1_000, 5_000)
    assert block_limits(1, 50_000, 10_000, "0.1") == (10_000, 10_000)  # the least lifts the most
    assert block_limits("0.01", 50_000, 1_000, "0.1") == (500, 500)
    assert remaining_limit(100, 40) == 60
    with pytest.raises(InvalidReference, match="used: 101 is above its limit 100"):
        remaining_limit(100, 101)


@pytest.mark.parametrize(
    ("size", "most", "lot", "wanted"),
    [
        ("1", 50_000, "0.1", "-1"),
        ("1", 49_999, "0.1", "-0.9"),
        ("-1", 12_345, "0.1", "0.2"),
        ("1", 10, "0.1", "-0.1"),  # at least one step
        ("0.05", 10, "0.1", "-0.05"),  # never more than there is
    ],
)
def test_closable_size_in_whole_steps(size: str, most: int, lot: str, wanted: str) -> None:
    assert closable_delta(size, 50_000, most, lot) == F(wanted)


def test_uniform_share_of_the_published_example() -> None:
    # Paradex documentation: account 80, maintenance 88.8, fee 50 %: 40 % closed, penalty 17.76; at 70 % it is 60 %
    assert uniform_share(80, "88.8", "0.5") == (F("0.4"), F("17.76"))
    assert uniform_share(80, "88.8", "0.7") == (F("0.6"), F("37.296"))
    assert uniform_share(100, 50, "0.5") == (0, 0)
    assert uniform_share(10, "88.8", "0.7")[0] == 1


sizes = st.fractions(min_value=F(1, 10**4), max_value=10, max_denominator=10**6)
cash = st.fractions(min_value=-(10**6), max_value=10**6, max_denominator=10**6)


@given(
    cash, sizes, sizes, st.sampled_from([1, -1]), st.fractions(min_value=F(1, 100), max_value=1, max_denominator=100)
)
def test_closing_at_the_bankruptcy_price_never_makes_the_account_riskier(
    balance: Fraction, btc: Fraction, eth: Fraction, sign: int, part: Fraction
) -> None:
    held = LeverageHoldings(balance, [LeveragePosition("BTC", sign * btc), LeveragePosition("ETH", -eth)], MARKETS)
    delta = -sign * btc * part
    quote = bankruptcy_quote(held, "BTC", delta)
    after = LeverageHoldings(balance + quote, [*held.positions, LeveragePosition("BTC", delta)], MARKETS).risk()
    before = held.risk()
    assume(after.maintenance_margin > 0)
    kept = before.net_collateral * after.maintenance_margin / before.maintenance_margin
    # the quote was rounded up by less than one step, so the account keeps its ratio and at most a step more
    assert 0 <= after.net_collateral - kept < F(1, 10**6)


@given(cash, sizes)
def test_the_fillable_price_of_a_long_is_between_the_widest_spread_and_oracle(
    balance: Fraction, size: Fraction
) -> None:
    held = account(balance, BTC=size)
    price = fillable_price(held, "BTC", -size, 1, 1)
    margin = held.risk().maintenance_margin
    value = (size * 50_000 * 10**6).__floor__() / F(10**6)
    assert value - margin <= price * size <= value
    assert is_liquidatable(held) == (held.risk().net_collateral < margin)
