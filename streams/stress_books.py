"""Real books as a population: what a log replays to, or what the audit trail saw last.

Owns the reduction: positions of every kind become deltas times spot, by underlying; equity and maintenance stay as the
engine computed them. Refuses accounts without figures, and says how many there were.

Parameters of an underlying (beta, depth, maintenance rate) are those of the preset's entry of that name; a name that
the preset does not have takes those of its last entry and is reported as assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from engine.books.account import AccountBook
from engine.cascade.population import Population
from engine.errors import InvalidReference
from engine.market import Market
from engine.portfolio import Portfolio
from engine.pricing.axes import Floats
from engine.reference.parameters import RiskParameters
from engine.risk.margin import margin_figures
from engine.risk.sensitivities import greeks
from engine.units import E8
from schemas.codec import decode
from schemas.events.margin_events import MarginSnapshotV1
from schemas.events.prices import MarkV1
from streams.audit.evidence import LAST_SNAPSHOTS, MARKS_AS_OF
from streams.audit.store import AuditStore
from streams.replay import Replay
from streams.stress_preset import Preset, with_venue

NEWEST = 2**62


@dataclass(frozen=True, slots=True)
class Standing:
    """One account: equity and maintenance requirement, and by underlying exposure and collateral, numeraire."""

    account: str
    equity: float
    maintenance: float
    exposure: Mapping[str, float]
    collateral: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LiveBooks:
    """Accounts as a population, with a preset whose underlyings are theirs. ``assumed``: underlyings that the preset
    did not name; ``left_out``: accounts without figures or without exposure."""

    preset: Preset
    population: Population
    assumed: tuple[str, ...]
    left_out: int


def standings(books: Sequence[AccountBook], market: Market, parameters: RiskParameters) -> list[Standing]:
    """Those of ``books`` that are priced, in order; the engine's own figures."""
    found = []
    for book, figures in zip(books, margin_figures(books, market, parameters), strict=True):
        if figures is None:
            continue
        whole, posted = greeks(book, market), greeks(Portfolio(book.account, book.balances), market)
        collateral = {name: _value(name, part["delta"], market) for name, part in posted.items()}
        exposure = {
            name: _value(name, part["delta"], market) - collateral.get(name, 0.0) for name, part in whole.items()
        }
        found.append(Standing(book.account, figures.equity, figures.maintenance_margin, exposure, collateral))
    return found


def _value(underlying: str, delta: float, market: Market) -> float:
    mark = market.marks.get(underlying)
    if mark is None:
        raise InvalidReference("marks", f"no mark for {underlying}, so that its delta has no value")
    return delta * mark.price_e8 / E8


def live_books(preset: Preset, accounts: Sequence[Standing], seen: int) -> LiveBooks:
    """A population of ``accounts`` out of ``seen``; volumes and fund scale with its open interest.

    Raises ``InvalidReference`` when there is nothing to liquidate.
    """
    held = [standing for standing in accounts if any(standing.exposure.values())]
    names = sorted({name for standing in held for name in (*standing.exposure, *standing.collateral)})
    if not held or not names:
        raise InvalidReference("accounts", "none has figures and an exposure")
    known = {underlying.name: underlying for underlying in preset.underlyings}
    chosen = [msgspec.structs.replace(known.get(name, preset.underlyings[-1]), name=name) for name in names]
    exposure_AK = np.array([[standing.exposure.get(name, 0.0) for name in names] for standing in held])
    collateral_AK = np.array([[standing.collateral.get(name, 0.0) for name in names] for standing in held])
    rate_K = np.array([underlying.maintenance for underlying in chosen])
    maintenance_A = np.array([standing.maintenance for standing in held])
    offset = preset.population.offset
    population = Population(
        tuple(names),
        np.array([standing.equity for standing in held]),
        exposure_AK,
        collateral_AK,
        _scale(exposure_AK, maintenance_A, rate_K, offset),
        rate_K,
        offset,
    )
    scale = float(population.gross_K.sum()) / preset.population.open_interest
    underlyings = tuple(
        msgspec.structs.replace(underlying, daily_volume=underlying.daily_volume * scale) for underlying in chosen
    )
    sized = with_venue(preset, fund=preset.venue.fund * scale, flow_per_s=preset.venue.flow_per_s * scale)
    return LiveBooks(
        msgspec.structs.replace(sized, underlyings=underlyings),
        population,
        tuple(name for name in names if name not in known),
        seen - len(held),
    )


def _scale(exposure_AK: Floats, maintenance_A: Floats, rate_K: Floats, offset: float) -> Floats:
    """What each account's stated requirement is in units of the formula's; 0 where nothing is required."""
    weighted_AK = exposure_AK * rate_K
    long_A = np.maximum(weighted_AK, 0.0).sum(axis=1)
    short_A = np.maximum(-weighted_AK, 0.0).sum(axis=1)
    formula_A = long_A + short_A - 2.0 * offset * np.minimum(long_A, short_A)
    result: Floats = np.divide(maintenance_A, formula_A, out=np.zeros_like(formula_A), where=formula_A > 0.0)
    return result


def read_log(lines: Iterable[tuple[int, bytes]]) -> tuple[list[Standing], int]:
    """The accounts at the end of a log, and how many there are; raises ``InvalidLine``, ``InvalidReference``."""
    replay = Replay(lambda line: None)
    replay.run(lines)
    parameters = replay.parameters()
    if parameters is None:
        raise InvalidReference("parameters", "the log sets no risk parameters, so nothing is required of anybody")
    books = replay.books()
    return standings(books, replay.market(), parameters), len(books)


def read_audit(store: AuditStore) -> tuple[list[Standing], int]:
    """The accounts as the audit trail saw them last; raises ``AuditError``.

    A snapshot has one delta per underlying, collateral included: all of it counts as exposure.
    """
    prices: dict[str, float] = {}
    for _, _, raw in MARKS_AS_OF.run(store, mark_version=NEWEST).rows:
        mark = decode("marks", raw)
        assert isinstance(mark, MarkV1)
        prices[mark.feed] = float(mark.price)
    rows = LAST_SNAPSHOTS.run(store).rows
    return [standing for row in rows if (standing := _of_snapshot(row[-1], prices)) is not None], len(rows)


def _of_snapshot(raw: bytes, prices: Mapping[str, float]) -> Standing | None:
    snapshot = decode("margin-events", raw)
    assert isinstance(snapshot, MarginSnapshotV1)
    if not snapshot.greeks.keys() <= prices.keys():
        return None
    exposure = {name: greeks["delta"] * prices[name] for name, greeks in snapshot.greeks.items()}
    return Standing(snapshot.account, snapshot.figures.equity, snapshot.figures.maintenance_margin, exposure, {})
