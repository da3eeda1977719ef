"""A drawn population: heavy-tailed accounts, a mix of leverages, hedges, coin collateral, and who takes the other side.

Owns the draw, from a seed. Refuses to be anybody's customers: it is a shape, not data.

Account notional is Pareto (``alpha``), truncated at ``largest_to_smallest`` and at the concentration limit. Everybody
starts at least at twice the requirement. Longs and shorts of every underlying add up to nothing: what the others leave
open is held by makers.
"""

from __future__ import annotations

import numpy as np

from engine.cascade.population import Population
from engine.pricing.axes import Floats, Ints
from streams.stress_preset import Preset

INITIAL_TO_MAINTENANCE = 2.0
DIRECTIONAL, PAIR, COIN, BASIS = 0, 1, 2, 3


def draw_population(preset: Preset, accounts: int, rng: np.random.Generator) -> Population:
    """``accounts`` accounts (the preset's makers among them) as the preset describes them."""
    section, count = preset.population, len(preset.underlyings)
    makers = min(section.makers, max(1, accounts // 2))
    traders = max(1, accounts - makers)
    share_K = np.array([underlying.share for underlying in preset.underlyings])
    rate_K = np.array([underlying.maintenance for underlying in preset.underlyings])
    kind_A = _kinds(preset, traders, rng)
    weight_AK = _weights(kind_A, share_K / share_K.sum(), section.directional_long, rng)
    notional_A = _notionals(preset, traders, rng)
    exposure_AK = weight_AK * notional_A[:, None]
    odds = np.array(section.leverage_weight) / sum(section.leverage_weight)
    leverage_A = rng.choice(section.leverage, traders, p=odds) * rng.uniform(0.6, 1.0, traders)
    collateral_AK = _collateral(kind_A, exposure_AK, leverage_A, share_K / share_K.sum(), rng)
    exposure_AK = np.vstack([exposure_AK, _makers(exposure_AK, makers, rng)])
    collateral_AK = np.vstack([collateral_AK, np.zeros((makers, count))])
    leverage_A = np.concatenate([leverage_A, np.full(makers, section.maker_leverage)])
    required_A = np.abs(exposure_AK) @ rate_K
    equity_A = np.maximum(np.abs(exposure_AK).sum(axis=1) / leverage_A, INITIAL_TO_MAINTENANCE * required_A)
    equity_A = np.maximum(equity_A, collateral_AK.sum(axis=1))
    scale = section.open_interest / float(np.abs(exposure_AK).sum())
    return Population(
        tuple(underlying.name for underlying in preset.underlyings),
        equity_A * scale,
        exposure_AK * scale,
        collateral_AK * scale,
        np.ones(equity_A.size),
        rate_K,
        section.offset,
    )


def _kinds(preset: Preset, traders: int, rng: np.random.Generator) -> Ints:
    section = preset.population
    edges = np.cumsum([section.pairs, section.coin_collateral, section.basis])
    drawn_A = rng.random(traders)
    kind_A = np.select([drawn_A < edges[0], drawn_A < edges[1], drawn_A < edges[2]], [PAIR, COIN, BASIS], DIRECTIONAL)
    return kind_A.astype(np.int64)


def _weights(kind_A: Ints, share_K: Floats, long_share: float, rng: np.random.Generator) -> Floats:
    """Signed shares of notional by underlying: two each, of one sign, of both in a pair, one short in a basis."""
    traders, count = kind_A.size, share_K.size
    first_A, second_A = (rng.choice(count, traders, p=share_K) for _ in range(2))
    part_A = np.where(kind_A == PAIR, 0.5, rng.uniform(0.5, 1.0, traders))
    side_A = np.where((rng.random(traders) < long_share) | (kind_A == COIN), 1.0, -1.0)
    side_A[kind_A == BASIS] = -1.0
    weight_AK = np.zeros((traders, count))
    np.add.at(weight_AK, (np.arange(traders), first_A), side_A * part_A)
    other_A = np.where(kind_A == PAIR, -1.0, 1.0)
    second_A = np.where(kind_A == BASIS, first_A, second_A)
    np.add.at(weight_AK, (np.arange(traders), second_A), side_A * other_A * (1.0 - part_A))
    return weight_AK


def _notionals(preset: Preset, traders: int, rng: np.random.Generator) -> Floats:
    section = preset.population
    kept = 1.0 - section.largest_to_smallest**-section.alpha
    notional_A = (1.0 - kept * rng.random(traders)) ** (-1.0 / section.alpha)
    for _ in range(20):  # clipping lowers the total that the limit is a share of
        notional_A = np.minimum(notional_A, section.concentration * notional_A.sum())
    result: Floats = notional_A
    return result


def _collateral(
    kind_A: Ints, exposure_AK: Floats, leverage_A: Floats, share_K: Floats, rng: np.random.Generator
) -> Floats:
    """Coins: as much as is sold in a basis; the margin itself, in one coin, of those who post coin."""
    collateral_AK = np.where((kind_A == BASIS)[:, None], -exposure_AK, 0.0)
    coin_A = rng.choice(share_K.size, kind_A.size, p=share_K)
    posted_A = np.where(kind_A == COIN, np.abs(exposure_AK).sum(axis=1) / leverage_A, 0.0)
    np.add.at(collateral_AK, (np.arange(kind_A.size), coin_A), posted_A)
    result: Floats = collateral_AK
    return result


def _makers(exposure_AK: Floats, makers: int, rng: np.random.Generator) -> Floats:
    """What the others leave open, split unevenly."""
    part_M = rng.dirichlet(np.full(makers, 2.0))
    result: Floats = -part_M[:, None] * exposure_AK.sum(axis=0)[None, :]
    return result
