"""Option rows: value and scenario PnL of all options of an underlying in one go.

Owns that batch. Refuses to know when it is due (``live_rows``).

NumPy and SciPy compute the transcendental parts, in the order of ``engine.pricing.black76``; rows have its bits.
"""

from __future__ import annotations

import numpy as np

from engine.pricing.axes import Ints
from engine.pricing.black76 import black76
from engine.pricing.volatility import VolatilitySurface, implied_volatility, volatility_shock
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays
from engine.risk.row_kernels import FeedArrays, TermArrays
from engine.risk.scenarios import ScenarioGrid
from engine.units import DAY_US, YEAR_US


def option_rows(
    numbers: Ints,
    time_us: int,
    surface: VolatilitySurface | None,
    feeds: FeedArrays,
    terms: TermArrays,
    grid: ScenarioGrid,
    rows: RowArrays,
) -> None:
    """Write ``value_I`` and ``pnl_IS`` of the options ``numbers``, which all live on ``surface``. Those that
    are not priced get zeros."""
    is_priced = rows.priced_I[numbers]
    if not is_priced.all():
        rows.value_I[numbers[~is_priced]] = 0.0
        rows.pnl_IS[numbers[~is_priced]] = 0.0
        numbers = numbers[is_priced]
    if surface is None or not numbers.size:
        return
    forward_I, strike_I = feeds.price_F[terms.mark_feed_I[numbers]], terms.strike_I[numbers]
    tenor_days_I = np.maximum(terms.expiry_us_I[numbers] - time_us, 0) / DAY_US
    volatility_I = implied_volatility(surface, tenor_days_I, np.log(strike_I / forward_I))
    rank_I = rows.underlying_I[numbers]
    assert (rank_I != NO_UNDERLYING).all(), "priced rows have parameters"
    up_I, down_I = volatility_shock(
        tenor_days_I, grid.volatility_up_U[rank_I], grid.volatility_down_U[rank_I], grid.volatility_power_U[rank_I]
    )
    flat_I = np.ones(numbers.size)
    factor_IV = np.stack([flat_I, up_I, down_I], axis=1)
    # Column 0 is the market as it stands; a volatility move of -1 is the last column: down.
    volatility_IS = factor_IV[:, np.concatenate([[0], grid.volatility_move_S])] * volatility_I[:, None]
    price_IS = np.concatenate([flat_I[:, None], grid.price_factor_US[rank_I]], axis=1)
    unit_IS = black76(
        forward_I[:, None] * price_IS,
        strike_I[:, None],
        (tenor_days_I * (DAY_US / YEAR_US))[:, None],
        volatility_IS,
        terms.sign_I[numbers][:, None],
    )
    settlement_IS = rows.settlement_price_I[numbers][:, None] * np.where(
        rows.settlement_moves_I[numbers][:, None], price_IS, 1.0
    )
    value_IS = rows.multiplier_I[numbers][:, None] * unit_IS * settlement_IS
    rows.value_I[numbers] = value_IS[:, 0]
    rows.pnl_IS[numbers] = (value_IS[:, 1:] - value_IS[:, :1]) * grid.weight_S
