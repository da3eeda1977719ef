"""What-if: fills, transfers and market moves that have not happened, on a stated portfolio.

Owns the portfolio that they lead to. Refuses to know how it is margined, and to judge (``pre_trade``).

A change is applied in one order: fills at today's market, transfers, then the move. A fill of options or spot is paid
out of cash (of an isolated position: out of its own collateral); one of perpetuals and futures changes the average
entry, and what it closes is realized in cash. Where a method reads positions without an entry as paid out of cash
(``quote_balance = "cash"``), fills are paid so, too.

A spot move of s multiplies spot, perpetual price, forwards (their part not yet fixed), marks of linear contracts and
prices of collateral of that underlying by 1 + s. A volatility move of v multiplies volatilities and SVI slices by
1 + v. An option with a stated mark moves by what its model value moves, not below 0. Positions whose entry is not
stated count as entered at the mark before the move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.errors import InvalidReference
from engine.methods.context import MarginContext
from engine.methods.method import MarginMethod
from engine.methods.modes import AccountMargin, account_margin
from engine.methods.statement import (
    ONE,
    ZERO,
    MarginMode,
    PositionKind,
    StatedCollateral,
    StatedExpiry,
    StatedMarket,
    StatedPortfolio,
    StatedPosition,
)
from engine.pricing.settlement_window import WINDOW_SECONDS

CASH = "cash"


@dataclass(frozen=True, slots=True)
class Fill:
    """``quantity`` contracts of a stated position's instrument (negative: sold) at ``price`` per unit, None: mark."""

    instrument: str
    quantity: Decimal
    price: Decimal | None = None
    fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Transfer:
    """``amount`` of an asset into the account (negative: out). The asset is ``cash`` or a stated collateral's name."""

    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Change:
    """What might happen at once. ``spot`` and ``vol`` are pairs (underlying, relative move)."""

    fills: tuple[Fill, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    spot: tuple[tuple[str, Decimal], ...] = ()
    vol: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The portfolio after a change, and its margin."""

    change: Change
    portfolio: StatedPortfolio
    margin: AccountMargin


def what_if(portfolio: StatedPortfolio, method: MarginMethod, change: Change) -> WhatIf:
    """Margin after ``change``; raises ``InvalidReference`` naming the part of the change that is wrong."""
    after = changed(portfolio, method, change)
    return WhatIf(change, after, account_margin(after, method))


def what_ifs(portfolio: StatedPortfolio, method: MarginMethod, changes: Sequence[Change]) -> tuple[WhatIf, ...]:
    """Every change on its own; equal ones are computed once."""
    known: dict[Change, WhatIf] = {}
    for i, change in enumerate(changes):
        if change not in known:
            try:
                known[change] = what_if(portfolio, method, change)
            except InvalidReference as error:
                raise InvalidReference(f"changes[{i}].{error.field}", error.detail) from error
    return tuple(known[change] for change in changes)


def changed(portfolio: StatedPortfolio, method: MarginMethod, change: Change) -> StatedPortfolio:
    """``portfolio`` after ``change``."""
    result = portfolio
    for i, fill in enumerate(change.fills):
        result = filled(result, method, fill, f"fills[{i}]")
    for i, transfer in enumerate(change.transfers):
        result = _transferred(result, transfer, f"transfers[{i}]")
    if change.spot or change.vol:
        result = moved(result, method, _moves(portfolio, change.spot, "spot"), _moves(portfolio, change.vol, "vol"))
    return result


def filled(portfolio: StatedPortfolio, method: MarginMethod, fill: Fill, path: str = "fill") -> StatedPortfolio:
    """``portfolio`` after one fill; raises ``InvalidReference``."""
    index = next((i for i, p in enumerate(portfolio.positions) if p.instrument == fill.instrument), None)
    if index is None:
        raise InvalidReference(
            f"{path}.instrument", f"{fill.instrument} is not among the positions; state it with quantity 0 to trade it"
        )
    if fill.quantity == 0:
        raise InvalidReference(f"{path}.quantity", "must not be 0")
    if fill.price is not None and fill.price < 0:
        raise InvalidReference(f"{path}.price", "must not be negative")
    position = portfolio.positions[index]
    if position.inverse and fill.price == 0:
        raise InvalidReference(f"{path}.price", "must be positive")
    mark = marks(portfolio, method)[index]
    after, paid = _bought(position, fill, mark, pays_from_cash(method))
    isolated = position.mode is MarginMode.ISOLATED
    if isolated:
        after = replace(after, isolated_collateral=after.isolated_collateral - paid - fill.fee)
    positions = (*portfolio.positions[:index], after, *portfolio.positions[index + 1 :])
    return replace(portfolio, positions=positions, cash=portfolio.cash - (ZERO if isolated else paid + fill.fee))


def marks(portfolio: StatedPortfolio, method: MarginMethod) -> tuple[Decimal, ...]:
    """The price per unit of every position, as stated or else as the method values it."""
    table = MarginContext(portfolio, method).table
    return tuple(
        p.mark_price if p.mark_price is not None else Decimal(repr(float(table.price_P[i])))
        for i, p in enumerate(portfolio.positions)
    )


def pays_from_cash(method: MarginMethod) -> bool:
    """Whether the method reads positions without an entry price as paid out of cash."""
    return any(use.options.get("quote_balance") == "cash" for use in method.components.values())


def _bought(position: StatedPosition, fill: Fill, mark: Decimal, from_cash: bool) -> tuple[StatedPosition, Decimal]:
    """The position after the fill, and what cash pays for it."""
    price = mark if fill.price is None else fill.price
    units = fill.quantity * position.multiplier
    total = position.quantity + fill.quantity
    after = replace(position, quantity=total)
    quote = position.parameters.get("quote_entry")
    if isinstance(quote, Decimal):
        return replace(after, parameters={**position.parameters, "quote_entry": quote - units * price}), ZERO
    if position.kind in (PositionKind.OPTION, PositionKind.SPOT):
        return after, units * price
    if position.unrealized_pnl is not None:
        return replace(after, unrealized_pnl=position.unrealized_pnl + _gain(position, units, price, mark)), ZERO
    if position.entry_price is None:
        return after, units * price if from_cash else -_gain(position, units, price, mark)
    if position.quantity * fill.quantity >= 0:
        return replace(after, entry_price=_average(position, fill.quantity, price)), ZERO
    closed = min(abs(fill.quantity), abs(position.quantity)).copy_sign(position.quantity) * position.multiplier
    entry = price if total * position.quantity < 0 else position.entry_price
    return replace(after, entry_price=entry), -_gain(position, closed, position.entry_price, price)


def _gain(position: StatedPosition, units: Decimal, start: Decimal, end: Decimal) -> Decimal:
    """What ``units`` gain from price ``start`` to ``end``."""
    return units * (ONE / start - ONE / end) if position.inverse else units * (end - start)


def _average(position: StatedPosition, quantity: Decimal, price: Decimal) -> Decimal:
    assert position.entry_price is not None
    total = position.quantity + quantity
    if position.inverse:
        return total / (position.quantity / position.entry_price + quantity / price)
    return (position.quantity * position.entry_price + quantity * price) / total


def _transferred(portfolio: StatedPortfolio, transfer: Transfer, path: str) -> StatedPortfolio:
    if transfer.asset == CASH:
        return replace(portfolio, cash=portfolio.cash + transfer.amount)
    index = next((i for i, c in enumerate(portfolio.collateral) if c.asset == transfer.asset), None)
    if index is None:
        names = ", ".join([CASH, *(c.asset for c in portfolio.collateral)])
        raise InvalidReference(f"{path}.asset", f"{transfer.asset} is not one of {names}")
    entry = portfolio.collateral[index]
    after = replace(entry, amount=entry.amount + transfer.amount)
    return replace(portfolio, collateral=(*portfolio.collateral[:index], after, *portfolio.collateral[index + 1 :]))


def _moves(portfolio: StatedPortfolio, pairs: Sequence[tuple[str, Decimal]], path: str) -> Mapping[str, Decimal]:
    for name, move in pairs:
        if name not in portfolio.markets:
            raise InvalidReference(f"{path}.{name}", "is not among the markets")
        if move <= -1:
            raise InvalidReference(f"{path}.{name}", "must be above -1")
    if len(dict(pairs)) != len(pairs):
        raise InvalidReference(path, "moves an underlying twice")
    return dict(pairs)


def moved(
    portfolio: StatedPortfolio, method: MarginMethod, spot: Mapping[str, Decimal], vol: Mapping[str, Decimal]
) -> StatedPortfolio:
    """``portfolio`` after relative moves of spot and volatility by underlying."""
    before = marks(portfolio, method)
    from_cash = pays_from_cash(method)
    markets = {
        name: _moved_market(market, spot.get(name, ZERO), vol.get(name, ZERO))
        for name, market in portfolio.markets.items()
    }
    positions = tuple(
        _moved_position(
            position, before[i], spot.get(position.underlying, ZERO), vol.get(position.underlying, ZERO), from_cash
        )
        for i, position in enumerate(portfolio.positions)
    )
    result = replace(
        portfolio, markets=markets, positions=positions,
        collateral=tuple(_moved_collateral(entry, spot) for entry in portfolio.collateral),
    )  # fmt: skip
    if all(p.kind is not PositionKind.OPTION or p.mark_price is None for p in positions):
        return result
    model, after = _model_marks(portfolio, method), _model_marks(result, method)
    return replace(
        result,
        positions=tuple(
            replace(p, mark_price=max(p.mark_price + after[i] - model[i], ZERO))
            if p.kind is PositionKind.OPTION and p.mark_price is not None
            else p
            for i, p in enumerate(positions)
        ),
    )


def _model_marks(portfolio: StatedPortfolio, method: MarginMethod) -> tuple[Decimal, ...]:
    """Prices without the stated marks of options."""
    bare = tuple(replace(p, mark_price=None) if p.kind is PositionKind.OPTION else p for p in portfolio.positions)
    return marks(replace(portfolio, positions=bare), method)


def _moved_market(market: StatedMarket, spot: Decimal, vol: Decimal) -> StatedMarket:
    perpetual = market.perpetual_price
    return replace(
        market, spot=market.spot * (ONE + spot),
        perpetual_price=None if perpetual is None else perpetual * (ONE + spot),
        expiries={name: _moved_expiry(expiry, spot, vol) for name, expiry in market.expiries.items()},
    )  # fmt: skip


def _moved_expiry(expiry: StatedExpiry, spot: Decimal, vol: Decimal) -> StatedExpiry:
    fixed = expiry.forward_fixed
    if fixed is None:
        window = Decimal(int(WINDOW_SECONDS))
        fixed = expiry.forward * max(window - max(expiry.seconds_to_expiry, ZERO), ZERO) / window
    svi = expiry.svi
    if svi is not None:
        svi = dict(svi)
        for name, factor in (("a", (ONE + vol) ** 2), ("b", (ONE + vol) ** 2), ("forward", ONE + spot)):
            if name in svi:
                svi[name] *= factor
    forward = fixed + (expiry.forward - fixed) * (ONE + spot)
    return replace(expiry, forward=forward, forward_fixed=fixed, svi=svi)


def _moved_position(
    position: StatedPosition, mark: Decimal, spot: Decimal, vol: Decimal, from_cash: bool
) -> StatedPosition:
    if position.kind is PositionKind.OPTION:
        own = position.volatility
        return position if own is None else replace(position, volatility=own * (ONE + vol))
    shocked = mark * (ONE + spot)
    after = position
    if position.mark_price is not None:
        after = replace(after, mark_price=shocked)
    if position.kind is PositionKind.SPOT:
        return after
    if position.unrealized_pnl is not None:
        gain = _gain(position, position.quantity * position.multiplier, mark, shocked)
        return replace(after, unrealized_pnl=position.unrealized_pnl + gain)
    if position.entry_price is None and not from_cash and "quote_entry" not in position.parameters:
        return replace(after, entry_price=mark)
    return after


def _moved_collateral(entry: StatedCollateral, spot: Mapping[str, Decimal]) -> StatedCollateral:
    move = spot.get(entry.underlying, ZERO) if entry.underlying is not None else ZERO
    return replace(entry, price=entry.price * (ONE + move)) if move else entry
