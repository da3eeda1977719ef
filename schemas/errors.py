"""Errors of the contracts.

SchemaError            a record or document that breaks its contract; names the field and a stable reason
InvalidCatalogue       the topic manifest contradicts itself or the contracts: a mistake in this repository
"""

from __future__ import annotations

from enum import StrEnum

FIELD_LENGTH_MAX = 128
DETAIL_LENGTH_MAX = 300


class Reason(StrEnum):
    """Why a record is refused before its meaning is looked at. The values are stable: alerts and queries use them."""

    EMPTY_VALUE = "empty_value"
    TOO_LARGE = "too_large"
    MALFORMED_JSON = "malformed_json"
    UNSUPPORTED_VERSION = "unsupported_version"
    WRONG_TYPE = "wrong_type"
    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    BAD_FORMAT = "bad_format"
    OUT_OF_RANGE = "out_of_range"
    WRONG_KEY = "wrong_key"
    WRONG_PARTITION = "wrong_partition"
    UNKNOWN_TOPIC = "unknown_topic"
    TOO_MANY_DECIMALS = "too_many_decimals"
    AMOUNT_OUT_OF_RANGE = "amount_out_of_range"
    PARAMETERS_INVALID = "parameters_invalid"


class SchemaError(Exception):
    """A record that cannot become an event. ``field`` is the wire name at fault, empty when it is the whole record.

    ``field`` and ``detail`` may quote a hostile record, so both are cut and reduced to printable ASCII: they go on to
    logs, terminals and tables.
    """

    def __init__(self, reason: str, field: str = "", detail: str = "") -> None:
        self.reason = str(reason)
        self.field = printable(field, FIELD_LENGTH_MAX)
        self.detail = printable(detail, DETAIL_LENGTH_MAX)
        super().__init__(f"{self.field or 'record'}: {self.reason} ({self.detail})")


class InvalidCatalogue(Exception):
    """The manifest of topics is wrong; the text names topic and field."""


def printable(text: str, length_max: int) -> str:
    """``text`` with everything but printable ASCII escaped, at most ``length_max`` characters."""
    cut = text if len(text) <= length_max else text[: length_max - 3] + "..."
    if cut.isascii() and cut.isprintable():
        return cut
    escaped = "".join(c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in cut)
    return escaped[:length_max]
