"""Guards: each unsafe setting is refused by name; the recommended ones pass."""

from __future__ import annotations

from typing import Any

import faust
import faust.streams
import pytest

from streams.errors import UnsafeConfiguration
from streams.transport import broker_urls, check_worker, coalesced_topic, coalescing_transport, faust_settings, guards


def app_with(**settings: Any) -> faust.App:
    return faust.App("guarded", **{"broker": broker_urls("127.0.0.1:9"), **faust_settings(), **settings})


def test_recommended_settings_are_accepted() -> None:
    app = app_with()
    topic = coalesced_topic(app, "fills", 4)
    app.agent(topic, name="apply")(lambda stream: stream)
    check_worker(app)
    assert coalescing_transport(app).coalesced == {"fills"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"broker": "kafka://127.0.0.1:9"}, "coalescing://"),
        ({"processing_guarantee": "exactly_once"}, "at_least_once"),
        ({"consumer_auto_offset_reset": "latest"}, "consumer_auto_offset_reset"),
        ({"producer_acks": 1}, "producer_acks"),
        ({"stream_wait_empty": False}, "stream_wait_empty"),
        ({"stream_buffer_maxsize": 4096}, "stream_buffer_maxsize"),
        ({"web_enabled": True}, "web_enabled"),
    ],
)
def test_unsafe_setting_is_refused_by_name(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UnsafeConfiguration, match=named):
        check_worker(app_with(**settings))


def test_web_on_loopback_is_accepted() -> None:
    check_worker(app_with(web_enabled=True, web_bind="127.0.0.1"))


def test_concurrent_agent_on_a_coalesced_topic_is_refused() -> None:
    app = app_with()
    app.agent(coalesced_topic(app, "fills", 4), name="apply", concurrency=2)(lambda stream: stream)
    with pytest.raises(UnsafeConfiguration, match="concurrency must be 1"):
        check_worker(app)


def test_pure_python_iterator_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust.streams, "_CStreamIterator", None)
    with pytest.raises(UnsafeConfiguration, match="NO_CYTHON"):
        check_worker(app_with())


def test_other_library_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(guards.VERSIONS, "aiokafka", "==0.13.0")
    with pytest.raises(UnsafeConfiguration, match=r"aiokafka 0.14.0 is installed"):
        check_worker(app_with())
