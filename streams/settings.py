"""Settings: one frozen value, read once at start from the environment and an optional TOML file.

Owns names, defaults and checks. Environment variables (``CROSSMARGIN_`` + upper-case name) win over the file named by
``CROSSMARGIN_CONFIG``. Refuses risk parameters: those are events on the ``reference`` topic.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

Store = Literal["memory", "rocksdb"]


class InvalidSetting(ValueError):
    """A setting has no usable value; the text names it."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"CROSSMARGIN_{name.upper()}: {detail}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process of this project can be told from outside.

    ``kafka`` is a bootstrap list, ``clickhouse`` a URL (``clickhouse://user:password@host:9000/database`` or
    ``chdb:///directory``), ``partitions`` the co-partitioned count of account-keyed topics (never changed in place),
    ``instance`` a stable member name that lets a restarted worker keep its partitions.
    """

    kafka: str = "127.0.0.1:9092"
    clickhouse: str = "chdb://./crossmargin-audit"
    application: str = "crossmargin"
    partitions: int = 8
    replication: int = 1
    instance: str = ""
    data_dir: str = "./crossmargin-data"
    store: Store = "rocksdb"
    standby_replicas: int = 0
    commit_interval_s: float = 0.5
    session_timeout_s: float = 10.0
    heartbeat_s: float = 2.0
    rebalance_timeout_s: float = 15.0
    batch_records_max: int = 16_384
    batch_bytes_max: int = 4_194_304
    dead_letters_consecutive_max: int = 500
    dead_letters_ratio_window: int = 2000
    audit_rows_max: int = 5000
    audit_linger_s: float = 0.5
    log_level: str = "WARNING"

    def __post_init__(self) -> None:
        for name in ("partitions", "replication", "batch_records_max", "batch_bytes_max", "audit_rows_max"):
            if getattr(self, name) < 1:
                raise InvalidSetting(name, "must be at least 1")
        if self.heartbeat_s * 3 > self.session_timeout_s:
            raise InvalidSetting("heartbeat_s", "must be at most a third of the session timeout")
        if self.store not in get_args(Store):
            raise InvalidSetting("store", f"must be one of {', '.join(get_args(Store))}")

    @property
    def broker_url(self) -> str:
        """The bootstrap list as Faust wants it."""
        return ";".join(f"kafka://{host.strip()}" for host in self.kafka.split(","))


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from ``environ`` and the TOML file it names; raises ``InvalidSetting``."""
    given: dict[str, object] = {}
    if path := environ.get("CROSSMARGIN_CONFIG"):
        given.update(_from_file(Path(path)))
    known = {field.name: field for field in fields(Settings)}
    for name in known:
        if (text := environ.get(f"CROSSMARGIN_{name.upper()}")) is not None:
            given[name] = text
    for name in given.keys() - known.keys():
        raise InvalidSetting(name, "no such setting")
    return Settings(**{name: _coerce(name, known[name].default, value) for name, value in given.items()})  # type: ignore[arg-type]


def _from_file(path: Path) -> dict[str, object]:
    try:
        return dict(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidSetting("config", f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise InvalidSetting("config", f"{path}: {error}") from error


def _coerce(name: str, default: object, value: object) -> object:
    kind = type(default)
    try:
        return kind(value)  # type: ignore[call-arg]
    except (TypeError, ValueError) as error:
        raise InvalidSetting(name, f"{value!r} is not a {kind.__name__}") from error
