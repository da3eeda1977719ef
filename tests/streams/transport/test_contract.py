"""The internals that transport and state override, or lean on, are the ones they were written against.

Each digest is of the source of one hook. When a library is upgraded, read the new source of every hook that fails here,
adapt the override, and only then write down the new digest.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import tomllib
from functools import reduce
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from streams.state.row_table import RowTable
from streams.transport.coalescing import CoalescingProducer, CoalescingTransport
from streams.transport.consumer import CoalescingConsumer, _CurrentChangelog
from streams.transport.fetch import FetchThread
from streams.transport.groupless import GrouplessConsumer
from streams.transport.guards import VERSIONS

HOOKS = {
    # Overridden by streams.transport.fetch.
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.__post_init__": "913dc7c0d9578e2d",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.on_start": "38b4e8bd1e10723a",
    "faust.transport.consumer:ConsumerThread.on_partitions_assigned": "e59e8dda43724bd4",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.getmany": "26fc5fc9f3b667e1",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.seek_to_committed": "775ab0adc4b052ab",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._seek_wait": "9d221e816d940467",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread.topic_partitions": "8e5084fa9734ed33",
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._commit": "932852ce7a23f658",
    # Overridden by streams.transport.consumer.
    "faust.transport.drivers.aiokafka:Consumer._to_message": "7c24f6511b2fcef7",
    "faust.transport.drivers.aiokafka:Consumer._new_consumer_thread": "0870ec53dea75083",
    "faust.transport.drivers.aiokafka:ConsumerRebalanceListener.on_partitions_assigned": "1c1f8406ad3698a6",
    "faust.transport.drivers.aiokafka:Transport.__init__": "a06006f6ae8ed716",
    "faust.transport.consumer:ThreadDelegateConsumer.__init__": "7072ae80eac1ff62",
    "faust.transport.consumer:Consumer.__init__": "302410d59e6972d1",
    "faust.transport.consumer:Consumer.getmany": "4b168d84882a70d6",
    "faust.transport.consumer:Consumer._wait_next_records": "6218e1969a636b3f",
    "faust.transport.consumer:Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.consumer:Consumer.seek": "b86a9fe05f956b30",
    "faust.transport.consumer:Consumer.on_partitions_revoked": "d04b7ae72c6fc206",
    "faust.transport.consumer:Consumer.resume_partitions": "afe6b7c02a41d63c",
    "faust.transport.consumer:Consumer.on_buffer_full": "c8961679e0bcdce5",
    "faust.transport.consumer:Consumer.on_buffer_drop": "4b57e8a418d5ad9c",
    "faust.transport.consumer:Consumer.ack": "5fcf41cf45153475",
    "faust.transport.consumer:Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.consumer:Consumer._commit_tps": "a20e230b05ae8b15",
    "faust.transport.consumer:Consumer._filter_committable_offsets": "dc5e9baf5d994485",
    "faust.transport.consumer:Consumer._commit_offsets": "1a69799041188441",
    "faust.transport.consumer:Consumer._should_commit": "5ce941793947ad42",
    "faust.transport.consumer:Consumer._new_offset": "1d2c7ea89a7ad4f1",
    "faust.transport.consumer:Consumer._add_gap": "4df2573ded7c1c2c",
    "faust.transport.consumer:Consumer.on_task_error": "0d7f23d0bb2607c1",
    "faust.transport.consumer:Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer:ThreadDelegateConsumer._seek": "4f95c631420410a5",
    "faust.transport.drivers.aiokafka:Producer._settings_extra": "a4c7bc41b6382223",
    "faust.transport.drivers.aiokafka:Producer._ensure_producer": "5592a4bbdf251325",
    "mode.services:ServiceCallbacks.on_stop": "b01e5bb117855e6b",
    "mode.utils.queues:ThrowableQueue.get": "57490d393d4147ff",
    "faust.app.base:App._on_partitions_revoked": "d5c895bbe57dc73a",
    "faust.app.base:App._on_partitions_assigned": "de932b7927db85b3",
    # Called by Faust on streams.state.row_table, or overridden by it.
    "faust.tables.base:Collection.__init__": "95568fc09c76d006",
    "faust.tables.base:Collection.on_start": "daddcc354ad0b328",
    "faust.tables.base:Collection.persisted_offset": "d473d3ab3fd6f036",
    "faust.tables.base:Collection.on_rebalance": "0812ad692171a8fd",
    "faust.tables.base:Collection.on_recovery_completed": "b1526fb39ea0e77e",
    "faust.tables.base:Collection.need_active_standby_for": "1584647abd1105bc",
    "faust.tables.base:Collection.apply_changelog_batch": "b980a78d3ae9b1e8",
    "faust.tables.base:Collection._new_changelog_topic": "77bea64b59f79809",
    "faust.tables.manager:TableManager.changelog_queue": "9c7f4cac57ef1706",
    "faust.tables.manager:TableManager.add": "4c5232ce6ba15f0a",
    "faust.tables.manager:TableManager.on_rebalance": "2d2c23a07bf54328",
    "faust.tables.recovery:Recovery.on_rebalance": "aa4d997a1795ceae",
    "faust.tables.recovery:Recovery.on_recovery_completed": "6ef567acf072e46d",
    "faust.tables.recovery:Recovery._build_offsets": "27eec86be06cb51f",
    "faust.tables.recovery:Recovery._seek_offsets": "19598ca63d94d250",
    "faust.tables.recovery:Recovery._slurp_changelogs": "7825c7e50f766d5a",
    "faust.tables.recovery:Recovery._restart_recovery": "6bd8a8558a2dffe4",
    "faust.tables.recovery:Recovery.flush_buffers": "6fa9c17f1071018c",
    "faust.tables.recovery:Recovery.active_remaining": "0dcc38568ad5018b",
    "faust.tables.recovery:Recovery.need_recovery": "fd1dc345b5d5e121",
    # Leaned on by streams.transport.fetch and .segments: aiokafka's buffers, positions, seeks and heartbeats.
    "aiokafka.consumer.fetcher:FetchResult": "d7db13f06de8248c",
    "aiokafka.consumer.fetcher:PartitionRecords.__init__": "8ec1c2ae6ea1af87",
    "aiokafka.consumer.fetcher:PartitionRecords.__next__": "63ac34a08c309098",
    "aiokafka.consumer.fetcher:PartitionRecords._unpack_records": "b803e6d46480732c",
    "aiokafka.consumer.fetcher:PartitionRecords._contains_abort_marker": "17e9ad2322ef4e0a",
    "aiokafka.consumer.fetcher:PartitionRecords._consumer_record": "e668541600b047ab",
    "aiokafka.consumer.fetcher:Fetcher.fetched_records": "be4348896b9b66af",
    "aiokafka.consumer.fetcher:Fetcher.seek_to": "f0ba6aba6c22ef83",
    "aiokafka.consumer.fetcher:Fetcher._create_fetch_waiter": "61d840568746477e",
    # Leaned on by streams.broadcast: connections whose sockets it looks at.
    "aiokafka.conn:AIOKafkaConnection.connect": "b0f9ba7f0cf6b432",
    "aiokafka.conn:AIOKafkaConnection.close": "28f164aa1e4f0bbc",
    "aiokafka.client:AIOKafkaClient._get_conn": "68ce5d8391719d33",
    # Overridden by streams.transport.idle_fetches, .partial_fetches, .fetch_order and .groupless.
    "aiokafka.consumer.fetcher:Fetcher._get_actions_per_node": "1dab2cf937d165d0",
    "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request": "59bf948fff47eed5",
    "aiokafka.consumer.consumer:AIOKafkaConsumer.start": "2f1ba70443327538",
    "aiokafka.consumer.subscription_state:TopicPartitionState": "2b83334afadf6d98",
    "aiokafka.consumer.group_coordinator:GroupCoordinator._do_heartbeat": "dc1d6632aaa68e96",
    "aiokafka.consumer.group_coordinator:GroupCoordinator._on_join_prepare": "4d9524afc0ee2c2f",
    "aiokafka.consumer.group_coordinator:GroupCoordinator.check_errors": "ba6ca51ad34838d9",
    "aiokafka.producer.producer:AIOKafkaProducer.create_batch": "c4efda4bb7a09741",
    "aiokafka.producer.producer:AIOKafkaProducer.send_batch": "bf42b0f0c5c0646d",
    "aiokafka.producer.message_accumulator:MessageAccumulator.add_batch": "5ed1c5b1367ad854",
}


def source_of(hook: str) -> str:
    """The source text of ``module:qualified.name``."""
    module, _, name = hook.partition(":")
    found = reduce(getattr, name.split("."), importlib.import_module(module))
    if isinstance(found, property):
        assert found.fget is not None
        found = found.fget
    # Background tasks of a service are wrapped in an object that keeps the function.
    return inspect.getsource(getattr(found, "fun", found))


@pytest.mark.parametrize(("hook", "digest"), HOOKS.items(), ids=list(HOOKS))
def test_hook_is_the_one_that_was_overridden(hook: str, digest: str) -> None:
    found = hashlib.sha256(source_of(hook).encode()).hexdigest()[:16]
    assert found == digest, f"{hook} is not the code that was overridden (digest {found}): read it, adapt the override"


OVERRIDING = (
    CoalescingConsumer,
    CoalescingProducer,
    CoalescingTransport,
    FetchThread,
    GrouplessConsumer,
    RowTable,
    _CurrentChangelog,
)


def overridden(ours: type) -> set[str]:
    """What ``ours`` defines that a class of a library defines, too, as that class's hook."""
    hooks = set()
    for name, member in vars(ours).items():
        owner = next((base for base in ours.__mro__[1:] if name in vars(base)), None)
        if owner is None or owner is object or owner.__module__.startswith("streams.") or not is_code(member):
            continue
        hooks.add(f"{owner.__module__}:{owner.__qualname__}.{name}")
    return hooks


def is_code(member: object) -> bool:
    """Whether a class member runs: a method, a property, a background task; not a constant and not a docstring."""
    return inspect.isfunction(member) or isinstance(member, property) or hasattr(member, "fun")


@pytest.mark.parametrize("ours", OVERRIDING, ids=lambda ours: ours.__name__)
def test_every_override_is_in_the_table(ours: type) -> None:
    assert overridden(ours) <= HOOKS.keys()


def test_pins_are_those_that_are_checked_at_start() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {Requirement(line).name: str(Requirement(line).specifier) for line in project["dependencies"]}
    assert {name: pins[name] for name in VERSIONS} == VERSIONS
