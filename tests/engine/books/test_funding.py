from __future__ import annotations

import pytest

from engine.books.funding import funding_index, funding_payment
from engine.reference.instruments import Instrument
from tests.builders import CALL, FUTURE, INVERSE, PERP, SPOT, e8, mark


@pytest.mark.parametrize(
    ("instrument", "quantity", "moved_e12", "paid_e8"),
    [
        (PERP, 2, 3 * 10**12, e8(6)),  # 3 USD per unit: a long of 2 pays 6
        (PERP, -2, 3 * 10**12, e8(-6)),
        (PERP, 2, -3 * 10**12, e8(-6)),
        (PERP, "0.01", 1, 1),  # 10^-14 USD: the account pays the fraction
        (PERP, "-0.01", 1, 0),  # ... and never receives it
        (INVERSE, 5, 10**9, e8("0.5")),  # 0.001 coin per quote unit x 5 contracts x 100
        (FUTURE, 2, 3 * 10**12, 0),
        (CALL, 2, 3 * 10**12, 0),
    ],
)
def test_payment(instrument: Instrument, quantity: int | str, moved_e12: int, paid_e8: int) -> None:
    assert paid_e8 == funding_payment(instrument, e8(quantity), 7, 7 + moved_e12)


def test_index_is_that_of_the_contract_kind() -> None:
    marks = {"BTC-PERP": mark("BTC-PERP", 20_000, 0, linear_e12=11, inverse_e12=13)}
    assert (11, 13) == (funding_index(PERP, marks), funding_index(INVERSE, marks))
    assert (0, 0, 0) == tuple(funding_index(kind, marks) for kind in (SPOT, FUTURE, CALL))


def test_index_of_a_feed_without_a_mark_is_where_the_oracle_starts() -> None:
    assert 0 == funding_index(PERP, {})
