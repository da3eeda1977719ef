"""What a run came to, read from the audit trail alone.

Owns the questions and their SQL. Refuses to know how the run was made: apart from the names of the groups everything
here stands in ClickHouse, so the same figures can be asked of any venue's audit trail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.audit.store import AuditStore
from streams.audit.tables import TABLES

INPUT_TABLES = ("fills", "prices", "collateral", "liquidation_acks", "reference", "settlements")

_MARGIN = """
SELECT account, avg(initial_margin) AS cross_margin, avg(isolated_initial_margin) AS isolated_margin,
    countIf(isolated_maintenance_margin > equity AND equity >= maintenance_margin) AS netted
FROM margin_snapshots WHERE valid = 1 GROUP BY account ORDER BY account
"""
_STATUSES = """
SELECT account, countIf(after = 'margin_call') AS calls, countIf(after = 'bankrupt') AS bankruptcies
FROM status_changes WHERE valid = 1 GROUP BY account ORDER BY account
"""
_LIQUIDATIONS = """
SELECT account, min(time_us) AS first_us, count(DISTINCT command_id) AS commands
FROM liquidations WHERE valid = 1 GROUP BY account ORDER BY first_us, account
"""
_ANSWERS = "SELECT state, count(DISTINCT command_id) AS commands FROM liquidation_acks WHERE valid = 1 GROUP BY state"
_WITHDRAWALS = """
SELECT granted, refusal, count() AS requests FROM withdrawal_decisions
WHERE valid = 1 AND account != {probe:String} GROUP BY granted, refusal ORDER BY granted DESC, refusal
"""
_WORST_MINUTE = """
SELECT intDiv(time_us, 60000000) * 60000000 AS minute_us, count(DISTINCT account) AS accounts FROM liquidations
WHERE valid = 1 GROUP BY minute_us ORDER BY accounts DESC, minute_us LIMIT 1
"""
_FIRST_COMMAND = (
    "SELECT command_id FROM liquidations WHERE valid = 1 ORDER BY time_us, src_partition, src_offset LIMIT 1"
)


@dataclass(frozen=True, slots=True)
class AccountResult:
    """One account over the run. Margins are initial margin averaged over its snapshots, in US dollars.

    ``was_netted``: at some snapshot its equity covered the requirement of the whole, but would not have covered those
    of its positions one by one.
    """

    account: str
    group: str
    cross_margin: float
    isolated_margin: float
    calls: int
    bankruptcies: int
    liquidated_us: int | None
    was_netted: bool

    @property
    def is_saved_by_netting(self) -> bool:
        """Netting carried it, and it was never liquidated."""
        return self.was_netted and self.liquidated_us is None

    @property
    def has_recovered(self) -> bool:
        """Called, and never liquidated."""
        return self.calls > 0 and self.liquidated_us is None


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the report says. ``rows`` counts audit rows by table, ``worst_minute`` is (start, accounts), and
    ``first_command`` the id of the earliest liquidation command, empty without one."""

    rows: Mapping[str, int]
    accounts: tuple[AccountResult, ...]
    commands: int
    answers: Mapping[str, int]
    withdrawals: tuple[tuple[bool, str, int], ...]
    worst_minute: tuple[int, int] | None
    first_command: str

    @property
    def audit_rows(self) -> int:
        """Rows of the audit trail: one per record of any topic."""
        return sum(self.rows.values())

    @property
    def events(self) -> int:
        """Records that came in: trades, quotes, collateral, acknowledgements, reference data, settlements."""
        return sum(self.rows[table] for table in INPUT_TABLES)

    @property
    def margin_cross(self) -> float:
        """Sum over accounts of the average initial margin."""
        return sum(account.cross_margin for account in self.accounts)

    @property
    def margin_isolated(self) -> float:
        """The same, had every position been margined alone."""
        return sum(account.isolated_margin for account in self.accounts)

    @property
    def liquidated(self) -> tuple[AccountResult, ...]:
        """Accounts that received a liquidation command."""
        return tuple(account for account in self.accounts if account.liquidated_us is not None)


