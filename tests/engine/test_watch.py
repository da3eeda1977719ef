"""The watch against a twin that recomputes everybody at every step: the same commands, at the same mark.

The streams are driven a mark at a time, with fills, deposits, new parameters, expiry and quiet stretches in between.
``CROSSMARGIN_WATCH_SEEDS`` sets how many seeds are run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest

from engine import MarginEngine
from engine.events import Event, MarkPrice, ParametersSet
from engine.guard import anchors
from engine.reference.liquidation_policy import AuctionSchedule, LiquidationPolicy
from engine.reference.parameters import RiskParameters
from tests.builders import MINUTE_US, deposit, engine, parameters
from tests.engine.workload import ACCOUNTS, Workload

SEEDS = int(os.environ.get("CROSSMARGIN_WATCH_SEEDS", "60"))
BRISK = parameters(mark_age_us_max=MINUTE_US, snapshot_interval_us=10**15)
LADDER = replace(
    BRISK,
    command_ttl_us=MINUTE_US,
    policy=LiquidationPolicy(
        watch_buffer_ppm=1_300_000,
        cancel_us_max=MINUTE_US // 2,
        cooldown_us=MINUTE_US // 4,
        fruitless_rounds_max=2,
        backstop_at_ppm=400_000,
        auction=AuctionSchedule(fast_us=MINUTE_US, slow_us=MINUTE_US),
    ),
)


def recompute_everybody(twin: MarginEngine) -> None:
    """Forget and adopt every account, so that the next step looks at all of them."""
    for account in twin.accounts():
        book = deepcopy(twin.book(account))
        assert book is not None
        twin.drop([account])
        twin.load(book)


def batches(seed: int, workload: Workload, terms: RiskParameters) -> Iterator[list[Event]]:
    """Small batches, most of them a single mark near the last one."""
    chance = Random(seed)
    last = dict[str, MarkPrice]()
    for number in range(40):
        if number == 30 and chance.random() < 0.3:
            yield workload.expire()
            continue
        batch = workload.batch(chance.choice((0, 1, 1, 2, 6)))
        calm: list[Event] = []
        for event in batch:
            if isinstance(event, MarkPrice):
                held = last.get(event.feed)
                if held is not None and chance.random() < 0.8:
                    drift = chance.uniform(0.985, 1.015)
                    event = replace(event, price_e8=max(round(held.price_e8 * drift), 1))
                last[event.feed] = event
            calm.append(event)
        yield calm
        if chance.random() < 0.05:
            yield [_changed(chance, number, terms)]


def _changed(chance: Random, number: int, terms: RiskParameters) -> Event:
    wider = chance.randint(800_000, 1_250_000)
    scaled = {
        name: replace(underlying, price_range_ppm=min(underlying.price_range_ppm * wider // 1_000_000, 900_000))
        for name, underlying in terms.underlyings.items()
    }
    changed: RiskParameters = replace(terms, version=1_000 + number, underlyings=scaled, effective_us=0)
    return ParametersSet(1_000_000 + number, changed)


@pytest.mark.parametrize("anchors_each", [1, anchors.ANCHORS])
@pytest.mark.parametrize("terms", [BRISK, LADDER], ids=["at once", "ladder"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_same_breaches_at_the_same_mark_as_recomputing_everybody(
    seed: int, terms: RiskParameters, anchors_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a single anchor per group almost every band that is set takes those of others away."""
    monkeypatch.setattr(anchors, "ANCHORS", anchors_each)
    made, twin = engine(terms), engine(terms)
    for either in (made, twin):
        either.step([deposit(account, "USD", 20_000, 0) for account in ACCOUNTS])
    workload = Workload(seed)
    for batch in batches(seed, workload, terms):
        recompute_everybody(twin)
        result = made.step(batch)
        assert result.commands == twin.step(batch).commands
        workload.observe(result)
    assert made.state_hash() == twin.state_hash()
