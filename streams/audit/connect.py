"""Opens the audit store that a URL names."""

from __future__ import annotations

from streams.audit.clickhouse import ClickHouseServer
from streams.audit.errors import AuditRefused
from streams.audit.store import AuditStore


def open_store(url: str) -> AuditStore:
    """Open ``clickhouse://user:password@host:9000/database`` or ``chdb:///directory``.

    A server is first spoken to when something is asked of it. Raises ``AuditUnavailable`` when another process holds
    the chDB directory, ``AuditRefused`` for another kind of URL or when chDB is not installed.
    """
    kind = url.partition("://")[0]
    if kind in ("clickhouse", "clickhouses"):
        return ClickHouseServer(url)
    if kind != "chdb":
        raise AuditRefused(f"{kind or 'empty'}: an audit store is named clickhouse://... or chdb://...")
    try:
        # Imported on demand: chDB is an optional extra and takes a quarter of a gigabyte.
        from streams.audit.embedded import ChdbStore
    except ImportError as error:
        raise AuditRefused("chdb:// needs the extra: pip install 'crossmargin[embedded]'") from error
    return ChdbStore(url)
