"""The oracle role without Kafka: quotes to marks, and what is wrong with broadcast records.

Owns the two duties that exist once per venue, not once per risk worker: guarding prices, and reporting the bad records
of topics that every worker reads (each worker ignores them; one reports them). Synchronous; ``streams.app`` moves the
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine import MarginEngine
from engine.oracle import GuardSettings, PriceGuard
from engine.outcomes import Disposition
from schemas.codec import decode_record, encode, key_of
from schemas.errors import SchemaError
from schemas.events.dead_letters import DeadLetterV1
from schemas.events.prices import MarkV1, PriceV1
from streams.dead_letters import dead_letter
from streams.rows import OutboxEntry
from streams.runner import InputRecord
from streams.translate import to_broadcast_event, to_guarded_price, to_mark_record, to_quote


class OracleRunner:
    """Turns the records of ``prices`` into messages for ``marks``."""

    def __init__(self, settings: GuardSettings | None = None) -> None:
        self._guard = PriceGuard(settings)

    def resume(self, records: Sequence[InputRecord]) -> None:
        """Continue from the marks published so far, oldest first; unreadable ones are the checker's business."""
        for record in records:
            try:
                struct = decode_record("marks", record.key, record.value)
            except SchemaError:
                continue
            assert isinstance(struct, MarkV1)
            self._guard.resume(to_guarded_price(struct))

    def apply(self, partition: int, records: Sequence[InputRecord]) -> tuple[list[OutboxEntry], list[DeadLetterV1]]:
        """Offer quotes to the guard; returns marks to publish in order, and dead letters."""
        marks: list[OutboxEntry] = []
        letters: list[DeadLetterV1] = []
        for record in records:
            try:
                struct = decode_record("prices", record.key, record.value)
                assert isinstance(struct, PriceV1)
                mark = self._guard.offer(to_quote(struct))
            except SchemaError as error:
                letters.append(
                    dead_letter("prices", partition, record.offset, record.key, record.value, record.timestamp, error)
                )
                continue
            if mark is not None:
                message = to_mark_record(mark)
                marks.append(OutboxEntry("marks", key_of(message), encode(message)))
        return marks, letters


class BroadcastChecker:
    """Finds the bad records of the broadcast topics.

    Whether reference data is acceptable depends on what came before it, so the checker folds each topic from its
    beginning, as the risk workers do, and keeps what it found until the committed position asks for it.
    """

    def __init__(self) -> None:
        self._engine = MarginEngine()
        self._letters: dict[str, dict[int, DeadLetterV1]] = {}
        self._seen: dict[str, int] = {}

    def observe(self, topic: str, records: Sequence[InputRecord]) -> None:
        """Fold the next records of ``topic``, in offset order."""
        letters = self._letters.setdefault(topic, {})
        for record in records:
            if (letter := self._check(topic, record)) is not None:
                letters[record.offset] = letter
            self._seen[topic] = record.offset

    def seen(self, topic: str) -> int:
        """The newest offset observed of ``topic``, -1 before the first."""
        return self._seen.get(topic, -1)

    def take_letters(self, topic: str, first: int, last: int) -> list[DeadLetterV1]:
        """Dead letters of the offsets ``first`` to ``last``, both included, and of none before them again."""
        letters = self._letters.get(topic, {})
        found = [letters[offset] for offset in sorted(letters) if first <= offset <= last]
        for offset in [offset for offset in letters if offset <= last]:
            del letters[offset]
        return found

    def _check(self, topic: str, record: InputRecord) -> DeadLetterV1 | None:
        try:
            event = to_broadcast_event(decode_record(topic, record.key, record.value), record.offset)
        except SchemaError as error:
            return dead_letter(topic, 0, record.offset, record.key, record.value, record.timestamp, error)
        (outcome,) = self._engine.step((event,)).outcomes
        if outcome.disposition is not Disposition.REJECTED:
            return None
        return dead_letter(topic, 0, record.offset, record.key, record.value, record.timestamp, outcome)
