"""Dead letters: records that could not be applied, kept with their address and the reason.

Owns how a failure becomes a record, and when failures are too many to be the records' fault. Refuses to send anything
(``streams.worker``).
"""

from __future__ import annotations

from base64 import b64encode
from collections import deque

from engine.outcomes import Outcome
from schemas.errors import SchemaError, printable
from schemas.events.dead_letters import DeadLetterV1

PAYLOAD_BYTES_MAX = 65_536
"""How much of a bad record is kept; its full size is kept in any case."""

KEY_LENGTH_MAX = 256
TIME_US_MAX = 4_102_444_800_000_000


class DeadLetterFlood(Exception):
    """Nearly everything on a topic looks bad, so the fault is more likely ours, or a producer's release: the worker
    stops and keeps its place instead of draining the topic into the dead letters."""

    def __init__(self, topic: str, bad: int, seen: int, reason: str) -> None:
        super().__init__(f"{topic}: {bad} of the last {seen} records are bad, the last one: {reason}")
        self.topic = topic
        self.bad = bad
        self.seen = seen
        self.reason = reason


def dead_letter(
    topic: str,
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    timestamp_ms: int,
    error: SchemaError | Outcome,
) -> DeadLetterV1:
    """The dead letter of a record that the codec, the translation or the engine refused.

    ``timestamp_ms`` is Kafka's (-1: none). Key and text are reduced to printable ASCII, the payload stays as it came.
    """
    reason = error.reason if isinstance(error, SchemaError) else _rejection(error)
    payload = value or b""
    return DeadLetterV1(
        v=1,
        topic=topic,
        partition=partition,
        offset=offset,
        key=printable((key or b"").decode("utf-8", "backslashreplace"), KEY_LENGTH_MAX),
        reason=reason,
        field=error.field,
        detail=error.detail,
        payload_base64=b64encode(payload[:PAYLOAD_BYTES_MAX]).decode(),
        payload_bytes=len(payload),
        record_time_us=min(max(timestamp_ms, 0) * 1000, TIME_US_MAX),
    )


def _rejection(outcome: Outcome) -> str:
    assert outcome.rejection is not None, "only a rejected record becomes a dead letter"
    return outcome.rejection.value


class DeadLetterLimit:
    """Raises ``DeadLetterFlood`` after ``consecutive_max`` bad records in a row, or when more than ``ratio_max`` of
    the last ``window`` records are bad (once that many have been seen). One per topic."""

    def __init__(self, topic: str, *, consecutive_max: int = 500, window: int = 2000, ratio_max: float = 0.5) -> None:
        if consecutive_max < 1 or window < 1 or not 0 <= ratio_max <= 1:
            raise ValueError("consecutive_max and window must be at least 1, ratio_max within 0..1")
        self._topic = topic
        self._consecutive_max = consecutive_max
        self._window = window
        self._bad_max = int(ratio_max * window)
        self._consecutive = 0
        self._runs: deque[list[int]] = deque()  # runs of equal records, oldest first: [1 if bad else 0, count]
        self._seen = 0
        self._bad = 0

    def good(self, count: int = 1) -> None:
        """``count`` records were sound."""
        if count:
            self._consecutive = 0
            self._append(0, count)

    def bad(self, reason: str) -> None:
        """A record was bad."""
        self._consecutive += 1
        self._append(1, 1)
        if self._consecutive >= self._consecutive_max:
            raise DeadLetterFlood(self._topic, self._consecutive, self._consecutive, reason)
        if self._seen == self._window and self._bad > self._bad_max:
            raise DeadLetterFlood(self._topic, self._bad, self._seen, reason)

    def _append(self, is_bad: int, count: int) -> None:
        if self._runs and self._runs[-1][0] == is_bad:
            self._runs[-1][1] += count
        else:
            self._runs.append([is_bad, count])
        self._seen += count
        self._bad += is_bad * count
        while self._seen > self._window:
            run = self._runs[0]
            gone = min(self._seen - self._window, run[1])
            run[1] -= gone
            self._seen -= gone
            self._bad -= run[0] * gone
            if not run[1]:
                self._runs.popleft()
