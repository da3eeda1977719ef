"""The risk matrix: bucket losses with an extended table, and offsets between underlyings.

Owns tail weights, the dampener, and which gains of one underlying may pay for losses of another. Refuses revaluation.

Standard buckets are the scenarios without a group; those of the group ``extended`` are the extended table:

    weight = extended_table_factor x price_range / |m|; an inverse contract's coins are valued at the shocked price and
             turned back at the edge of the range: times (1 + m) / (1 + price_range sign(m))
    |PnL| falls by min(|PnL|, (|m| / price_range - 1) x extended_dampener), the dampener in the quote currency

Offsets: a gain counts with ``pnl_offset`` of it, at most ``max_offsetable_pnl`` (quote currency). Underlyings with
``correlation_set`` true move together, bucket by bucket; every other one stands alone. Source: Deribit, portfolio
margin and the parameters and vectors in its reply to private/pme/simulate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine.errors import InvalidReference
from engine.methods.components.delta_charges import coin_settled, settlement_price
from engine.methods.context import Charge, Component, MarginContext, same_charge
from engine.methods.revaluation import revalue
from engine.methods.statement import ParameterMap
from engine.pricing.axes import Bools, Floats, Ints

EXTENDED = "extended"


@dataclass(frozen=True, slots=True)
class RiskMatrix:
    """Bucket PnL in each underlying's settlement currency: ``initial_PS`` by position before the dampener,
    ``aggregated_US`` by underlying after dampener and offsets. ``loss_U`` is each one's share of the worst case,
    in the numeraire (a gain inside a correlated set is negative), ``alone_U`` its worst case by itself."""

    names: tuple[str, ...]
    initial_PS: Floats
    aggregated_US: Floats
    loss_U: Floats
    alone_U: Floats
    worst_U: Ints


def risk_matrix(context: MarginContext) -> RiskMatrix:
    """The matrix of a portfolio under its scenarios; raises ``InvalidReference``."""
    scenarios = context.scenarios
    extended_S = np.array([group == EXTENDED for group in scenarios.groups], dtype=np.bool_)
    weight_US = scenarios.weight_S * np.where(extended_S, extended_weights(context, extended_S), 1.0)
    initial_PS = revalue(context, scenarios).pnl_PS * weight_US[context.table.unit_P]
    net_US = context.sum_by_unit(initial_PS)
    net_US = np.where(extended_S, dampened(context, net_US, extended_S), net_US)
    aggregated_US = offset(context, net_US)
    price_U = settlement_price(context)
    alone_U = np.maximum(-aggregated_US.min(axis=1, initial=0.0), 0.0)
    loss_U, worst_U = _joint(aggregated_US * price_U[:, None], _flags(context, "correlation_set"))
    return RiskMatrix(scenarios.names, initial_PS, aggregated_US, loss_U, alone_U * price_U, worst_U)


def extended_weights(context: MarginContext, extended_S: Bools) -> Floats:
    """Weights of the extended table, [U, S]; 1 outside it."""
    move_US = context.scenarios.price_factor_US - 1.0
    for s in np.flatnonzero(extended_S).tolist():
        if (move_US[:, s] == 0.0).any():
            raise InvalidReference(f"scenarios[{s}]", "an extended scenario must move the price")
    size_US = np.where(extended_S, np.abs(move_US), 1.0)
    range_U = context.per_unit("price_range")[:, None]
    weight_US = context.per_unit("extended_table_factor")[:, None] * range_U / size_US
    edge_US = (1.0 + move_US) / (1.0 + range_U * np.sign(move_US))
    scaled_US = np.where(coin_settled(context)[:, None], weight_US * edge_US, weight_US)
    return np.where(extended_S, scaled_US, 1.0)


def dampened(context: MarginContext, net_US: Floats, extended_S: Bools) -> Floats:
    """Net PnL of the extended table closer to zero by the dampener, [U, S]."""
    move_US = np.abs(context.scenarios.price_factor_US - 1.0)
    quote_U = np.where(coin_settled(context), context.table.spot_U, 1.0)
    dampener_U = np.divide(
        context.per_unit("extended_dampener"), quote_U, out=np.zeros_like(quote_U), where=quote_U > 0
    )
    reduction_US = np.maximum(move_US / context.per_unit("price_range")[:, None] - 1.0, 0.0) * dampener_U[:, None]
    return np.where(extended_S, np.sign(net_US) * np.maximum(np.abs(net_US) - reduction_US, 0.0), net_US)


def offset(context: MarginContext, net_US: Floats) -> Floats:
    """Losses in full; of a gain the share ``pnl_offset``, at most ``max_offsetable_pnl``, [U, S]."""
    quote_U = np.where(coin_settled(context), context.table.spot_U, 1.0)
    most_U = np.divide(context.per_unit("max_offsetable_pnl"), quote_U, out=np.zeros_like(quote_U), where=quote_U > 0)
    gain_US = np.minimum(net_US * context.per_unit("pnl_offset")[:, None], most_U[:, None])
    return np.where(net_US > 0.0, gain_US, net_US)


def _joint(value_US: Floats, set_U: Bools) -> tuple[Floats, Ints]:
    """Each underlying's share of the worst case and the bucket of it (-1: no loss)."""
    worst_U = np.full(len(value_US), -1, dtype=np.int64)
    if not value_US.shape[1]:
        return np.zeros(len(value_US)), worst_U
    worst_U = np.argmin(value_US, axis=1)
    if set_U.any():
        worst_U[set_U] = int(np.argmin(value_US[set_U].sum(axis=0)))
    share_U = -np.take_along_axis(value_US, worst_U[:, None], axis=1)[:, 0]
    no_loss_U = np.where(set_U, share_U[set_U].sum() <= 0.0, share_U <= 0.0)
    return np.where(no_loss_U, 0.0, share_U), np.where(no_loss_U, -1, worst_U)


def _flags(context: MarginContext, name: str) -> Bools:
    return np.array([context.unit_parameters(unit).flag(name) for unit in context.units], dtype=np.bool_)


def worst_case(context: MarginContext, options: ParameterMap) -> Charge:
    """Largest loss of the risk matrix, [U]: of the whole correlation set, or of the underlying by itself. ``detail``
    holds each position's bucket PnL in its settlement currency (``initial_risk_vectors``); the scenarios' PnL are the
    aggregated vectors, in the numeraire."""
    matrix = risk_matrix(context)
    vectors = {p.instrument: matrix.initial_PS[i].tolist() for i, p in enumerate(context.portfolio.positions)}
    return Charge(
        matrix.loss_U, matrix.loss_U, {"initial_risk_vectors": vectors},
        matrix.names, matrix.aggregated_US * settlement_price(context)[:, None], matrix.worst_U,
    )  # fmt: skip


def correlation_contingency(context: MarginContext, options: ParameterMap) -> Charge:
    """What is charged for relying on correlation, []: ``correlation_contingency_rate`` x (sum of the worst cases of
    the underlyings by themselves - worst case together). The venue names the charge and prints 0 where nothing is
    offset; its formula is not published, this form is ours: at rate 1 no credit for correlation is left."""
    if not _flags(context, "correlation_set").any():
        return same_charge(np.zeros(()), credit=0.0)
    matrix = risk_matrix(context)
    credit = max(float(matrix.alone_U.sum() - matrix.loss_U.sum()), 0.0)
    rate = context.account_parameters.number("correlation_contingency_rate")
    return same_charge(np.asarray(rate * credit), credit=credit)


COMPONENTS: Mapping[str, Component] = {"worst_case": worst_case, "correlation_contingency": correlation_contingency}
