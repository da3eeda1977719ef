"""Real books of a stress run: what the audit trail saw last becomes a population, and a run."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.errors import InvalidReference
from schemas.events.margin_events import MarginSnapshotV1
from schemas.events.prices import MarkV1
from streams.audit.inserter import BatchInserter
from streams.audit.store import AuditStore
from streams.stress import simulate
from streams.stress_books import live_books, read_audit
from streams.stress_preset import load_preset, with_shock
from tests.streams.audit.records import figures, margin_event, record_of


def snapshot(number: int, account: str, equity: float, maintenance: float, **deltas: float) -> MarginSnapshotV1:
    event = margin_event(4, number, account)
    assert isinstance(event, MarginSnapshotV1)
    greeks = {name: {"delta": delta, "vega": 1.0} for name, delta in deltas.items()}
    return replace(event, figures=replace(figures(equity), maintenance_margin=maintenance), greeks=greeks)


def mark(feed: str, price: str) -> MarkV1:
    nothing: dict[str, Any] = {"funding_rate": "0", "funding_index_linear": "0", "funding_index_inverse": "0"}
    return MarkV1(
        v=1, feed=feed, price=price, confidence="0", volatility=(), mark_time_us=1, sources=("a",), **nothing
    )  # fmt: skip


def filled(store: AuditStore) -> None:
    snapshots = [
        snapshot(1, "alice", 900.0, 80.0, BTC=0.5),
        snapshot(2, "alice", 600.0, 100.0, BTC=0.05, ETH=-1.0),  # the newer one counts
        snapshot(3, "bob", 5_000.0, 500.0, BTC=-0.2),
        snapshot(4, "carol", 70.0, 1.0, DOGE=10.0),  # never marked
        snapshot(5, "dave", 70.0, 0.0),  # flat
    ]
    marks = [mark("BTC", "20000"), mark("BTC", "40000"), mark("ETH", "1500")]
    BatchInserter(store).insert({("margin-events", 0): [record_of(each, at) for at, each in enumerate(snapshots)]})
    BatchInserter(store).insert({("marks", 0): [record_of(each, at) for at, each in enumerate(marks)]})


def test_the_last_snapshot_of_everybody_at_the_last_marks(store: AuditStore) -> None:
    filled(store)
    alice, bob, dave = read_audit(store)[0]

    assert {"BTC": 2_000.0, "ETH": -1_500.0} == alice.exposure
    assert (600.0, 100.0) == (alice.equity, alice.maintenance)
    assert {"BTC": -8_000.0} == bob.exposure
    assert {} == dave.exposure
    assert 4 == read_audit(store)[1]


def test_a_population_keeps_stated_requirements_and_scales_the_market(store: AuditStore) -> None:
    filled(store)
    preset = load_preset("october-2025")
    live = live_books(with_shock(preset, 0.4), *read_audit(store))
    rates, scale = live.population.rate_K, 11_500.0 / preset.population.open_interest

    assert ("BTC", "ETH") == live.population.underlyings
    assert (2, ()) == (live.left_out, live.assumed)
    assert live.population.scale_A * (abs(live.population.exposure_AK) @ rates) == pytest.approx([100.0, 500.0])
    assert preset.venue.fund * scale == pytest.approx(live.preset.venue.fund)
    assert preset.underlyings[0].daily_volume * scale == pytest.approx(live.preset.underlyings[0].daily_volume)
    run = simulate(live.preset, live.population, 1, 1_500).run
    assert [False, False] == run.touched_A.tolist(), "alice's hedge and bob's short gain by a fall"


def test_an_empty_trail_is_nothing_to_run(store: AuditStore) -> None:
    with pytest.raises(InvalidReference, match="accounts"):
        live_books(load_preset("october-2025"), *read_audit(store))
