"""The outbox sends what rows owe, in order, once per life of the process, and again after a crash."""

from __future__ import annotations

import asyncio

from streams.outbox import Outbox
from streams.rows import OutboxEntry


def entry(name: str, topic: str = "liquidations") -> OutboxEntry:
    return OutboxEntry(topic, b"alice", name.encode())


class Broker:
    """Collects what is sent and confirms it when told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[OutboxEntry, asyncio.Future[object]]] = []
        self.rows_to_write: list[str] = []
        self.outbox = Outbox(self.send, self.rows_to_write.append)

    async def send(self, message: OutboxEntry) -> asyncio.Future[object]:
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.sent.append((message, future))
        return future

    @property
    def values(self) -> list[bytes]:
        return [message.value for message, _ in self.sent]

    async def confirm(self, index: int) -> None:
        self.sent[index][1].set_result(None)
        await asyncio.sleep(0)


def test_messages_leave_in_order_and_only_once_while_in_flight() -> None:
    async def scenario() -> None:
        broker = Broker()
        for name in ("1", "2"):
            broker.outbox.add("alice", entry(name))
        await broker.outbox.publish("alice", broker.outbox.serial)
        broker.outbox.add("alice", entry("3"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        assert [b"1", b"2", b"3"] == broker.values

    asyncio.run(scenario())


def test_a_confirmed_message_leaves_the_row_and_the_row_is_written_again() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        assert [entry("1")] == list(broker.outbox.entries("alice"))
        await broker.confirm(0)
        assert [] == list(broker.outbox.entries("alice"))
        assert ["alice"] == broker.rows_to_write

    asyncio.run(scenario())


def test_confirmation_out_of_order_keeps_the_other_message_owed() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        broker.outbox.add("alice", entry("2", "margin-events"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        await broker.confirm(1)
        assert [entry("1")] == list(broker.outbox.entries("alice"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        assert 2 == len(broker.sent)

    asyncio.run(scenario())


def test_a_failed_delivery_stays_owed() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        broker.sent[0][1].set_exception(ConnectionError("broker gone"))
        await asyncio.sleep(0)
        assert [entry("1")] == list(broker.outbox.entries("alice"))
        assert [] == broker.rows_to_write

    asyncio.run(scenario())


def test_a_recovered_row_is_sent_again_even_if_it_was_in_flight_before() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        await broker.outbox.publish("alice", broker.outbox.serial)
        broker.outbox.drop(["alice"])
        broker.outbox.load("alice", [entry("1")])
        await broker.outbox.publish("alice", broker.outbox.serial)
        assert [b"1", b"1"] == broker.values
        await broker.confirm(0)
        assert [entry("1")] == list(broker.outbox.entries("alice")), "the confirmation of a former life does not count"

    asyncio.run(scenario())


def test_what_was_added_after_the_row_was_encoded_waits_for_the_next_row() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        encoded = broker.outbox.serial
        broker.outbox.add("alice", entry("2"))
        await broker.outbox.publish("alice", encoded)
        assert [b"1"] == broker.values

    asyncio.run(scenario())


def test_accounts_are_independent() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.outbox.add("alice", entry("1"))
        broker.outbox.add("bob", entry("2"))
        await broker.outbox.publish("bob", broker.outbox.serial)
        assert [b"2"] == broker.values
        assert ["alice", "bob"] == broker.outbox.owing()

    asyncio.run(scenario())
