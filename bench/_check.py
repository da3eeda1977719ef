"""Whether a worker that was measured did the work: no dead letter, and the books that the fills add up to.

Owns the comparison of the changelog with sums made from the very records that were published. Refuses to time anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import orjson

from bench._records import KeyedRecord
from bench._rows import CHANGELOG, E8, books_of
from bench._venue import Venue
from streams.state.fence import RESERVED_PREFIX

Quantities = dict[tuple[str, str], int]
"""Signed contracts x 1e8 by account and instrument; nothing where a position is closed."""


class WrongResult(Exception):
    """What was measured is not what should have been done; the text says what differs."""


def no_dead_letters(place: Venue) -> None:
    """Raise ``WrongResult`` when a worker set any record aside: refusing is faster than booking."""
    if letters := sum(place.cluster.all_ends(("dead-letters",)).values()):
        raise WrongResult(f"{letters} dead letters: the fills were not all booked")


def expected(records: Iterable[KeyedRecord]) -> Quantities:
    """What fills add up to, in integers."""
    quantities: defaultdict[tuple[str, str], int] = defaultdict(int)
    for _, value in records:
        fill = orjson.loads(value)
        whole, _, part = fill["quantity"].partition(".")
        size = int(whole) * E8 + int(part.ljust(8, "0"))
        quantities[fill["account"], fill["instrument"]] += size if fill["side"] == "buy" else -size
    return {key: quantity for key, quantity in quantities.items() if quantity}


def durable(place: Venue) -> Quantities:
    """Positions in the last row of every account on the changelog."""
    last: dict[bytes, bytes] = {}
    for _, _, key, value in place.cluster.read_all(CHANGELOG):
        if value is not None and not key.startswith(RESERVED_PREFIX):
            last[key] = value
    quantities: Quantities = {}
    for book in books_of(list(last.values())):
        for instrument, position in book.positions.items():
            if position.quantity_e8:
                quantities[book.account, instrument] = position.quantity_e8
    return quantities


def same_positions(place: Venue, records: Iterable[KeyedRecord]) -> None:
    """Raise ``WrongResult`` unless the durable rows hold exactly what ``records`` add up to."""
    found, wanted = durable(place), expected(records)
    if found != wanted:
        differing = sorted(key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
        first = differing[0]
        raise WrongResult(f"{len(differing)} positions differ; {first}: {found.get(first)} for {wanted.get(first)}")
