"""Which of ClickHouse's errors pass by themselves.

Owns the sorting of error numbers into "try again" and "somebody must look". Numbers are those of
src/Common/ErrorCodes.cpp in ClickHouse, stable across versions.
"""

from __future__ import annotations

import re
from typing import Final

from streams.audit.errors import AuditError, AuditRefused, AuditUnavailable

PASSING: Final = {
    3: "unexpected end of file",
    32: "attempt to read after eof",
    74: "cannot read from file descriptor",
    75: "cannot write to file descriptor",
    76: "cannot open file",
    95: "cannot read from socket",
    96: "cannot write to socket",
    101: "unexpected packet from client",
    159: "timeout exceeded",
    160: "too slow",
    164: "read-only",
    198: "DNS error",
    202: "too many simultaneous queries",
    203: "no free connection",
    209: "socket timeout",
    210: "network error",
    218: "table is dropped",
    225: "no keeper",
    236: "aborted",
    241: "memory limit exceeded",
    242: "table is read-only",
    243: "not enough space",
    252: "too many parts",
    285: "too few live replicas",
    286: "unsatisfied quorum",
    319: "unknown status of insert",
    342: "unknown status of distributed insert",
    394: "query was cancelled",
    425: "system error",
    473: "deadlock avoided",
    499: "S3 error",
    999: "keeper exception",
}
"""Errors of a server that is short of something, shutting down, or set read-only for a while."""

_CODE = re.compile(r"Code: (\d+)")
_MESSAGE_LENGTH_MAX: Final = 500


def error_for(message: str, code: int | None = None) -> AuditError:
    """The error for ClickHouse's ``message``; the number is read from the text when ``code`` is not given."""
    if code is None:
        found = _CODE.search(message)
        code = int(found.group(1)) if found else 0
    text = message.partition("Stack trace:")[0].strip()[:_MESSAGE_LENGTH_MAX]
    if code in PASSING:
        return AuditUnavailable(text)
    return AuditRefused(text, code)
