"""Two risk workers on real Kafka, killed again and again: the rows and commands of an uninterrupted run, every time.

The short version runs with the suite. The full one: ``CROSSMARGIN_FAULT_RUNS=20 pytest tests/faults/test_kills.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.run import run
from tests.faults.workload import Workload
from tests.servers.kafka import KafkaBroker

RUNS = int(os.environ.get("CROSSMARGIN_FAULT_RUNS", "1"))
FIRST_SEED = int(os.environ.get("CROSSMARGIN_FAULT_SEED", "1"))
KILLS = 6


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + RUNS))
def test_state_and_commands_equal_an_uninterrupted_replay(own_kafka: KafkaBroker, tmp_path: Path, seed: int) -> None:
    workload = Workload(seed)
    result = run(own_kafka.bootstrap, tmp_path, seed, KILLS, workload)
    print(f"seed {seed}: {result.starts} starts, {len(result.commands)} commands, kills {result.kills}")
    assert KILLS == len(result.kills)
    assert [] == result.differing_accounts, result.kills
    assert result.replayed_commands == result.commands.keys(), result.kills
    assert {1} == {len(bodies) for bodies in result.commands.values()}, "an id was used with two different bodies"
    breaching = {*workload.overtrading, *workload.falling}
    assert breaching <= {account for account in result.rows if '"liquidation_sequence":1' in result.rows[account]}
    assert 0 == result.dead_letters
