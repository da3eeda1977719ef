"""Contributions: which holding causes how much of a requirement, and what one more contract would cost.

Owns the allocation of any method's requirement to positions and collateral so that the rows add up to it. Refuses to
know methods: it only asks for the requirement of scaled portfolios.

Convention. R(w) is the requirement when holding i has w_i of its size. Where R is homogeneous the contribution is
Euler's, dR/dw_i at w = 1; they add up to R. Elsewhere (tiers, charges that grow with the square root of size) it is
Aumann and Shapley's: the same derivative averaged over the portfolio growing from nothing, ``PATH_NODES`` points of
Gauss and Legendre. At a kink:

* between scenarios, the binding scenario of the whole portfolio stays the binding one, of several the lowest-numbered,
  and none where nothing is lost; a position contributes its PnL there;
* elsewhere (max and min of a formula, a size at a tier's bound) the derivative is the mean of its two sides.

What is required of the account without any holding (stated amounts, open orders) is a row of its own. What the
derivatives leave over is spread over the holdings in proportion to the size of their contributions, or joins the
account's row if there is none; ``residual`` reports it.

Sources: Tasche (1999), Euler allocation; Billera and Heath (1982), Aumann-Shapley prices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from engine.methods.context import Charge
from engine.methods.method import MarginMethod
from engine.methods.requirement import MarginResult, combined, pool_margin
from engine.methods.statement import ONE, ZERO, ParameterMap, StatedPortfolio, StatedPosition
from engine.pricing.axes import Bools, Floats

STEP = ONE / 16384
"""Relative change of a holding in a difference quotient: central, so that pieces that are linear are exact."""
PATH_NODES = 8
HOMOGENEOUS_TOLERANCE = 1e-10
POSITION_AMOUNTS = ("quote_entry",)
"""Parameters of a position that are amounts of it and grow with its size."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """Part of one holding in both requirements, numeraire. ``kind``: position, collateral, or account for what is
    required without any holding. A negative part is a relief: without the holding, more would be required."""

    holding: str
    kind: str
    initial: float
    maintenance: float


@dataclass(frozen=True, slots=True)
class Contributions:
    """Rows that add up to the requirements (positions, then collateral, then the account if it has a part), and the
    share of each that was not a derivative but spread over them."""

    rows: tuple[Contribution, ...]
    initial_margin: float
    maintenance_margin: float
    homogeneous: bool
    residual_initial: float
    residual_maintenance: float


@dataclass(frozen=True, slots=True)
class Marginal:
    """Change of both requirements when one more contract is bought or sold, numeraire."""

    instrument: str
    buy_initial: float
    buy_maintenance: float
    sell_initial: float
    sell_maintenance: float


def contributions(portfolio: StatedPortfolio, method: MarginMethod, *, derived: bool = False) -> Contributions:
    """The requirement of ``portfolio`` by holding; see the module for the convention. ``derived`` as in
    ``pool_margin``. Raises ``InvalidReference``."""
    count = len(portfolio.positions) + len(portfolio.collateral)
    whole = pool_margin(portfolio, method, derived=derived)
    nothing = _requirement(pool_margin(scaled(portfolio, [ZERO] * count), method, derived=True))
    total = _requirement(whole)
    homogeneous = all(
        _near(_requirement(pool_margin(scaled(portfolio, [share] * count), method, derived=True)),
              nothing + float(share) * (total - nothing), total)
        for share in (ONE / 2, ONE / 8)
    )  # fmt: skip
    if homogeneous:
        parts_HR = _derivatives(portfolio, method, whole, ONE)
    else:
        nodes, weights = np.polynomial.legendre.leggauss(PATH_NODES)
        parts_HR = np.zeros((count, 2))
        for node, weight in zip(nodes, weights, strict=True):
            share = Decimal(repr(float(node + 1.0) / 2.0))
            part = pool_margin(scaled(portfolio, [share] * count), method, derived=True)
            parts_HR += 0.5 * float(weight) * _derivatives(portfolio, method, part, share)
    residual_R = total - nothing - parts_HR.sum(axis=0)
    rows_HR, account_R = _spread(parts_HR, nothing, residual_R, total)
    names = [(p.instrument, "position") for p in portfolio.positions]
    names += [(c.asset, "collateral") for c in portfolio.collateral]
    rows = [Contribution(*name, float(row[0]), float(row[1])) for name, row in zip(names, rows_HR, strict=True)]
    if account_R.any():
        rows.append(Contribution(portfolio.account, "account", float(account_R[0]), float(account_R[1])))
    return Contributions(
        tuple(rows), whole.initial_margin, whole.maintenance_margin, homogeneous,
        float(residual_R[0]), float(residual_R[1]),
    )  # fmt: skip


def marginal_margin(portfolio: StatedPortfolio, method: MarginMethod, units: Decimal = ONE) -> tuple[Marginal, ...]:
    """What ``units`` more contracts of every position's instrument, bought or sold, change in both requirements."""
    before = _requirement(pool_margin(portfolio, method))
    result = []
    for i, position in enumerate(portfolio.positions):
        buy, sell = (
            _requirement(pool_margin(_with(portfolio, i, replace(position, quantity=position.quantity + q)), method))
            - before
            for q in (units, -units)
        )
        result.append(Marginal(position.instrument, float(buy[0]), float(buy[1]), float(sell[0]), float(sell[1])))
    return tuple(result)


