"""Margin modes: one pool for everything, every position alone, or as the account has chosen position by position.

Owns the split of an account into its cross pool and its isolated positions, and what a change of mode frees. Refuses
to know how a pool is margined.

A position in isolated mode is margined on its own ``isolated_collateral``, which is no part of ``cash``: its gains and
losses stay with it. Everything else, with cash, collateral and open orders, is the cross pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.errors import InvalidReference
from engine.methods.method import MarginMethod
from engine.methods.requirement import MarginResult, pool_margin
from engine.methods.statement import ZERO, MarginMode, StatedPortfolio, StatedPosition


@dataclass(frozen=True, slots=True)
class ModeMargin:
    """Sums over the pools of one way to margin an account, numeraire."""

    equity: float
    equity_initial: float
    initial_margin: float
    maintenance_margin: float

    @property
    def margin_excess_initial(self) -> float:
        """Equity minus initial margin, over all pools: what one pool is short of, another may have."""
        return self.equity_initial - self.initial_margin

    @property
    def margin_excess_maintenance(self) -> float:
        """Equity minus maintenance margin, over all pools."""
        return self.equity - self.maintenance_margin


@dataclass(frozen=True, slots=True)
class AccountMargin:
    """The cross pool and, by instrument, every isolated position."""

    cross: MarginResult
    isolated: Mapping[str, MarginResult]

    @property
    def pools(self) -> Mapping[str, MarginResult]:
        """Every pool: ``cross``, then the isolated positions by instrument. Each is liquidated by itself."""
        return {"cross": self.cross, **self.isolated}

    @property
    def total(self) -> ModeMargin:
        """All pools added up."""
        return _sum(*self.pools.values())

    @property
    def initial_left(self) -> float:
        """Excess over initial margin of the pool that has least."""
        return min(pool.margin_excess_initial for pool in self.pools.values())

    @property
    def maintenance_left(self) -> float:
        """Excess over maintenance margin of the pool that has least: below 0, a pool is liquidated."""
        return min(pool.margin_excess_maintenance for pool in self.pools.values())


@dataclass(frozen=True, slots=True)
class ModeComparison:
    """One account margined as one pool, as every position alone, and as stated; ``freed_*`` is alone minus cross, the
    margin that netting sets free (negative where a method charges a pool for something it does not charge parts)."""

    cross: ModeMargin
    alone: ModeMargin
    stated: ModeMargin
    by_position: Mapping[str, tuple[float, float]]

    @property
    def freed_initial(self) -> float:
        """Initial margin that netting frees."""
        return self.alone.initial_margin - self.cross.initial_margin

    @property
    def freed_maintenance(self) -> float:
        """Maintenance margin that netting frees."""
        return self.alone.maintenance_margin - self.cross.maintenance_margin


@dataclass(frozen=True, slots=True)
class ModeSwitch:
    """An account before and after one position changes its mode. ``freed_*``: how much the requirement falls."""

    portfolio: StatedPortfolio
    before: AccountMargin
    after: AccountMargin

    @property
    def freed_initial(self) -> float:
        """Initial margin set free; negative if the change binds more."""
        return self.before.total.initial_margin - self.after.total.initial_margin

    @property
    def freed_maintenance(self) -> float:
        """Maintenance margin set free."""
        return self.before.total.maintenance_margin - self.after.total.maintenance_margin


def account_margin(portfolio: StatedPortfolio, method: MarginMethod) -> AccountMargin:
    """The account as stated: its cross pool, and every isolated position on its own collateral. Raises
    ``InvalidReference``."""
    isolated = [p for p in portfolio.positions if p.mode is MarginMode.ISOLATED]
    if not isolated:
        return AccountMargin(pool_margin(portfolio, method), {})
    pool_margin(portfolio, method)  # refuses what no part of the account asks for
    apart = {p.instrument for p in isolated}
    pool = replace(
        portfolio,
        positions=tuple(p for p in portfolio.positions if p.instrument not in apart),
        orders=tuple(order for order in portfolio.orders if order.instrument not in apart),
    )
    return AccountMargin(
        pool_margin(pool, method, derived=True),
        {p.instrument: pool_margin(isolated_portfolio(portfolio, p), method, derived=True) for p in isolated},
    )


def isolated_portfolio(portfolio: StatedPortfolio, position: StatedPosition) -> StatedPortfolio:
    """One position as a portfolio of its own: its collateral is its cash, its open orders are its own."""
    return replace(
        portfolio,
        cash=position.isolated_collateral,
        collateral=(),
        orders=tuple(order for order in portfolio.orders if order.instrument == position.instrument),
        positions=(replace(position, mode=MarginMode.CROSS, isolated_collateral=ZERO),),
    )


def as_cross(portfolio: StatedPortfolio) -> StatedPortfolio:
    """The same account with every position in the pool, isolated collateral returned to cash."""
    back = sum((p.isolated_collateral for p in portfolio.positions if p.mode is MarginMode.ISOLATED), ZERO)
    return replace(
        portfolio,
        cash=portfolio.cash + back,
        positions=tuple(replace(p, mode=MarginMode.CROSS, isolated_collateral=ZERO) for p in portfolio.positions),
    )


def compare_modes(portfolio: StatedPortfolio, method: MarginMethod) -> ModeComparison:
    """Cross, every position alone, and the stated mixture, side by side. Alone, the positions' requirements add up,
    and what is required of cash and collateral without any position. Raises ``InvalidReference``."""
    pool = as_cross(portfolio)
    cross = pool_margin(pool, method)
    bare = pool_margin(replace(pool, positions=(), orders=()), method, derived=True)
    # Amounts stated for the account as a whole are in every pool; they count once, with cash and collateral.
    empty = pool_margin(replace(pool, cash=ZERO, collateral=(), positions=(), orders=()), method, derived=True)
    parts = {p.instrument: pool_margin(isolated_portfolio(pool, p), method, derived=True) for p in pool.positions}
    own = {
        name: (part.initial_margin - empty.initial_margin, part.maintenance_margin - empty.maintenance_margin)
        for name, part in parts.items()
    }
    alone = ModeMargin(
        cross.equity,
        cross.equity_initial,
        bare.initial_margin + sum(initial for initial, _ in own.values()),
        bare.maintenance_margin + sum(maintenance for _, maintenance in own.values()),
    )
    return ModeComparison(_sum(cross), alone, account_margin(portfolio, method).total, own)


def switch_mode(
    portfolio: StatedPortfolio,
    method: MarginMethod,
    instrument: str,
    mode: MarginMode,
    collateral: Decimal | None = None,
) -> ModeSwitch:
    """The account after ``instrument`` changes to ``mode``. Into isolation it takes ``collateral`` from cash (None: its
    own initial requirement); back into the pool it returns all it has. Raises ``InvalidReference``."""
    index = next((i for i, p in enumerate(portfolio.positions) if p.instrument == instrument), None)
    if index is None:
        raise InvalidReference("instrument", f"{instrument} is not among the positions")
    position = portfolio.positions[index]
    if position.mode is mode:
        raise InvalidReference("mode", f"{instrument} is {mode} already")
    if mode is MarginMode.CROSS:
        moved = -position.isolated_collateral
        changed = replace(position, mode=mode, isolated_collateral=ZERO)
    else:
        moved = _own_requirement(portfolio, method, position) if collateral is None else collateral
        if moved < 0:
            raise InvalidReference("collateral", "must not be negative")
        changed = replace(position, mode=mode, isolated_collateral=moved)
    positions = (*portfolio.positions[:index], changed, *portfolio.positions[index + 1 :])
    after = replace(portfolio, cash=portfolio.cash - moved, positions=positions)
    return ModeSwitch(after, account_margin(portfolio, method), account_margin(after, method))


def _own_requirement(portfolio: StatedPortfolio, method: MarginMethod, position: StatedPosition) -> Decimal:
    """Collateral with which the position alone is exactly at its initial requirement, never negative."""
    alone = pool_margin(
        isolated_portfolio(portfolio, replace(position, isolated_collateral=ZERO)), method, derived=True
    )
    return max(Decimal(repr(alone.initial_margin - alone.equity_initial)), ZERO)


def _sum(*pools: MarginResult) -> ModeMargin:
    return ModeMargin(
        sum(pool.equity for pool in pools),
        sum(pool.equity_initial for pool in pools),
        sum(pool.initial_margin for pool in pools),
        sum(pool.maintenance_margin for pool in pools),
    )
