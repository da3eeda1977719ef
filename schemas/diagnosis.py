"""Turns a decoder's complaint into a reason, a field and a sentence.

Owns the reading of msgspec's messages, which end in the path of the value at fault. It runs only on the way to the
dead letters, so it may look at the record a second time; it never raises on what it finds there.
"""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from schemas.errors import Reason, SchemaError
from schemas.fields import Decimal, Identifier, PositiveDecimal, UnsignedDecimal

_PATH = re.compile(r" - at `(?:key` in `)?\$\.?([^`]*)`\Z")
_NAMED_FIELD = re.compile(r"Object (contains unknown|missing required) field `(.*)`\Z", re.DOTALL)
_ANY_KEY = "[...]"

_RULES: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (re.compile(r"Expected `str` (matching|of length)"), Reason.BAD_FORMAT),
    (re.compile(r"Expected `\w+` (of length|>|<|that)"), Reason.OUT_OF_RANGE),
    (re.compile(r"Expected "), Reason.WRONG_TYPE),
    (re.compile(r"Invalid (enum )?value|Number out of range"), Reason.OUT_OF_RANGE),
)

_FORMS = {
    Decimal: 'a decimal string such as "-12.5"',
    PositiveDecimal: 'a decimal string above zero such as "12.5"',
    UnsignedDecimal: 'a decimal string such as "12.5", zero or more',
    Identifier: "an identifier: 1 to 64 ASCII letters, digits and . _ : / -, the first a letter or digit",
}
_FORM_BY_PATTERN = {get_args(kind)[1].pattern: text for kind, text in _FORMS.items()}


class _Version(msgspec.Struct):
    v: int


def diagnose(error: Exception, value: bytes, contract: object) -> SchemaError:
    """The ``SchemaError`` for what decoding ``value`` as ``contract`` raised.

    A record of another version is reported as that, whatever else a newer contract may have changed.
    """
    if not isinstance(error, msgspec.ValidationError):
        return SchemaError(Reason.MALFORMED_JSON, "", str(error))
    if (version := _version(value)) not in (None, 1):
        return SchemaError(Reason.UNSUPPORTED_VERSION, "v", f"version {version}; this release reads version 1")
    message = str(error)
    path, text = "", message
    if found := _PATH.search(message):
        path, text = found.group(1), message[: found.start()]
    if _ANY_KEY in path:
        path = _name_key(path, message, value, contract)
    if named := _NAMED_FIELD.match(text):
        reason = Reason.UNKNOWN_FIELD if named.group(1) == "contains unknown" else Reason.MISSING_FIELD
        return SchemaError(reason, f"{path}.{named.group(2)}" if path else named.group(2), reason.replace("_", " "))
    return SchemaError(_reason(text), path, _sentence(text))


def _reason(text: str) -> Reason:
    for pattern, reason in _RULES:
        if pattern.match(text):
            return reason
    return Reason.OUT_OF_RANGE


def _sentence(text: str) -> str:
    """msgspec's words, or for a pattern the form it stands for."""
    for pattern, form in _FORM_BY_PATTERN.items():
        if repr(pattern) in text:
            return f"not {form}"
    return text.replace("`", "")


def _version(value: bytes) -> int | None:
    try:
        return msgspec.json.decode(value, type=_Version).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _name_key(path: str, message: str, value: bytes, contract: object) -> str:
    """Replace the first ``[...]`` of ``path`` by the key of the mapping entry at fault.

    The message does not name the key; the shortest prefix of the mapping that still fails in the same way ends in it.
    Bisection keeps that at a dozen conversions for the largest record.
    """
    steps = path[: path.index(_ANY_KEY)].split(".")
    try:
        plain = msgspec.json.decode(value)
        mapping = plain
        for step in steps:
            mapping = mapping[step]
        entries = list(mapping.items())
        low, high = 0, len(entries)
        while low < high:
            middle = (low + high) // 2
            if _fails_alike(_replaced(plain, steps, dict(entries[: middle + 1])), contract, message):
                high = middle
            else:
                low = middle + 1
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError):
        return path
    return path if low == len(entries) else path.replace(_ANY_KEY, f".{entries[low][0]}", 1)


def _replaced(plain: object, steps: list[str], leaf: object) -> object:
    if not steps:
        return leaf
    assert isinstance(plain, dict)
    return {**plain, steps[0]: _replaced(plain[steps[0]], steps[1:], leaf)}


def _fails_alike(plain: object, contract: object, message: str) -> bool:
    try:
        msgspec.convert(plain, type=contract)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False
