"""The statement: one account's close-out as the arrays that ``engine.unwind`` solves.

Owns what the model leaves out, which the planner then makes good by valuing its plan exactly: fees and impact are
rates instead of whole units of money; what a close pays out is taken to be worth the same in every scenario, except
where it is the coin of the position's own underlying. Refuses to choose anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.books.account import AccountBook
from engine.liquidation.closing import Closing
from engine.pricing.axes import Floats, Ints
from engine.reference.parameters import RiskParameters
from engine.risk.holdings import Holdings, entries, gather
from engine.risk.revaluation import RiskFrame
from engine.risk.row_arrays import NO_UNDERLYING, RowArrays
from engine.risk.scenarios import scenario_names
from engine.units import E8, PPM
from engine.unwind.problem import NO_GROUP, CloseOut


@dataclass(frozen=True, slots=True)
class Statement:
    """``problem`` with what its numbers stand for: the instrument of each item, and the underlying of each group with
    the names of its scenarios."""

    problem: CloseOut
    instruments: tuple[str, ...]
    underlyings: tuple[str, ...]
    scenarios: tuple[tuple[str, ...], ...]


def state(
    book: AccountBook,
    closing: Closing,
    parameters: RiskParameters,
    frame: RiskFrame,
    equity: float,
    hedged: bool = False,
) -> Statement:
    """The close-out of ``book``, whose equity is given, in the parameters and scenarios of ``frame``; if ``hedged``
    with the hedges of ``closing`` among the items, after the positions."""
    names = (*closing.closable, *closing.hedges) if hedged else closing.closable
    rows_wanted = [frame.instrument_rows[name] for name in names]  # A row that is asked for is computed by the gather.
    holdings = entries(gather((book,), frame))
    rows = frame.rows
    held = np.array(rows_wanted, dtype=np.int64)
    quantity_I = np.array([closing.held(name).quantity_e8 / E8 for name in names])
    sign_I = np.sign(quantity_I)
    ranks_C = rows.underlying_C[holdings.row_C]
    ranks = np.unique(np.concatenate([rows.underlying_I[holdings.row_P], ranks_C[ranks_C != NO_UNDERLYING]])).tolist()
    options = sorted({int(group) for group in rows.option_group_I[holdings.row_P]} - {NO_GROUP})
    base_KS, base_O = _not_closable(holdings, rows, set(held.tolist()), ranks, options)
    rates = [closing.cost_rates(name) for name in names]
    loss_IS = np.ascontiguousarray(-sign_I[:, None] * _freed(rows, held))
    group_I = np.searchsorted(ranks, rows.underlying_I[held]).astype(np.int64)
    for item in range(len(closing.closable), len(names)):
        base_KS[group_I[item]] -= loss_IS[item] * abs(quantity_I[item])  # The half that offsets the phantom.
    problem = CloseOut(
        loss_IS=loss_IS,
        group_I=group_I,
        base_KS=base_KS,
        weight=float(rows.maintenance_factor[0]),
        short_I=-sign_I * _short_rate(rows, held),
        option_group_I=np.array([_place(options, group) for group in rows.option_group_I[held]], dtype=np.int64),
        base_O=base_O,
        size_I=np.abs(quantity_I),
        linear_I=np.array([linear for linear, _ in rates]),
        impact_I=np.array([impact for _, impact in rates]),
        pending_I=np.array([closing.ahead(name) for name in names]),
        equity=equity,
        target=parameters.liquidation_target_ppm / PPM,
    )
    underlyings = tuple(frame.grid.underlyings[rank] for rank in ranks)
    scenarios = tuple(scenario_names(parameters, name) for name in underlyings)
    return Statement(problem, names, underlyings, scenarios)


def _not_closable(
    holdings: Holdings, rows: RowArrays, closable: set[int], ranks: list[int], options: list[int]
) -> tuple[Floats, Floats]:
    """Scenario losses [K, S] and option minima [O] of what stays whatever is closed: balances, expired positions."""
    base_KS, base_O = np.zeros((len(ranks), rows.pnl_IS.shape[1])), np.zeros(len(options))
    for row, amount in zip(holdings.row_C.tolist(), holdings.amount_C.tolist(), strict=True):
        if rows.underlying_C[row] != NO_UNDERLYING:
            counted = amount * rows.counted_C[row] if amount > 0.0 else amount
            base_KS[ranks.index(int(rows.underlying_C[row]))] -= counted * rows.pnl_CS[row]
    for row, quantity in zip(holdings.row_P.tolist(), holdings.quantity_P.tolist(), strict=True):
        if row not in closable:
            base_KS[ranks.index(int(rows.underlying_I[row]))] -= quantity * rows.pnl_IS[row]
            if (group := _place(options, rows.option_group_I[row])) != NO_GROUP:
                base_O[group] -= quantity * _short_rate(rows, row)
    return base_KS, base_O


def _place(options: list[int], group: int) -> int:
    return options.index(int(group)) if group != NO_GROUP else NO_GROUP


def _freed(rows: RowArrays, held: Ints) -> Floats:
    """Scenario PnL that goes away with one contract of each row: its own, less that of the coin it pays out."""
    freed_IS: Floats = rows.pnl_IS[held].copy()
    for at, row in enumerate(held.tolist()):
        if rows.settlement_moves_I[row] and not rows.option_I[row]:
            coins = rows.value_I[row] / rows.settlement_price_I[row]
            freed_IS[at] -= coins * rows.settlement_pnl_IS[row]
    return freed_IS


def _short_rate(rows: RowArrays, row: Ints | int) -> Floats:
    """Maintenance minimum of one contract short."""
    rate: Floats = rows.multiplier_I[row] * rows.index_price_I[row] * rows.minimum_maintenance_I[row]
    return rate
