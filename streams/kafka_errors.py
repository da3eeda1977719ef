"""Failures of the plain Kafka client in our own words: every error of the library leaves the SDK as ``KafkaFailed``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka.errors import KafkaError

from streams.errors import StreamsError

BOOTSTRAP_MS = 10_000
"""How long a client looks for the cluster before it says that there is none."""


class KafkaFailed(StreamsError):
    """Kafka could not be reached or refused a request. ``retriable``: the same call may succeed later."""

    def __init__(self, detail: str, retriable: bool) -> None:
        super().__init__(detail)
        self.retriable = retriable


@contextmanager
def mapped_errors(bootstrap: str) -> Iterator[None]:
    """Run a block of client calls, turning the library's errors into ``KafkaFailed``."""
    try:
        yield
    except KafkaError as error:
        raise KafkaFailed(f"kafka at {bootstrap}: {error}", bool(error.retriable)) from error
