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
_STEP = re.compile(r"([^.\[\]]+)|\[(\.\.\.|[0-9]+)\]")

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


def diagnose(error: Exception, value: bytes, contract: object, version: int = 1) -> SchemaError:
    """The ``SchemaError`` for what decoding ``value`` as ``contract``, whose version is ``version``, raised.

    A record of another version is reported as that, whatever else a newer contract may have changed.
    """
    if not isinstance(error, msgspec.ValidationError):
        return SchemaError(Reason.MALFORMED_JSON, "", str(error))
    if (stated := _version(value)) not in (None, version):
        return SchemaError(Reason.UNSUPPORTED_VERSION, "v", f"version {stated}; this release reads version {version}")
    message = str(error)
    path, text = "", message
    if found := _PATH.search(message):
        path, text = found.group(1), message[: found.start()]
    if _ANY_KEY in path:
        path = _name_keys(path, message, value, contract)
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


def _name_keys(path: str, message: str, value: bytes, contract: object) -> str:
    """Replace each ``[...]`` of ``path`` by the key of the mapping entry at fault."""
    try:
        plain = msgspec.json.decode(value)
        steps: list[str | int] = []
        for name, index in _STEP.findall(path):
            if index != "...":
                steps.append(int(index) if index else name)
            elif (key := _faulty_key(plain, steps, contract, message)) is not None:
                steps.append(key)
            else:
                return path
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return path
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _faulty_key(plain: object, steps: list[str | int], contract: object, message: str) -> str | None:
    """The key of the entry at fault in the mapping that ``steps`` lead to.

    The message does not name it. Halving the entries until one is left that still fails in the same way costs about
    as much as one more decoding, however large the record.
    """
    mapping = plain
    for step in steps:
        mapping = mapping[step]  # type: ignore[index]
    suspects = list(mapping.items())  # type: ignore[attr-defined]
    while len(suspects) > 1:
        half = suspects[: len(suspects) // 2]
        alike = _fails_alike(_replaced(plain, steps, dict(half)), contract, message)
        suspects = half if alike else suspects[len(half) :]
    if not suspects or not _fails_alike(_replaced(plain, steps, dict(suspects)), contract, message):
        return None
    return str(suspects[0][0])


def _replaced(plain: object, steps: list[str | int], leaf: object) -> object:
    """A copy of ``plain`` with ``leaf`` where ``steps`` lead to; everything else is shared."""
    if not steps:
        return leaf
    step = steps[0]
    if isinstance(plain, list) and isinstance(step, int):
        return [*plain[:step], _replaced(plain[step], steps[1:], leaf), *plain[step + 1 :]]
    assert isinstance(plain, dict)
    return {**plain, step: _replaced(plain[step], steps[1:], leaf)}


def _fails_alike(plain: object, contract: object, message: str) -> bool:
    try:
        msgspec.convert(plain, type=contract)
    except msgspec.ValidationError as error:
        return str(error) == message
    return False
