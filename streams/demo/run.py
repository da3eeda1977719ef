"""One run of the demonstration from an empty directory to a result.

Owns the order: broker, topics, workers, executor; the exchange played to its end; everything at rest; workers stopped;
then the audit trail opened (one process at a time may) and checked against the broker. Refuses the content of every
step.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kafka import TopicPartition

from schemas.catalogue import load_catalogue
from streams.audit.connect import open_store
from streams.audit.store import AuditStore
from streams.audit.tables import TABLES
from streams.demo.broker import start_broker
from streams.demo.exchange import Exchange
from streams.demo.feeder import TOPICS, Feeder
from streams.demo.population import BACKSTOP, PROBE
from streams.demo.prices import INDEX, MINUTE_US, USDC, load_minutes, window
from streams.demo.processes import Child, DemoFailed
from streams.demo.report import DemoResult
from streams.demo.summary import read_series, summarize
from streams.kafka_admin import ensure_topics

PARTITIONS = 4
MARKER = ".crossmargin-demo"
"""A directory with this file in it was made by the demonstration, which may empty it."""
WORKER_STOP_SECONDS = 40.0
GROUPS = {
    "crossmargin-risk": ("fills", "collateral", "liquidation-acks"),
    "crossmargin-oracle": ("prices", "reference", "liquidation-control", "settlements", "marks"),
    "crossmargin-audit": TOPICS,
}
"""Consumer groups of the workers, and the topics in which the position of each is committed."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What can be asked of a run."""

    minutes: int
    accounts: int
    seed: int
    out: Path


class DirectoryTaken(Exception):
    """The output directory holds something that the demonstration did not put there."""


def run_demo(
    options: DemoOptions,
    on_start: Callable[[Exchange], None],
    on_minute: Callable[[int], None],
    check_wanted: Callable[[], None],
) -> DemoResult:
    """Run and return the result; raises ``DirectoryTaken`` before and ``DemoFailed`` after anything was started.

    ``check_wanted`` is called again and again and raises when the run shall end early.
    """
    started = time.monotonic()
    _require_extra()
    out = empty_directory(options.out)
    exchange = Exchange(window(load_minutes(), options.minutes), options.accounts, options.seed)
    audit_url = f"chdb://{out / 'audit'}"
    with ExitStack() as stack:
        broker, bootstrap = start_broker(out / "broker", out / "broker.log")
        stack.enter_context(broker)
        ensure_topics(bootstrap, load_catalogue(), accounts=PARTITIONS)
        (out / "worker").mkdir()
        environment = _environment(bootstrap, audit_url, out)
        worker = stack.enter_context(_worker(environment, out))
        executor = stack.enter_context(_executor(environment, out))

        def check() -> None:
            check_wanted()
            for child in (broker, worker, executor):
                child.check()

        on_start(exchange)
        feeder = stack.enter_context(closing(Feeder(bootstrap, exchange, GROUPS, check)))
        feeder.open()
        feeder.play(on_minute)
        feeder.settle()
        executor.stop()
        worker.stop()
        ends = feeder.ends()
    with closing(open_store(audit_url)) as store:
        return _result(store, exchange, ends, out, started)


def _require_extra() -> None:
    """The optional packages, before anything is started."""
    missing = [name for name in ("noida_db", "chdb", "matplotlib") if find_spec(name) is None]
    if missing:
        raise DemoFailed(f"{', '.join(missing)} not installed: pip install 'crossmargin[embedded]'")


def empty_directory(out: Path) -> Path:
    """Make ``out``, or empty it if an earlier run made it; raises ``DirectoryTaken``."""
    out = out.absolute()
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).is_file():
            raise DirectoryTaken(f"{out} is not empty and was not made by an earlier run")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    return out


def _environment(bootstrap: str, audit_url: str, out: Path) -> dict[str, str]:
    """The workers' settings; nothing of the caller's own ``CROSSMARGIN_`` settings is handed on."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CROSSMARGIN_")}
    return inherited | {
        "CROSSMARGIN_KAFKA": bootstrap,
        "CROSSMARGIN_CLICKHOUSE": audit_url,
        "CROSSMARGIN_DATA_DIR": str(out / "worker"),
        "CROSSMARGIN_PARTITIONS": str(PARTITIONS),
        # Six days pass in a minute: larger inserts, or merging small ones would take most of a core.
        "CROSSMARGIN_AUDIT_LINGER_S": "2",
        "CROSSMARGIN_AUDIT_ROWS_MAX": "20000",
    }


def _worker(environment: Mapping[str, str], out: Path) -> Child:
    command = [sys.executable, "-m", "streams", "worker", "--role", "all"]
    return Child("risk workers", command, out / "worker.log", environment, WORKER_STOP_SECONDS)


def _executor(environment: Mapping[str, str], out: Path) -> Child:
    command = [sys.executable, "-m", "streams.executor", "--counterparty", BACKSTOP]
    return Child("executor", command, out / "executor.log", environment)


def _result(
    store: AuditStore, exchange: Exchange, ends: Mapping[TopicPartition, int], out: Path, started: float
) -> DemoResult:
    groups = {account.name: account.group.value for account in exchange.population.accounts}
    summary = summarize(store, groups, PROBE)
    _check_complete(summary.rows, ends)
    if (found := summary.rows["dead_letters"]) != (due := exchange.dead_letters_due):
        raise DemoFailed(
            f"{found} dead letters for {due} deliberate mistakes; see the table dead_letters in {out}/audit"
        )
    minutes = exchange.minutes
    series = read_series(
        store,
        (INDEX, USDC),
        price_step_us=max(1, len(minutes) // 720) * MINUTE_US,
        snapshot_us=exchange.snapshot_minutes * MINUTE_US,
        count_us=max(1, len(minutes) // 48) * MINUTE_US,
    )
    from streams.demo.chart import draw  # Of the optional extra, which is known to be there by now.

    chart = out / "report.png"
    # On demand, so that the command line answers without the extra that brings matplotlib.

    draw(series, chart, f"{len(summary.accounts)} accounts through the USDC depeg of March 2023")
    return DemoResult(
        summary=summary,
        topic_records=sum(ends.values()),
        dead_letters_due=exchange.dead_letters_due,
        paid_calls=exchange.tally.paid_calls,
        refused_orders=exchange.tally.refused_orders,
        audit=out / "audit",
        chart=chart,
        elapsed_s=time.monotonic() - started,
    )


def _check_complete(rows: Mapping[str, int], ends: Mapping[TopicPartition, int]) -> None:
    """Every record of every topic must be one row of the audit trail."""
    audited: dict[str, int] = {}
    for table in TABLES:
        audited[table.topic] = audited.get(table.topic, 0) + rows[table.name]
    published: dict[str, int] = {}
    for partition, end in ends.items():
        published[partition.topic] = published.get(partition.topic, 0) + end
    if wrong := [
        f"{topic}: {audited.get(topic, 0)} rows of {published.get(topic, 0)} records"
        for topic in sorted(published.keys() | audited.keys())
        if audited.get(topic, 0) != published.get(topic, 0)
    ]:
        raise DemoFailed(f"the audit trail is not complete; {'; '.join(wrong)}")
