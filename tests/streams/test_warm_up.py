"""Warming up goes through every kernel of the risk role: what a worker does after it compiles nothing."""

from __future__ import annotations

from numba.core import event

from streams.runner import partition_of
from streams.warm_up import warm_up
from tests.faults.workload import Workload, mark
from tests.streams.test_runner import PARTITIONS, Driver, deposit, fill


def test_nothing_is_compiled_after_it() -> None:
    warm_up()
    with event.install_recorder("numba:compile") as compiled:
        driver = Driver()
        driver.publish(*next(phase for phase in Workload(1).phases() if phase.name == "market").events)
        driver.publish(deposit(), fill(quantity="20"))
        driver.publish(mark("ETH-PERP", "1100", time_us=1_678_320_000_000_001))
        row = driver.row(b"alice")
        driver.runner.load(partition_of(b"alice", PARTITIONS), {b"alice": row})
    assert [] == [str(found) for _, found in compiled.buffer]
