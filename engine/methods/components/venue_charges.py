"""Charges that venues add to a scenario loss: stated amounts, tiers, provisions, borrowings, flat contingencies.

Owns them in the form that several venues share. Refuses scenarios and deltas (``delta_charges``).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from fractions import Fraction

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.contract_charges import naked_shorts
from engine.methods.components.delta_charges import coin_delta, settlement_price, unit_value
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.parameters import Parameters, as_exact, as_number
from engine.methods.revaluation import volatility_shock
from engine.methods.statement import ParameterMap, ParameterValue
from engine.methods.table import DAY_SECONDS
from engine.pricing.axes import Floats
from engine.rules.rounding import Number
from engine.rules.tiers import tiered_margin


def stated_amount(context: MarginContext, options: ParameterMap) -> Charge:
    """The parameter that option ``parameter`` names, []: the account's and every market's statement, added up; 0 where
    none is stated. For amounts that only the venue knows (market-maker protection, open orders)."""
    name = option_text(options, "parameter")
    tables = [context.portfolio.parameters, *(market.parameters for market in context.portfolio.markets.values())]
    return same_charge(np.asarray(sum(Parameters(table).number(name, 0.0) for table in tables)))


def stated_component(context: MarginContext, options: ParameterMap) -> Charge:
    """An amount per underlying from a table of stated ones, [U], 0 where none is stated. Option ``stated`` = "mr.5"
    is key 5 of the parameter ``mr``."""
    zero = same_charge(np.zeros(len(context.units)))
    option_text(options, "stated")
    return stated_instead(context, zero, options)


def stated_instead(context: MarginContext, charge: Charge, options: ParameterMap) -> Charge:
    """``charge``, with the amounts that a portfolio states in place of its own wherever the component's use has the
    option ``stated`` = "table.key". A market's table speaks for its underlying, the account's for the only underlying
    and for charges on the account."""
    if "stated" not in options:
        return charge
    table, _, key = option_text(options, "stated").partition(".")
    if not charge.initial.ndim:
        return _account_instead(context, charge, table, key)
    replaced: dict[str, float] = {}
    for unit in context.units:
        value = context.unit_parameters(unit).get(table)
        if value is None:
            continue
        if not isinstance(value, Mapping):
            raise InvalidReference(f"parameters.{table}", "must be a table of amounts")
        if value is context.portfolio.parameters.get(table) and len(context.units) != 1:
            raise InvalidReference(f"parameters.{table}", "with several markets, state it in the parameters of each")
        if value.get(key) is not None:
            replaced[unit] = as_number(value[key], f"parameters.{table}.{key}")
    if not context.units and context.portfolio.parameters.get(table) is not None:
        raise InvalidReference(f"parameters.{table}", "belongs to a market, and the portfolio has none")
    if not replaced:
        return charge
    initial, maintenance = charge.initial.copy(), charge.maintenance.copy()
    for unit, amount in replaced.items():
        initial[context.units.index(unit)] = maintenance[context.units.index(unit)] = amount
    return Charge(
        initial, maintenance, {**charge.detail, "stated": replaced}, charge.scenario_names, charge.scenario_pnl_US
    )


def _account_instead(context: MarginContext, charge: Charge, table: str, key: str) -> Charge:
    stated = context.portfolio.parameters.get(table, {})
    if not isinstance(stated, Mapping):
        raise InvalidReference(f"parameters.{table}", "must be a table of amounts")
    if stated.get(key) is None:
        return charge
    return same_charge(np.asarray(as_number(stated[key], f"parameters.{table}.{key}")), stated=key)


def funding_provision(context: MarginContext, options: ParameterMap) -> Charge:
    """Funding that the perpetuals of an underlying are expected to pay, [U]: max(0, sum of units x price x
    funding_rate), the rate for the whole period of the provision, paid by longs when positive. Source: Paradex."""
    table = context.table
    payment_P = notional(context, signed=True) * context.per_position("funding_rate", 0.0)
    due_U = context.sum_by_unit(np.where(table.perpetual_P, payment_P, 0.0))
    return same_charge(np.maximum(due_U, 0.0) * settlement_price(context))


def fee_provision(context: MarginContext, options: ParameterMap) -> Charge:
    """Fees of closing everything, [U]: notional x fee_rate, for options at spot and at most ``option_fee_cap`` (where
    stated) of their value. Source: Paradex."""
    table = context.table
    fee_P = notional(context) * context.per_position("fee_rate", 0.0)
    cap_P = context.per_position("option_fee_cap", np.inf) if _states_cap(context) else np.full(fee_P.size, np.inf)
    with np.errstate(invalid="ignore"):
        value_P = np.where(np.isinf(cap_P), np.inf, cap_P * np.abs(table.quantity_P * table.price_P))
    fee_P = np.where(table.option_P, np.minimum(fee_P, value_P), fee_P)
    return same_charge(context.sum_by_unit(fee_P) * settlement_price(context))


def _states_cap(context: MarginContext) -> bool:
    return any(context.position_parameters(p).has("option_fee_cap") for p in context.portfolio.positions)


def notional(context: MarginContext, *, signed: bool = False) -> Floats:
    """Units x mark of linear perpetuals and futures, units x spot of options and spot, coins of inverse contracts,
    [P], in the settlement currency."""
    table = context.table
    held_P = table.option_P | table.spot_P
    price_P = np.where(held_P, table.spot_U[table.unit_P], table.price_P)
    with np.errstate(divide="ignore", invalid="ignore"):
        coins_P = table.quantity_P / table.price_P
    inverse_P = np.where(table.option_P, table.quantity_P, coins_P)
    value_P = np.where(table.inverse_P, inverse_P, table.quantity_P * price_P)
    return value_P if signed else np.abs(value_P)


def minimum_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """A raw charge through marginal tiers, [U]. Raw = the parameter ``raw_minimum_charge`` + notional x
    ``minimum_charge_rate`` of perpetuals and futures + naked short options x spot x ``option_minimum_charge_rate``;
    tiers = ``minimum_charge_tiers``, rows (upper bound, multiplier). Source: OKX, portfolio margin, MR7."""
    table = context.table
    linear_U = context.sum_by_unit(np.where(table.option_P, 0.0, notional(context)))
    raw_U = context.per_unit("raw_minimum_charge", 0.0) + linear_U * context.per_unit("minimum_charge_rate")
    raw_U = raw_U + naked_shorts(context) * unit_value(context) * context.per_unit("option_minimum_charge_rate")
    adjusted = [
        tiered_margin(float(raw_U[u]), tier_rows(context.unit_parameters(unit), "minimum_charge_tiers"))
        for u, unit in enumerate(context.units)
    ]
    return same_charge(
        np.array([float(value) for value in adjusted]) * settlement_price(context),
        raw=dict(zip(context.units, raw_U.tolist(), strict=True)),
        adjusted={unit: decimal_text(value) for unit, value in zip(context.units, adjusted, strict=True)},
    )


def stable_hedge_charge(context: MarginContext, options: ParameterMap) -> Charge:
    """Charge on deltas that offset between contracts settled in different currencies of the same peg, [U].

    Every position states its ``settlement`` (a text, ``USD`` where none). Of each pair of currencies in
    ``stable_hedge_pairs``, in that order, the smaller of the opposite deltas (at spot) is a hedge; it is taken out of
    both and charged through the marginal tiers of the pair, ``stable_hedge_tiers."A-B"``, or of ``default``. A market
    may state hedge sizes itself, as the table ``stable_hedge`` by pair. Source: OKX, portfolio margin, MR9.
    """
    charges: dict[str, Fraction] = {}
    detail: dict[str, dict[str, str]] = {}
    for unit in context.units:
        parameters = context.unit_parameters(unit)
        tiers = parameters.mapping("stable_hedge_tiers")
        parts = {
            pair: tiered_margin(
                size, _rows(tiers.get(pair, tiers.get("default")), f"parameters.stable_hedge_tiers.{pair}")
            )
            for pair, size in _stable_hedges(context, unit, parameters).items()
        }
        charges[unit] = sum(parts.values(), Fraction(0))
        detail[unit] = {pair: decimal_text(part) for pair, part in parts.items()}
    amounts_U = np.array([float(charges[unit]) for unit in context.units]).reshape(len(context.units))
    return same_charge(amounts_U, pairs=detail)


def _stable_hedges(context: MarginContext, unit: str, parameters: Parameters) -> dict[str, Number]:
    if parameters.has("stable_hedge"):
        stated = parameters.mapping("stable_hedge")
        return {pair: as_exact(size, f"parameters.stable_hedge.{pair}") for pair, size in stated.items()}
    delta_P, spot = coin_delta(context), float(context.portfolio.markets[unit].spot)
    by_currency: dict[str, float] = {}
    for p, position in enumerate(context.portfolio.positions):
        if position.underlying == unit:
            currency = context.position_parameters(position).text("settlement", "USD")
            by_currency[currency] = by_currency.get(currency, 0.0) + float(delta_P[p]) * spot
    hedges: dict[str, Number] = {}
    for i, pair in enumerate(parameters.items("stable_hedge_pairs")):
        if not isinstance(pair, str) or pair.count("-") != 1:
            raise InvalidReference(f"parameters.stable_hedge_pairs[{i}]", "must be two currencies, A-B")
        first, second = pair.split("-")
        one, other = by_currency.get(first, 0.0), by_currency.get(second, 0.0)
        if one * other < 0.0:
            hedges[pair] = min(abs(one), abs(other))
            taken = float(hedges[pair])
            by_currency[first] = one - np.copysign(taken, one)
            by_currency[second] = other - np.copysign(taken, other)
    return hedges


def borrowing_margin(context: MarginContext, options: ParameterMap) -> Charge:
    """Margin on borrowed collateral (negative amounts), []: value x ``borrow_initial_rate`` and
    ``borrow_maintenance_rate`` of the entry, its asset or the method. Source: OKX, MR8; Binance, margin of loans."""
    initial = maintenance = 0.0
    for entry in context.portfolio.collateral:
        if entry.amount < 0:
            rates = context.collateral_parameters(entry)
            value = -float(entry.amount) * float(entry.price) / float(context.portfolio.stable_price)
            initial += value * rates.number("borrow_initial_rate")
            maintenance += value * rates.number("borrow_maintenance_rate")
    return Charge(np.asarray(initial), np.asarray(maintenance))


def flat_contingency(context: MarginContext, options: ParameterMap) -> Charge:
    """Rate x units, [U], at one coin or spot per unit. Option ``rate`` names the parameter, option ``of`` says whose
    units: ``options`` (long and short), ``net_short_options`` (per strike and expiry, a call and a put offset) or
    ``offsetting_futures`` (the smaller of the units long and short over expiries, perpetuals among them). Source:
    Deribit, early editions of portfolio margin (1 % of all options; 2 % of offsetting futures)."""
    table = context.table
    match option_text(options, "of"):
        case "options":
            units_U = context.sum_by_unit(np.where(table.option_P, np.abs(table.quantity_P), 0.0))
        case "net_short_options":
            units_U = naked_shorts(context)
        case "offsetting_futures":
            units_U = _offsetting_futures(context)
        case other:
            raise InvalidReference("of", f"{other} is not a kind of position")
    rate_U = context.per_unit(option_text(options, "rate"))
    return same_charge(
        rate_U * units_U * unit_value(context) * settlement_price(context),
        units=dict(zip(context.units, units_U.tolist(), strict=True)),
    )


def stated_contingencies(context: MarginContext, options: ParameterMap) -> Charge:
    """Contingencies as a document prints them, []: the sum of quantity x rate over the rows ``contingencies`` of the
    account, each {quantity, rate} and a text ``what``; 0 where none is stated."""
    parameters, amounts = context.account_parameters, dict[str, float]()
    for i, row in enumerate(parameters.items("contingencies") if parameters.has("contingencies") else ()):
        field = f"parameters.contingencies[{i}]"
        if not isinstance(row, Mapping):
            raise InvalidReference(field, "must be a table of quantity and rate")
        for name in ("quantity", "rate"):
            if name not in row:
                raise InvalidReference(f"{field}.{name}", "is missing")
        amount = as_exact(row["quantity"], f"{field}.quantity") * as_exact(row["rate"], f"{field}.rate")
        amounts[f"{i + 1} {row.get('what', '')}".strip()] = float(amount)
    return same_charge(np.asarray(sum(amounts.values())), rows=amounts)


def _offsetting_futures(context: MarginContext) -> Floats:
    table = context.table
    units_P = np.where(table.perpetual_P | table.future_P, coin_delta(context), 0.0)
    long_U, short_U = np.zeros(len(context.units)), np.zeros(len(context.units))
    for unit, expiry in sorted({(int(u), int(e)) for u, e in zip(table.unit_P, table.expiry_P, strict=True)}):
        net = float(units_P[(table.unit_P == unit) & (table.expiry_P == expiry)].sum())
        long_U[unit] += max(net, 0.0)
        short_U[unit] += max(-net, 0.0)
    return np.minimum(long_U, short_U)


def volatility_shocks(context: MarginContext, options: ParameterMap) -> Charge:
    """No charge; ``detail`` shows the relative shocks of volatility up and down at every expiry, by the term law of
    ``revaluation`` with the parameters in force."""
    shocks: dict[str, dict[str, float]] = {}
    table = context.table
    for e, (unit, expiry) in enumerate(table.expiries):
        parameters = context.unit_parameters(unit)
        base_days, days = parameters.number("base_days", 30.0), float(table.seconds_E[e]) / DAY_SECONDS
        power = parameters.number("short_term_power" if days <= base_days else "long_term_power")
        floored = max(days, parameters.number("dte_floor_days", 1.0))
        shocks[f"{unit} {expiry.name}"] = {
            side: float(volatility_shock(parameters.number(f"vol_range_{side}"), floored, power, base_days))
            for side in ("up", "down")
        }
    return same_charge(np.zeros(len(context.units)), shocks=shocks)


def tier_rows(parameters: Parameters, name: str) -> list[tuple[Number | None, Number]]:
    """The parameter ``name`` as rows (upper bound or none, rate); raises ``InvalidReference``."""
    return _rows(parameters.items(name), f"parameters.{name}")


def _rows(value: ParameterValue, field: str) -> list[tuple[Number | None, Number]]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise InvalidReference(field, "must be a list of rows (upper bound, rate)")
    rows: list[tuple[Number | None, Number]] = []
    for i, row in enumerate(value):
        if not isinstance(row, list | tuple) or not 1 <= len(row) <= 2:
            raise InvalidReference(f"{field}[{i}]", "must be (upper bound, rate), or (rate) for the last")
        upper = row[0] if len(row) == 2 else None
        bound = None if upper is None or upper == "" else as_exact(upper, f"{field}[{i}]")
        rows.append((bound, as_exact(row[-1], f"{field}[{i}]")))
    return rows


def decimal_text(value: Fraction) -> str:
    """An exact amount as a decimal string, to 60 significant digits where it has more."""
    exact = Context(prec=60).divide(Decimal(value.numerator), Decimal(value.denominator))
    return format(exact.normalize(), "f")


def option_text(options: ParameterMap, name: str) -> str:
    """A text option of a component's use in a method's file; raises ``InvalidReference``."""
    value = options.get(name)
    if not isinstance(value, str):
        raise InvalidReference(name, "is an option that this component needs")
    return value


COMPONENTS: Mapping[str, Component] = {
    "stated_amount": stated_amount,
    "stated_component": stated_component,
    "funding_provision": funding_provision,
    "fee_provision": fee_provision,
    "minimum_charge": minimum_charge,
    "stable_hedge_charge": stable_hedge_charge,
    "borrowing_margin": borrowing_margin,
    "flat_contingency": flat_contingency,
    "stated_contingencies": stated_contingencies,
    "volatility_shocks": volatility_shocks,
}
