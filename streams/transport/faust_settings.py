"""Faust settings that this transport was measured with.

Owns the defaults of a worker's Faust configuration; an application passes its own values on top.
"""

from __future__ import annotations

_PRODUCE_REQUEST_BYTES = 1_000_000
_PRODUCE_BATCH_BYTES = 900_000
_FETCH_PARTITION_BYTES = 4 * 1024 * 1024
_BATCHES_BUFFERED = 16


def faust_settings(
    *,
    commit_interval_s: float = 0.5,
    session_timeout_s: float = 10.0,
    heartbeat_s: float = 2.0,
    rebalance_timeout_s: float = 15.0,
    standby_replicas: int = 0,
    instance: str = "",
) -> dict[str, object]:
    """Keyword arguments for ``faust.App``. ``instance`` is a stable member name, empty for a dynamic member."""
    return {
        "processing_guarantee": "at_least_once",
        "broker_commit_interval": commit_interval_s,
        "broker_session_timeout": session_timeout_s,
        "broker_heartbeat_interval": heartbeat_s,
        "broker_rebalance_timeout": rebalance_timeout_s,
        "consumer_group_instance_id": instance or None,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": _FETCH_PARTITION_BYTES,
        "producer_acks": -1,
        "producer_max_batch_size": _PRODUCE_BATCH_BYTES,
        "producer_max_request_size": _PRODUCE_REQUEST_BYTES,
        "stream_buffer_maxsize": _BATCHES_BUFFERED,
        "stream_wait_empty": True,
        "stream_recovery_delay": 0.0,
        "table_standby_replicas": standby_replicas,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
    }
