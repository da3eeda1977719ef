"""Field types shared by the event contracts.

Owns the spelling of amounts, rates, identifiers and instants on the wire. Refuses their meaning: ``streams.translate``
turns them into scaled integers.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# The pattern ends in \Z, not $: the validator searches, and $ would let a trailing newline through.
_UNSIGNED = r"(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?"

Decimal = Annotated[str, Meta(pattern=rf"^-?{_UNSIGNED}\Z", max_length=40, description="decimal string")]
"""A signed decimal number as text, e.g. "-12.5"; no exponent, no leading plus, no surplus zeros in front."""

PositiveDecimal = Annotated[
    str,
    Meta(
        pattern=r"^(?!0(?:\.0+)?\Z)" + _UNSIGNED + r"\Z", max_length=40, description="decimal string greater than zero"
    ),
]
"""A decimal number as text, greater than zero."""

UnsignedDecimal = Annotated[
    str, Meta(pattern=rf"^{_UNSIGNED}\Z", max_length=40, description="decimal string, zero or more")
]
"""A decimal number as text, zero or greater."""

Identifier = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z", max_length=64, description="identifier")
]
"""An id of an account, instrument, asset, feed, source, event or command: plain ASCII, at most 64 characters."""

Micros = Annotated[int, Meta(ge=0, le=4_102_444_800_000_000, description="UTC, microseconds since the Unix epoch")]
"""An instant: integer microseconds since 1970-01-01T00:00:00Z, before the year 2100."""

Offset = Annotated[int, Meta(ge=-1, description="Kafka offset; -1 when there is none yet")]
"""A Kafka offset that names a version."""

Count = Annotated[int, Meta(ge=0)]
"""A counter."""

Float = Annotated[float, Meta(description="float64 in shortest round-trip form: a risk figure, not money")]
"""A risk figure; never a money amount."""