def summarize(store: AuditStore, groups: Mapping[str, str], probe: str) -> Summary:
    """Read the summary of a finished run; ``groups`` names the group of every account, ``probe`` the asking one."""
    calls = {row["account"]: row for row in store.query(_STATUSES).dicts()}
    liquidated = {row["account"]: row for row in store.query(_LIQUIDATIONS).dicts()}
    worst = store.query(_WORST_MINUTE).dicts()
    first_command = store.query(_FIRST_COMMAND).rows
    results = []
    for row in store.query(_MARGIN).dicts():
        account = row["account"]
        case = liquidated.get(account)
        status = calls.get(account, {"calls": 0, "bankruptcies": 0})
        results.append(
            AccountResult(
                account=account,
                group=groups.get(account, "others"),
                cross_margin=float(row["cross_margin"]),
                isolated_margin=float(row["isolated_margin"]),
                calls=int(status["calls"]),
                bankruptcies=int(status["bankruptcies"]),
                liquidated_us=int(case["first_us"]) if case is not None else None,
                was_netted=row["netted"] > 0,
            )
        )
    return Summary(
        rows={table.name: _count(store, table.name) for table in TABLES},
        accounts=tuple(results),
        commands=sum(int(row["commands"]) for row in liquidated.values()),
        answers={row["state"]: int(row["commands"]) for row in store.query(_ANSWERS).dicts()},
        withdrawals=tuple(
            (bool(row["granted"]), row["refusal"], int(row["requests"]))
            for row in store.query(_WITHDRAWALS, {"probe": probe}).dicts()
        ),
        worst_minute=(int(worst[0]["minute_us"]), int(worst[0]["accounts"])) if worst else None,
        first_command=first_command[0][0] if first_command else "",
    )


def _count(store: AuditStore, table: str) -> int:
    return int(store.query(f"SELECT count() AS rows FROM {table}").rows[0][0])  # noqa: S608 - names of our own tables


@dataclass(frozen=True, slots=True)
class Series:
    """What the chart draws: tuples of (time in microseconds, value...), oldest first; ``count_us`` is the width of the
    last two."""

    prices: Mapping[str, tuple[tuple[int, float], ...]]
    margin: tuple[tuple[int, float, float], ...]
    liquidated: tuple[tuple[int, int], ...]
    called: tuple[tuple[int, int], ...]
    count_us: int


_PRICE_SERIES = """
SELECT intDiv(mark_time_us, {step:Int64}) * {step:Int64} AS at_us, toFloat64(argMax(price, src_offset)) AS price
FROM marks WHERE valid = 1 AND feed = {feed:String} GROUP BY at_us ORDER BY at_us
"""
_MARGIN_SERIES = """
SELECT intDiv(time_us, {step:Int64}) * {step:Int64} AS at_us, sum(initial_margin) AS cross_margin,
    sum(isolated_initial_margin) AS isolated_margin
FROM margin_snapshots WHERE valid = 1 GROUP BY at_us ORDER BY at_us
"""
_LIQUIDATED_SERIES = """
SELECT intDiv(first_us, {step:Int64}) * {step:Int64} AS at_us, count() AS accounts FROM
(SELECT account, min(time_us) AS first_us FROM liquidations WHERE valid = 1 GROUP BY account)
GROUP BY at_us ORDER BY at_us
"""
_CALLED_SERIES = """
SELECT intDiv(first_us, {step:Int64}) * {step:Int64} AS at_us, count() AS accounts FROM
(SELECT account, min(time_us) AS first_us FROM status_changes
WHERE valid = 1 AND after = 'margin_call' GROUP BY account)
GROUP BY at_us ORDER BY at_us
"""


def read_series(
    store: AuditStore, feeds: tuple[str, ...], price_step_us: int, snapshot_us: int, count_us: int
) -> Series:
    """The chart's data: newest price of each feed per ``price_step_us``, margins per ``snapshot_us``, accounts per
    ``count_us``.

    ``snapshot_us`` is the interval of the risk parameters: every account has one snapshot in each.
    """
    prices = {}
    for feed in feeds:
        rows = store.query(_PRICE_SERIES, {"feed": feed, "step": price_step_us}).rows
        prices[feed] = tuple((int(at_us), float(price)) for at_us, price in rows)
    margin = store.query(_MARGIN_SERIES, {"step": snapshot_us}).rows
    return Series(
        prices=prices,
        margin=tuple((int(at_us), float(cross), float(isolated)) for at_us, cross, isolated in margin),
        liquidated=_counted(store, _LIQUIDATED_SERIES, count_us),
        called=_counted(store, _CALLED_SERIES, count_us),
        count_us=count_us,
    )


def _counted(store: AuditStore, sql: str, step_us: int) -> tuple[tuple[int, int], ...]:
    return tuple((int(at_us), int(accounts)) for at_us, accounts in store.query(sql, {"step": step_us}).rows)
