"""Checks at start: what would silently break exactness is refused by name.

Owns the list of conditions under which this transport keeps its promises. Refuses to repair anything.
"""

from __future__ import annotations

from importlib import metadata
from typing import cast

import faust
import faust.streams
from faust.types.enums import ProcessingGuarantee
from packaging.specifiers import SpecifierSet

from streams.errors import UnsafeConfiguration
from streams.transport.coalescing import coalescing_transport

VERSIONS = {"faust-streaming": "==0.15.3", "aiokafka": "==0.14.0", "mode-streaming": "==0.7.1"}
"""The internals this package overrides are those of exactly these versions (tests/streams/transport/test_contract)."""

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_BUFFER_MAX = 256


def check_worker(app: faust.App) -> None:
    """Refuse to start an unsafe worker. Call after agents and tables are declared, before the worker starts.

    Raises ``UnsafeConfiguration`` naming the setting and its remedy.
    """
    check_versions()
    check_cython()
    coalescing_transport(app)
    _check_settings(app)
    _check_agents(app)


def check_versions() -> None:
    """The pinned range of every library whose internals are overridden."""
    for distribution, wanted in VERSIONS.items():
        installed = metadata.version(distribution)
        if installed not in SpecifierSet(wanted):
            raise UnsafeConfiguration(f"{distribution} {installed} is installed; this version needs {wanted}")


def check_cython() -> None:
    """Faust's pure Python iterator acknowledges messages that it skips for an old generation: records get lost."""
    if faust.streams._CStreamIterator is None:  # type: ignore[attr-defined]
        raise UnsafeConfiguration(
            "Faust's compiled stream iterator is missing (NO_CYTHON is set, or no wheel for this platform): "
            "unset NO_CYTHON and reinstall faust-streaming from a wheel"
        )


def _check_settings(app: faust.App) -> None:
    conf = app.conf
    guarantee = cast(ProcessingGuarantee, conf.processing_guarantee)  # Faust types the setting as the class
    if guarantee is not ProcessingGuarantee.AT_LEAST_ONCE:
        raise UnsafeConfiguration(
            "processing_guarantee must be at_least_once: rows carry their source offsets, and Faust's transactions "
            "leave out topics that the worker does not consume"
        )
    if conf.consumer_auto_offset_reset != "earliest":
        raise UnsafeConfiguration("consumer_auto_offset_reset must be earliest: anything else skips records")
    if conf.producer_acks not in (-1, "all"):
        raise UnsafeConfiguration("producer_acks must be -1: a write that one broker forgets was never durable")
    if not conf.stream_wait_empty:
        raise UnsafeConfiguration("stream_wait_empty must be true: partitions are handed over between batches")
    if conf.stream_buffer_maxsize > _BUFFER_MAX:
        raise UnsafeConfiguration(
            f"stream_buffer_maxsize must be at most {_BUFFER_MAX}: it counts batches, not records, "
            f"{conf.stream_buffer_maxsize} of them do not fit into memory"
        )
    if conf.web_enabled and conf.web_bind not in _LOOPBACK:
        raise UnsafeConfiguration(
            f"web_enabled with web_bind={conf.web_bind} serves table data without authentication: "
            "set web_enabled=False, or web_bind=127.0.0.1 behind a proxy"
        )


def _check_agents(app: faust.App) -> None:
    coalesced = coalescing_transport(app).coalesced
    for name, agent in app.agents.items():
        if agent.concurrency != 1 and coalesced.intersection(agent.channel.topics):
            raise UnsafeConfiguration(f"agent {name}: concurrency must be 1, batches of a partition apply in order")
