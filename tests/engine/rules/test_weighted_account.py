"""Weighted accounts by hand: strict prices, open orders, custom ratios, profits, isolation, buffer."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InvalidReference
from engine.rules.weighted_account import net_usd_value, terms_for, weighted_account
from engine.rules.weighted_holdings import PerpHolding, PriceRange, SpotHolding, WeightedTerms, perp_item, spot_item
from engine.rules.weights import HighLeverage

F = Fraction
USDC = SpotHolding("USDC", F(10_000), F(1))
SOL = SpotHolding("SOL", F(100), F(100), F("0.8"), F("1.2"), F("0.9"), F("1.1"), risky=True)
PERP = PerpHolding("SOL-PERP", F(100), F(100), F("0.1"), F("0.05"), quote_entry=F(-10_000))
INITIAL, MAINTENANCE, FILL = WeightedTerms("initial"), WeightedTerms("maintenance"), WeightedTerms("fill")


def test_deposits_and_debts_take_the_weight_of_the_margin_type() -> None:
    debt = replace(SOL, amount=F(-100))
    assert [spot_item(SOL, terms).collateral for terms in (INITIAL, FILL, MAINTENANCE)] == [8_000, 8_500, 9_000]
    assert [spot_item(debt, terms).margin_requirement for terms in (INITIAL, FILL, MAINTENANCE)] == [
        12_000,
        11_500,
        11_000,
    ]


def test_strict_prices_are_the_worse_of_oracle_and_average_only_when_strict() -> None:
    strict = WeightedTerms(strict=True)
    averaged = replace(SOL, twap=F(90))
    assert spot_item(averaged, INITIAL).collateral == 8_000
    assert spot_item(averaged, strict).collateral == 7_200
    assert spot_item(replace(averaged, twap=F(110)), strict).collateral == 8_000
    assert spot_item(replace(averaged, amount=F(-1), twap=F(110)), strict).margin_requirement == 132
    assert spot_item(replace(averaged, amount=F(-1)), strict).margin_requirement == 120


def test_spot_orders_count_on_the_worse_side_with_a_fee_each() -> None:
    # bids 50: token value 10,000 + 5,000, weighted 12,000, less the 5,000 to pay -> 7,000 free
    # asks 150: 50 short, weighted debt 6,000, plus the 15,000 received -> 9,000 free: the bids are worse
    orders = replace(SOL, open_bids=F(50), open_asks=F(150), open_orders=2)
    item = spot_item(orders, INITIAL)
    assert (item.collateral, item.margin_requirement, item.worst_size) == (12_000, 5_000 + F("0.02"), 150)
    # asks 200 of nothing held: debt 200 * 100 * 1.2 against 20,000 received
    short = replace(SOL, amount=F(0), open_asks=F(200), open_orders=1)
    item = spot_item(short, INITIAL)
    assert (item.collateral, item.margin_requirement, item.worst_size) == (20_000, 24_000 + F("0.01"), -200)


def test_orders_of_the_settlement_currency_do_not_count() -> None:
    assert spot_item(replace(USDC, open_asks=F(5_000), open_orders=3), INITIAL) == spot_item(USDC, INITIAL)


def test_perp_orders_count_on_the_side_with_the_larger_liability() -> None:
    item = perp_item(replace(PERP, open_bids=F(10), open_asks=F(150), open_orders=2), INITIAL)
    assert (item.worst_size, item.margin_requirement) == (110, 1_100 + F("0.02"))
    item = perp_item(replace(PERP, open_bids=F(10), open_asks=F(210)), INITIAL)
    assert item.worst_size == -110  # a tie goes to the sell side


def test_a_short_of_a_prediction_contract_owes_the_rest_to_one() -> None:
    contract = PerpHolding("VOTE", F(-100), F("0.75"), F(1), F(1), prediction=True)
    assert perp_item(contract, INITIAL).margin_requirement == 25
    assert perp_item(replace(contract, size=F(100)), INITIAL).margin_requirement == 75
    # 40 bought, 60 sold: short 60 * 0.25 = 15 against long 40 * 0.75 = 30
    orders = replace(contract, size=F(0), open_bids=F(40), open_asks=F(60))
    assert perp_item(orders, INITIAL).worst_size == 40


@pytest.mark.parametrize(
    ("entry", "terms", "wanted"),
    [
        (-9_950, INITIAL, 50),
        (-9_000, INITIAL, 100),  # the profit of a market counts up to 100 for initial margin
        (-9_000, FILL, 1_000),
        (-9_000, MAINTENANCE, 1_000),
        (-11_000, INITIAL, -1_000),
    ],
)
def test_profit_is_capped_for_initial_margin_and_a_loss_counts_in_full(
    entry: int, terms: WeightedTerms, wanted: int
) -> None:
    assert perp_item(replace(PERP, quote_entry=F(entry)), terms).collateral == wanted


def test_profit_is_weighted_then_priced_in_the_settlement_currency() -> None:
    gain, quote = replace(PERP, quote_entry=F(-9_900), pnl_weight=F("0.5")), PriceRange(F("1.01"), F("0.99"))
    assert perp_item(gain, WeightedTerms(quote=quote)).collateral == F("50.5")
    assert perp_item(gain, WeightedTerms(strict=True, quote=quote)).collateral == F("49.5")
    loss = replace(gain, quote_entry=F(-10_100))
    assert perp_item(loss, WeightedTerms(strict=True, quote=quote)).collateral == -101
    # the liability is valued at the higher price
    assert perp_item(loss, WeightedTerms(strict=True, quote=quote)).margin_requirement == 1_010


def test_funding_is_part_of_the_profit_and_settlement_frees_the_requirement() -> None:
    assert perp_item(replace(PERP, funding=F(-30)), INITIAL).collateral == -30
    expired = perp_item(replace(PERP, expiry_price=F(99)), INITIAL)
    assert (expired.collateral, expired.margin_requirement) == (-100, 0)


def test_custom_ratios() -> None:
    own = WeightedTerms(user_ratio=F("0.5"))
    assert perp_item(PERP, own).margin_requirement == 5_000
    assert perp_item(replace(PERP, position_ratio=F("0.7")), own).margin_requirement == 7_000
    assert perp_item(PERP, replace(own, margin_type="maintenance")).margin_requirement == 500
    assert perp_item(PERP, WeightedTerms("maintenance", ratio_override=F("0.5"))).margin_requirement == 5_000
    assert spot_item(SOL, own).collateral == 5_000  # weight 1 - 0.5
    assert spot_item(replace(SOL, amount=F(-100)), own).margin_requirement == 15_000  # weight 1 + 0.5
    assert spot_item(SOL, WeightedTerms(user_ratio=F(2))).collateral == 0
    assert spot_item(USDC, own).collateral == 10_000


def test_size_premium_and_high_leverage_reach_the_account() -> None:
    large = replace(PERP, imf=F("0.01"))
    assert perp_item(large, INITIAL).margin_requirement == 1_800  # 0.08 + 0.01 * 10
    mode = replace(PERP, high_leverage=HighLeverage(F("0.02"), F("0.01")))
    assert [perp_item(mode, terms).margin_requirement for terms in (INITIAL, FILL, MAINTENANCE)] == [200, 150, 100]


def test_the_account_adds_up_and_isolated_positions_stand_alone() -> None:
    apart = replace(PERP, market="ETH-PERP", isolated_collateral=F(800), quote_entry=F(-10_100))
    account = weighted_account([USDC, SOL], [PERP, apart])
    assert (account.total_collateral, account.margin_requirement) == (18_000, 1_000)
    assert (account.free_collateral, account.meets_requirement) == (17_000, False)
    alone = account.isolated["ETH-PERP"]
    assert (alone.total_collateral, alone.margin_requirement, alone.meets_requirement) == (700, 1_000, False)


def test_the_buffer_enlarges_losses_and_liabilities() -> None:
    terms = WeightedTerms("maintenance", buffer=F("0.02"))
    loss = replace(PERP, quote_entry=F(-10_500))
    account = weighted_account([replace(USDC, amount=F(900))], [loss], terms)
    # requirement 500 + 2 % of 10,000; collateral 900 - 500 less 2 % of the loss
    assert (account.margin_requirement_with_buffer, account.total_collateral_with_buffer) == (700, 390)
    assert (account.shortage, account.meets_requirement) == (310, False)


def test_the_first_holding_that_is_not_risky_prices_the_settlement_currency() -> None:
    terms = terms_for([SOL, replace(USDC, price=F("0.98"), twap=F("0.99"))])
    assert terms.quote == PriceRange(F("0.98"), F("0.99"))
    assert terms_for([SOL]).quote == PriceRange(F(1))


def test_net_value_is_unweighted_and_in_oracle_prices() -> None:
    gain = replace(PERP, quote_entry=F(-9_000), pnl_weight=F(0), funding=F(5), isolated_collateral=F(7))
    assert net_usd_value([USDC, replace(SOL, amount=F(-1))], [gain]) == 10_000 - 100 + 1_005 + 7
    assert net_usd_value([], [gain], F("0.5")) == F("502.5") + F("3.5")


def test_a_negative_price_and_a_name_twice_are_refused() -> None:
    with pytest.raises(InvalidReference, match="price: -1 of SOL is below zero"):
        spot_item(replace(SOL, price=F(-1)), INITIAL)
    with pytest.raises(InvalidReference, match="spot: an asset or market appears twice"):
        weighted_account([SOL, SOL], [])


amounts = st.fractions(min_value=-(10**5), max_value=10**5, max_denominator=10**6)
orders = st.fractions(min_value=0, max_value=10**5, max_denominator=10**6)


@given(amounts, orders, orders, st.sampled_from([INITIAL, FILL, MAINTENANCE]))
def test_more_orders_never_lower_a_perp_requirement(
    size: Fraction, bids: Fraction, asks: Fraction, terms: WeightedTerms
) -> None:
    bare = replace(PERP, size=size, imf=F("0.001"))
    with_orders = replace(bare, open_bids=bids, open_asks=asks)
    assert perp_item(with_orders, terms).margin_requirement >= perp_item(bare, terms).margin_requirement


@given(amounts, orders, orders, st.fractions(min_value=1, max_value=200, max_denominator=1000))
def test_strict_and_orders_never_add_free_collateral(
    amount: Fraction, bids: Fraction, asks: Fraction, twap: Fraction
) -> None:
    def free(holding: SpotHolding, terms: WeightedTerms) -> Fraction:
        item = spot_item(holding, terms)
        return item.collateral - item.margin_requirement

    bare = replace(SOL, amount=amount, twap=twap)
    strict = WeightedTerms(strict=True)
    assert free(bare, strict) <= free(bare, INITIAL)
    # one 1e-6 of rounding per product
    assert free(replace(bare, open_bids=bids, open_asks=asks), INITIAL) <= free(bare, INITIAL) + F(3, 10**6)
