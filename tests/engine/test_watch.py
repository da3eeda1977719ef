"""The watch against a twin that recomputes everybody at every step: the same commands, at the same mark.

The streams are driven a mark at a time, with fills, deposits, new parameters, expiry and quiet stretches in between.
``CROSSMARGIN_WATCH_SEEDS`` sets how many seeds are run.
"""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from random import Random

import pytest

from engine import MarginEngine
from engine.events import Event, MarkPrice, ParametersSet
from engine.guard import anchors
from engine.reference.parameters import RiskParameters
from tests.builders import MINUTE_US, deposit, engine, parameters
from tests.engine.workload import ACCOUNTS, Workload

SEEDS = int(os.environ.get("CROSSMARGIN_WATCH_SEEDS", "60"))
BRISK = parameters(mark_age_us_max=MINUTE_US, snapshot_interval_us=10**15)


def recompute_everybody(twin: MarginEngine) -> None:
    """Forget and adopt every account, so that the next step looks at all of them."""
    for account in twin.accounts():
        book = deepcopy(twin.book(account))
        assert book is not None
        twin.drop([account])
        twin.load(book)


def batches(seed: int) -> list[list[Event]]:
    """Small batches, most of them a single mark near the last one."""
    chance, workload = Random(seed), Workload(seed)
    made, last = [], dict[str, MarkPrice]()
    for number in range(40):
        if number == 30 and chance.random() < 0.3:
            made.append(workload.expire())
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
        made.append(calm)
        if chance.random() < 0.05:
            made.append([_changed(chance, number)])
    return made


def _changed(chance: Random, number: int) -> Event:
    wider = chance.randint(800_000, 1_250_000)
    scaled = {
        name: replace(terms, price_range_ppm=min(terms.price_range_ppm * wider // 1_000_000, 900_000))
        for name, terms in BRISK.underlyings.items()
    }
    changed: RiskParameters = replace(BRISK, version=1_000 + number, underlyings=scaled, effective_us=0)
    return ParametersSet(1_000_000 + number, changed)


@pytest.mark.parametrize("anchors_each", [1, anchors.ANCHORS])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_same_breaches_at_the_same_mark_as_recomputing_everybody(
    seed: int, anchors_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a single anchor per group almost every band that is set takes those of others away."""
    monkeypatch.setattr(anchors, "ANCHORS", anchors_each)
    made, twin = engine(BRISK), engine(BRISK)
    for either in (made, twin):
        either.step([deposit(account, "USD", 20_000, 0) for account in ACCOUNTS])
    for batch in batches(seed):
        recompute_everybody(twin)
        assert made.step(batch).commands == twin.step(batch).commands
    assert made.state_hash() == twin.state_hash()