def scaled(portfolio: StatedPortfolio, shares: Sequence[Decimal]) -> StatedPortfolio:
    """``portfolio`` with every position, then every collateral entry, at its share of its size."""
    count = len(portfolio.positions)
    return replace(
        portfolio,
        positions=tuple(_scaled(p, share) for p, share in zip(portfolio.positions, shares[:count], strict=True)),
        collateral=tuple(
            replace(c, amount=c.amount * share) for c, share in zip(portfolio.collateral, shares[count:], strict=True)
        ),
    )


def _scaled(position: StatedPosition, share: Decimal) -> StatedPosition:
    if share == ONE:
        return position
    pnl = None if position.unrealized_pnl is None else position.unrealized_pnl * share
    return replace(
        position, quantity=position.quantity * share, unrealized_pnl=pnl,
        unrealized_funding=position.unrealized_funding * share,
        parameters=_scaled_amounts(position.parameters, share),
    )  # fmt: skip


def _scaled_amounts(parameters: ParameterMap, share: Decimal) -> ParameterMap:
    amounts = {name: parameters[name] for name in POSITION_AMOUNTS if name in parameters}
    return {
        **parameters,
        **{name: value * share for name, value in amounts.items() if isinstance(value, Decimal)},
    } if amounts else parameters  # fmt: skip


def _with(portfolio: StatedPortfolio, index: int, position: StatedPosition) -> StatedPortfolio:
    positions = portfolio.positions
    return replace(portfolio, positions=(*positions[:index], position, *positions[index + 1 :]))


def _requirement(result: MarginResult) -> Floats:
    return np.array([result.initial_margin, result.maintenance_margin])


def _near(one: Floats, other: Floats, scale: Floats) -> bool:
    return bool((np.abs(one - other) <= HOMOGENEOUS_TOLERANCE * np.maximum(np.abs(scale), 1.0)).all())


def _derivatives(portfolio: StatedPortfolio, method: MarginMethod, whole: MarginResult, share: Decimal) -> Floats:
    """dR/dw of every holding where all stand at ``share``, [H, 2]; ``whole`` is the result there."""
    count = len(portfolio.positions) + len(portfolio.collateral)
    sizes = [p.quantity for p in portfolio.positions] + [c.amount for c in portfolio.collateral]
    slopes_HR = np.zeros((count, 2))
    step = STEP * share
    for i in range(count):
        if sizes[i] == 0:
            continue
        shares = [share] * count
        ends = []
        for end in (share + step, share - step):
            shares[i] = end
            ends.append(_held(pool_margin(scaled(portfolio, shares), method, derived=True), whole, method))
        slopes_HR[i] = (ends[0] - ends[1]) / float(2 * step)
    return slopes_HR


def _held(result: MarginResult, whole: MarginResult, method: MarginMethod) -> Floats:
    """Requirement of ``result`` if the binding scenarios of ``whole`` bound it too."""
    charges = {name: _in_scenario(charge, whole.charges[name]) for name, charge in result.charges.items()}
    return _requirement(combined(result.context, charges, method))


def _in_scenario(charge: Charge, whole: Charge) -> Charge:
    """``charge`` with its loss in the binding scenario of ``whole``, wherever the loss there is the charge."""
    if whole.worst_U is None or whole.scenario_pnl_US is None or charge.scenario_pnl_US is None:
        return charge
    rows = np.arange(len(whole.worst_U))

    def loss(pnl_US: Floats) -> Floats:
        assert whole.worst_U is not None
        return np.where(whole.worst_U >= 0, -pnl_US[rows, whole.worst_U], 0.0)

    if not whole.scenario_pnl_US.shape[1]:
        return charge
    then, now = loss(whole.scenario_pnl_US), loss(charge.scenario_pnl_US)
    return replace(
        charge,
        initial=_where_bound(charge.initial, whole.initial, then, now),
        maintenance=_where_bound(charge.maintenance, whole.maintenance, then, now),
    )


def _where_bound(amount: Floats, whole: Floats, then: Floats, now: Floats) -> Floats:
    if whole.size != then.size:
        return amount
    bound: Bools = np.isclose(whole, then.reshape(whole.shape), rtol=1e-12, atol=1e-9)
    return np.where(bound, now.reshape(whole.shape), amount)


def _spread(parts_HR: Floats, nothing_R: Floats, residual_R: Floats, total_R: Floats) -> tuple[Floats, Floats]:
    """Rows and the account's part after the residual; the largest row takes what rounding leaves."""
    rows_HR, account_R = parts_HR.copy(), nothing_R.copy()
    for r in range(2):
        size = np.abs(parts_HR[:, r])
        if size.sum() > 0.0:
            rows_HR[:, r] += residual_R[r] * size / size.sum()
            rows_HR[int(np.argmax(size)), r] += total_R[r] - math.fsum([*rows_HR[:, r], account_R[r]])
        else:
            account_R[r] = total_R[r]
    return rows_HR, account_R
