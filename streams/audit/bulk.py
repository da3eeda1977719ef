"""Columns of Python values to encoded ones, many at a time.

Owns the quick way to what ``store.fitted`` and ``native.encode_values`` define value by value: the same bytes, or none
when some value does not fit or is spelled unusually; the caller then goes the slow way, which also says what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import numpy as np

from streams.audit.amount_scan import amounts_of, pool_of
from streams.audit.blocks import Piece, encode_texts

_INTEGERS: Final = {
    "UInt8": ("<u1", 0, 2**8 - 1),
    "Int32": ("<i4", -(2**31), 2**31 - 1),
    "Int64": ("<i8", -(2**63), 2**63 - 1),
}


def encode_bulk(kind: str, values: Sequence[Any]) -> Piece | None:
    """The values of a column, or none."""
    if kind.startswith("Array("):
        if not set(map(type, values)) <= {list, tuple}:
            return None
        ends = np.cumsum(np.fromiter(map(len, values), dtype=np.uint64, count=len(values)), dtype=np.uint64)
        items = encode_bulk(kind[6:-1], list(chain.from_iterable(values)))
        return None if items is None else ends.tobytes() + bytes(items)
    kinds = set(map(type, values))
    if kind == "String":
        return _texts(values) if kinds <= {str, bytes} else None
    if kind == "Float64":
        floats = np.array(values, dtype="<f8") if kinds <= {float} else None
        return floats.tobytes() if floats is not None and np.isfinite(floats).all() else None
    if kind in _INTEGERS:
        return _integers(kind, values) if kinds <= {int} else None
    return _amounts(values) if kinds <= {Decimal} else None


def _texts(values: Sequence[str | bytes]) -> Piece | None:
    try:
        texts = [value.encode() if type(value) is str else value for value in values]
    except UnicodeEncodeError:
        return None
    pool = pool_of(texts)  # type: ignore[arg-type]
    return encode_texts(pool.bytes_B, pool.start_R[:-1], pool.start_R[1:])


def _integers(kind: str, values: Sequence[int]) -> Piece | None:
    code, low, high = _INTEGERS[kind]
    if values and not low <= min(values) <= max(values) <= high:
        return None
    return np.array(values, dtype=np.dtype(code)).tobytes()


def _amounts(values: Sequence[Decimal]) -> Piece | None:
    # Spelled out, an amount of a huge exponent would be as long as the exponent says.
    if any(value.adjusted() > 40 or value.adjusted() < -40 for value in values):
        return None
    scaled_RL = amounts_of(pool_of([f"{value:f}".encode() for value in values]))
    return None if scaled_RL is None else scaled_RL.tobytes()
