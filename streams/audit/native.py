"""ClickHouse's Native format: blocks of typed columns, as bytes.

Owns the encoding of the column types the audit trail declares and the decoding of what its queries return. Chosen for
chDB because it keeps decimals, 64-bit integers and arbitrary bytes exactly, at a fraction of the cost of text.
Format: https://clickhouse.com/docs/interfaces/formats/Native
"""

from __future__ import annotations

import datetime
import struct
from array import array
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from itertools import accumulate, chain
from typing import Any, Final

_CODES: Final = {
    "UInt8": "B",
    "UInt16": "H",
    "UInt32": "I",
    "UInt64": "Q",
    "Int8": "b",
    "Int16": "h",
    "Int32": "i",
    "Int64": "q",
    "Float32": "f",
    "Float64": "d",
}
_WIDE: Final = Context(prec=80)
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class UnreadableBlock(ValueError):
    """Bytes that are not a block of the supported types."""


def encode_block(columns: Sequence[tuple[str, str, Sequence[Any]]], row_count: int) -> bytes:
    """One block of (name, type, values); text as bytes, decimals quantized to their scale."""
    parts = [encode_counts(len(columns), row_count)]
    for name, kind, values in columns:
        parts += (encode_name(name, kind), encode_values(kind, values))
    return b"".join(parts)


def encode_counts(column_count: int, row_count: int) -> bytes:
    """What stands in front of a block."""
    return _varint(column_count) + _varint(row_count)


def encode_name(name: str, kind: str) -> bytes:
    """What stands in front of a column."""
    return _text(name.encode()) + _text(kind.encode())


def encode_values(kind: str, values: Sequence[Any]) -> bytes:
    """The values of a column: text as bytes, decimals exact at their scale."""
    if code := _CODES.get(kind):
        return struct.pack(f"<{len(values)}{code}", *values)
    if kind == "String":
        return b"".join(map(_text, values))
    if kind.startswith("Array("):
        ends = struct.pack(f"<{len(values)}Q", *accumulate(map(len, values)))
        return ends + encode_values(kind[6:-1], list(chain.from_iterable(values)))
    size, scale = _decimal(kind)
    return b"".join([int(value.scaleb(scale, _WIDE)).to_bytes(size, "little", signed=True) for value in values])


def _text(value: bytes) -> bytes:
    return _varint(len(value)) + value


_SHORT: Final = tuple(bytes([number]) for number in range(128))


def _varint(number: int) -> bytes:
    if number < 128:
        return _SHORT[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def decode_blocks(data: bytes) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Column names and rows of all blocks in ``data``; text as bytes. Raises ``UnreadableBlock``."""
    reader = _Reader(data)
    names: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    while not reader.done():
        column_count, row_count = reader.varint(), reader.varint()
        block: list[tuple[str, list[Any]]] = []
        for _ in range(column_count):
            name, kind = reader.text().decode(), reader.text().decode()
            block.append((name, reader.values(kind, row_count)))
        names = tuple(name for name, _ in block)
        rows += zip(*(values for _, values in block), strict=True)
    return names, rows


class _Reader:
    """A position in the bytes of a result."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def done(self) -> bool:
        return self._at >= len(self._data)

    def varint(self) -> int:
        result = shift = 0
        while True:
            byte = self._take(1)[0]
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7

    def text(self) -> bytes:
        return self._take(self.varint())

    def values(self, kind: str, count: int) -> list[Any]:
        if code := _CODES.get(kind):
            numbers = array(code)
            numbers.frombytes(self._take(count * struct.calcsize(f"<{code}")))
            return numbers.tolist()
        if kind == "String":
            return [self.text() for _ in range(count)]
        if kind == "Bool":
            return [byte != 0 for byte in self._take(count)]
        if kind.startswith("Nullable("):
            absent = self._take(count)
            items = self.values(kind[9:-1], count)
            return [None if gone else item for gone, item in zip(absent, items, strict=True)]
        if kind.startswith("Array("):
            ends = self.values("UInt64", count)
            items = self.values(kind[6:-1], ends[-1] if ends else 0)
            return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        if kind.startswith("DateTime64("):
            unit = 10 ** (6 - int(kind[11]))
            return [_EPOCH + datetime.timedelta(microseconds=t * unit) for t in self.values("Int64", count)]
        if kind.startswith("DateTime"):
            return [_EPOCH + datetime.timedelta(seconds=t) for t in self.values("UInt32", count)]
        if kind == "Date":
            return [(_EPOCH + datetime.timedelta(days=day)).date() for day in self.values("UInt16", count)]
        size, scale = _decimal(kind)
        data = self._take(size * count)
        scaled = (int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, len(data), size))
        return [Decimal(value).scaleb(-scale, _WIDE) for value in scaled]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise UnreadableBlock("the result ends inside a block")
        piece = self._data[self._at : end]
        self._at = end
        return piece


def _decimal(kind: str) -> tuple[int, int]:
    """Bytes and scale of a Decimal type."""
    if not kind.startswith("Decimal("):
        raise UnreadableBlock(f"type {kind} is not supported")
    precision, scale = (int(part) for part in kind[8:-1].split(","))
    size = next(size for digits, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if precision <= digits)
    return size, scale


def text_of(columns: Iterable[str], rows: Iterable[tuple[Any, ...]], keep: frozenset[str]) -> list[tuple[Any, ...]]:
    """Rows with text as ``str``, except in the columns named in ``keep``. Bytes that are not UTF-8 survive as
    surrogate escapes, so nothing a query returns is lost."""
    kept = [name in keep for name in columns]
    return [tuple(value if keeps else _str(value) for value, keeps in zip(row, kept, strict=True)) for row in rows]


def _str(value: Any) -> Any:
    if type(value) is bytes:
        return value.decode("utf-8", "surrogateescape")
    if type(value) is list:
        return [_str(item) for item in value]
    return value
