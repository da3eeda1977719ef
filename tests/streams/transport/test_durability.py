"""The durability gate: commits wait for writes, and a failed write is never committed over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streams.errors import DurabilityLost, NotOwner
from streams.transport.durability import DurabilityGate


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_wait_returns_only_after_every_registered_write() -> None:
    gate, first, second = DurabilityGate(), future(), future()
    gate.register(first, "first")
    gate.register(second, "second")
    waiting = asyncio.ensure_future(gate.wait())
    first.set_result(None)
    await asyncio.sleep(0)
    assert not waiting.done()
    second.set_result(None)
    await waiting
    assert gate.pending == 0


async def test_writes_registered_while_waiting_are_not_waited_for() -> None:
    gate, before, after = DurabilityGate(), future(), future()
    gate.register(before, "before")
    waiting = asyncio.ensure_future(gate.wait())
    await asyncio.sleep(0)
    gate.register(after, "after")
    before.set_result(None)
    await waiting
    assert gate.pending == 1


async def test_failed_write_closes_the_gate_for_ever_and_reports_once() -> None:
    reported: list[DurabilityLost] = []
    gate, bad, worse = DurabilityGate(reported.append), future(), future()
    gate.register(bad, "changelog of accounts")
    gate.register(worse, "outbox")
    bad.set_exception(RuntimeError("no broker"))
    worse.set_exception(RuntimeError("no broker either"))
    for _ in range(2):
        with pytest.raises(DurabilityLost, match=r"changelog of accounts.*no broker"):
            await gate.wait()
    gate.reset()
    assert gate.failure is not None
    assert len(reported) == 1


async def test_failure_before_wait_is_seen_by_wait() -> None:
    gate, bad = DurabilityGate(), future()
    bad.set_exception(RuntimeError("no broker"))
    gate.register(bad, "outbox")
    with pytest.raises(DurabilityLost):
        await gate.wait()


async def test_cancelled_write_counts_as_failed() -> None:
    gate, write = DurabilityGate(), future()
    gate.register(write, "dead letter")
    write.cancel()
    with pytest.raises(DurabilityLost, match="dead letter"):
        await gate.wait()


async def test_write_refused_for_lost_ownership_blocks_commits_until_partitions_are_revoked() -> None:
    reported: list[DurabilityLost] = []
    gate, write = DurabilityGate(reported.append), future()
    gate.register(write, "changelog")
    write.set_exception(NotOwner("given up"))
    with pytest.raises(NotOwner):
        await gate.wait()
    gate.reset()
    await gate.wait()
    assert reported == []


async def test_refusal_that_comes_after_the_partitions_were_revoked_blocks_nothing() -> None:
    gate, write = DurabilityGate(), future()
    gate.register(write, "changelog")
    gate.reset()
    write.set_exception(NotOwner("given up"))
    await gate.wait()
