"""The questions people ask the audit trail, by name, with parameters.

Owns the SQL that ``docs/sql-cookbook.md`` shows; a test runs every query and holds the page to these texts. Queries
that ``explain`` and replays depend on are in ``evidence``. Refuses free SQL.

House rules for SQL here: tables are read with ``FINAL`` and ``valid = 1``; times are UTC microseconds and intervals
half open; nothing newer than 18.16 unless ``requires`` says so; sums of amounts go through ``Decimal256`` (a sum of
``Decimal(38, 18)`` wraps past 1.7e20 without a word) or, marked as approximate, through ``Float64``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from streams.audit.errors import QueryUnsupported
from streams.audit.store import Answer, AuditStore, Parameter
from streams.audit.tables import TABLES

_PLACEHOLDER = re.compile(r"\{(\w+):([\w()]+)\}")


@dataclass(frozen=True, slots=True)
class Query:
    """One named question. ``requires`` is the oldest server that answers it rightly."""

    name: str
    purpose: str
    sql: str
    requires: tuple[int, int] = (18, 16)

    @property
    def parameters(self) -> dict[str, str]:
        """Names and types of the parameters, in order of first use."""
        return dict(_PLACEHOLDER.findall(self.sql))

    def run(self, store: AuditStore, **parameters: Parameter) -> Answer:
        """The answer of ``store``; raises ``QueryUnsupported`` when its server is too old.

        The check is ours because old servers do not always refuse: 18.16 reads ``ASOF JOIN`` as a plain join with a
        table alias, and answers wrongly.
        """
        if store.server_version < self.requires:
            needs, has = (".".join(map(str, version)) for version in (self.requires, store.server_version))
            raise QueryUnsupported(f"query {self.name} needs ClickHouse {needs}, this is {has}")
        return store.query(self.sql, parameters)


LIQUIDATED_ACCOUNTS: Final = Query(
    "liquidated_accounts",
    "Who was liquidated, when, and why: the figures and versions of each decision, with what was ordered.",
    """SELECT
    decision_id, account, time_us, liquidation_sequence, round, equity, maintenance_margin,
    maintenance_margin - equity AS margin_shortfall, equity_after, maintenance_margin_after,
    worst_scenario_underlyings, worst_scenario_names, mark_version, parameters_version, orders
FROM
(
    SELECT
        event_id AS decision_id, account, time_us, liquidation_sequence, round, equity, maintenance_margin,
        equity_after, maintenance_margin_after, worst_scenario_underlyings, worst_scenario_names, mark_version,
        parameters_version
    FROM liquidation_decisions FINAL
    WHERE valid = 1 AND time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
) AS decision
ANY LEFT JOIN
(
    SELECT decision_id, groupArray(concat(side, ' ', toString(quantity), ' ', instrument)) AS orders
    FROM liquidations FINAL
    WHERE valid = 1
    GROUP BY decision_id
) AS ordered
USING decision_id
ORDER BY time_us, account, round""",
)

LIQUIDATION_OUTCOMES: Final = Query(
    "liquidation_outcomes",
    "What became of each command: ordered, filled and at what price, and the executor's last word.",
    """SELECT
    command_id, account, instrument, side, ordered, limit_price, filled, average_price, last_state
FROM
(
    SELECT command_id, account, instrument, side, quantity AS ordered, limit_price
    FROM liquidations FINAL
    WHERE valid = 1 AND time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
) AS command
ANY LEFT JOIN
(
    SELECT
        command_id, sum(toFloat64(quantity)) AS filled,
        sum(toFloat64(quantity) * toFloat64(price)) / filled AS average_price
    FROM fills FINAL
    WHERE valid = 1 AND command_id != ''
    GROUP BY command_id
) AS execution
USING command_id
ANY LEFT JOIN
(
    SELECT command_id, argMax(state, src_offset) AS last_state
    FROM liquidation_acks FINAL
    WHERE valid = 1
    GROUP BY command_id
) AS ack
USING command_id
ORDER BY command_id""",
    requires=(20, 3),
)

ACCOUNT_TIMELINE: Final = Query(
    "account_timeline",
    "Everything the audit knows of one account, in order of time: what it did, what was decided, what was ordered.",
    """SELECT time_us, what, subject, detail, src_topic, src_partition, src_offset
FROM
(
    SELECT trade_time_us AS time_us, 'fill' AS what, instrument AS subject,
        concat(side, ' ', toString(quantity), ' at ', toString(price)) AS detail, src_topic, src_partition, src_offset
    FROM fills FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT event_time_us, kind, asset, toString(amount), src_topic, src_partition, src_offset
    FROM collateral FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'status', after, concat('from ', before), src_topic, src_partition, src_offset
    FROM status_changes FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'liquidation decision', event_id, concat('round ', toString(round), ': ', explanation),
        src_topic, src_partition, src_offset
    FROM liquidation_decisions FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'liquidation command', kind, concat(side, ' ', toString(quantity), ' ', instrument),
        src_topic, src_partition, src_offset
    FROM liquidations FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT event_time_us, 'liquidation ack', command_id, state, src_topic, src_partition, src_offset
    FROM liquidation_acks FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'execution anomaly', command_id, anomaly, src_topic, src_partition, src_offset
    FROM execution_anomalies FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'withdrawal answer', request_id, if(granted, 'granted', refusal),
        src_topic, src_partition, src_offset
    FROM withdrawal_decisions FINAL WHERE valid = 1 AND account = {account:String}
    UNION ALL
    SELECT time_us, 'position settled', instrument, toString(cash), src_topic, src_partition, src_offset
    FROM position_settlements FINAL WHERE valid = 1 AND account = {account:String}
)
WHERE time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
ORDER BY time_us, src_topic, src_partition, src_offset""",
)

LIQUIDATION_HOLDS: Final = Query(
    "liquidation_holds",
    "Who has stopped which liquidations or let them run again, until when and why.",
    """SELECT event_time_us, scope, target, mode, until_us, issued_by, approved_by, reason
FROM liquidation_controls FINAL
WHERE valid = 1 AND event_time_us >= {from_us:Int64} AND event_time_us < {to_us:Int64}
ORDER BY src_offset""",
)

GAP_AT_RISK_BY_JUMP: Final = Query(
    "gap_at_risk_by_jump",
    "What customers would have owed beyond all they had after each jump, summed over account partitions, by hour: the"
    " last figure of every partition in the hour.",
    """SELECT toDateTime(intDiv(hour_us, 1000000), 'UTC') AS hour, jump, sum(total) AS shortfall, sum(short) AS accounts
FROM
(
    SELECT
        intDiv(time_us, 3600000000) * 3600000000 AS hour_us, account_partition, jump,
        argMax(total, src_offset) AS total, argMax(short, src_offset) AS short
    FROM
    (
        SELECT time_us, account_partition, src_offset, jump, total, short
        FROM gap_at_risk FINAL
        ARRAY JOIN jumps AS jump, totals AS total, short_accounts AS short
        WHERE valid = 1 AND time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
    )
    GROUP BY hour_us, account_partition, jump
)
GROUP BY hour, jump
ORDER BY hour, shortfall DESC, jump""",
)

MARGIN_UTILIZATION_BY_HOUR: Final = Query(
    "margin_utilization_by_hour",
    "Initial margin over equity per account and hour: median, 95th percentile, and how many were above one.",
    """SELECT
    toDateTime(intDiv(hour_us, 1000000), 'UTC') AS hour,
    count() AS accounts,
    quantileExact(0.5)(utilization) AS median,
    quantileExact(0.95)(utilization) AS p95,
    sum(utilization > 1) AS above_one
FROM
(
    SELECT
        intDiv(time_us, 3600000000) * 3600000000 AS hour_us, account,
        argMax(initial_margin, src_offset) / argMax(equity, src_offset) AS utilization
    FROM margin_snapshots FINAL
    WHERE valid = 1 AND equity > 0 AND time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
    GROUP BY hour_us, account
)
GROUP BY hour_us
ORDER BY hour_us""",
)

_CAPITAL_SQL = """SELECT
    toDateTime(intDiv(period_us, 1000000), 'UTC') AS {period},
    count() AS accounts,
    sum(cross_margin) AS initial_margin_cross,
    sum(isolated_margin) AS initial_margin_isolated,
    if(initial_margin_isolated > 0, 1 - initial_margin_cross / initial_margin_isolated, 0) AS saving
FROM
(
    SELECT
        intDiv(time_us, {length}) * {length} AS period_us, account,
        argMax(initial_margin, src_offset) AS cross_margin,
        argMax(isolated_initial_margin, src_offset) AS isolated_margin
    FROM margin_snapshots FINAL
    WHERE valid = 1 AND time_us >= {{from_us:Int64}} AND time_us < {{to_us:Int64}}
    GROUP BY period_us, account
)
GROUP BY period_us
ORDER BY period_us"""

CAPITAL_BY_HOUR: Final = Query(
    "capital_by_hour",
    "Capital that cross margin needs against isolated margin, per hour: each account's last snapshot counts.",
    _CAPITAL_SQL.format(period="hour", length=3_600_000_000),
)

CAPITAL_BY_DAY: Final = Query(
    "capital_by_day",
    "Capital that cross margin needs against isolated margin, per day: each account's last snapshot counts.",
    _CAPITAL_SQL.format(period="day", length=86_400_000_000),
)

LEAST_MARGIN_EXCESS: Final = Query(
    "least_margin_excess",
    "The accounts that were nearest to liquidation at a moment.",
    """SELECT
    account,
    argMax(equity, src_offset) AS last_equity,
    argMax(maintenance_margin, src_offset) AS last_maintenance_margin,
    last_equity - last_maintenance_margin AS margin_excess,
    argMax(status, src_offset) AS last_status
FROM margin_snapshots FINAL
WHERE valid = 1 AND time_us <= {at_us:Int64}
GROUP BY account
ORDER BY margin_excess
LIMIT 25""",
)

NET_DEPOSITS: Final = Query(
    "net_deposits",
    "Deposited and granted withdrawals and transfers per asset, exact to the last of 18 decimals.",
    """SELECT
    asset,
    sumIf(toDecimal256(amount, 18), kind = 'deposit') AS deposited,
    sumIf(toDecimal256(amount, 18), kind = 'withdrawal' AND granted = 1) AS withdrawn,
    sumIf(toDecimal256(amount, 18), kind = 'transfer' AND granted = 1) AS transferred
FROM (SELECT event_id, asset, kind, amount FROM collateral FINAL WHERE valid = 1) AS movement
ANY LEFT JOIN
(
    SELECT request_id AS event_id, granted FROM withdrawal_decisions FINAL WHERE valid = 1
) AS answer
USING event_id
GROUP BY asset
ORDER BY asset""",
    requires=(21, 1),
)

TRADED_VOLUME: Final = Query(
    "traded_volume",
    "Fills and their value per instrument and day. The value is approximate (Float64), for display.",
    """SELECT
    toDate(toDateTime(intDiv(trade_time_us, 1000000), 'UTC'), 'UTC') AS day,
    instrument,
    count() AS fill_count,
    sum(toFloat64(quantity) * toFloat64(price)) AS traded_value
FROM fills FINAL
WHERE valid = 1 AND trade_time_us >= {from_us:Int64} AND trade_time_us < {to_us:Int64}
GROUP BY day, instrument
ORDER BY day, instrument""",
)

REFUSED_WITHDRAWALS: Final = Query(
    "refused_withdrawals",
    "Withdrawals and transfers that were refused, per reason.",
    """SELECT refusal, count() AS requests, uniqExact(account) AS accounts
FROM withdrawal_decisions FINAL
WHERE valid = 1 AND granted = 0 AND time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
GROUP BY refusal
ORDER BY requests DESC, refusal""",
)

GREEKS_BY_UNDERLYING: Final = Query(
    "greeks_by_underlying",
    "The venue's open greeks at a moment: the last snapshot of every account, added up.",
    """SELECT underlying, greek, sum(amount) AS total
FROM
(
    SELECT account, greek_underlyings, greek_names, greek_values
    FROM margin_snapshots FINAL
    WHERE valid = 1 AND time_us <= {at_us:Int64}
    ORDER BY src_offset DESC
    LIMIT 1 BY account
)
ARRAY JOIN greek_underlyings AS underlying, greek_names AS greek, greek_values AS amount
GROUP BY underlying, greek
ORDER BY underlying, greek""",
)

PRICE_AGE_AT_LIQUIDATION: Final = Query(
    "price_age_at_liquidation",
    "How old the mark of the traded feed was when each liquidation command was decided.",
    """SELECT command_id, account, instrument, feed, price AS mark_price, decided_us - mark_time_us AS mark_age_us
FROM
(
    SELECT command_id, account, instrument, mark_feed AS feed, time_us AS decided_us, mark_version AS version
    FROM (SELECT * FROM liquidations FINAL WHERE valid = 1) AS command
    INNER JOIN
    (
        SELECT id AS instrument, argMax(mark_feed, src_offset) AS mark_feed
        FROM reference FINAL WHERE valid = 1 AND type = 'instrument' GROUP BY instrument
    ) AS terms USING instrument
    WHERE time_us >= {from_us:Int64} AND time_us < {to_us:Int64}
) AS decided
ASOF LEFT JOIN
(
    SELECT feed, src_offset AS version, price, mark_time_us FROM marks FINAL WHERE valid = 1
) AS mark
ON decided.feed = mark.feed AND decided.version >= mark.version
ORDER BY mark_age_us DESC, command_id""",
    requires=(21, 1),
)

FEED_SILENCE: Final = Query(
    "feed_silence",
    "The longest silence and the largest step of every feed: what the price guard had to live with.",
    """SELECT feed, max(mark_time_us - earlier_us) AS silence_us_max, max(abs(price / earlier_price - 1)) AS step_max
FROM
(
    SELECT
        feed, mark_time_us, toFloat64(price) AS price,
        lagInFrame(mark_time_us, 1, mark_time_us) OVER feeds AS earlier_us,
        lagInFrame(toFloat64(marks.price), 1, toFloat64(marks.price)) OVER feeds AS earlier_price
    FROM marks FINAL
    WHERE valid = 1 AND mark_time_us >= {from_us:Int64} AND mark_time_us < {to_us:Int64}
    WINDOW feeds AS (PARTITION BY feed ORDER BY src_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
GROUP BY feed
ORDER BY silence_us_max DESC, feed""",
    requires=(22, 3),
)

DEAD_LETTERS_BY_REASON: Final = Query(
    "dead_letters_by_reason",
    "Records that could not be applied, per topic and reason, with one example each.",
    """SELECT
    record_topic, reason, field, count() AS letters, any(detail) AS example,
    concat(record_topic, ':', toString(min(record_partition)), ':', toString(min(record_offset))) AS first_address
FROM dead_letters FINAL
WHERE valid = 1
GROUP BY record_topic, reason, field
ORDER BY letters DESC, record_topic, reason, field""",
)


def _of_every_table(select: str) -> str:
    return "\n    UNION ALL\n".join(f"    {select} FROM {table.name}" for table in TABLES)


UNDECODABLE: Final = Query(
    "undecodable",
    "Records whose value broke its contract, per topic and error. Their bytes are in the column raw.",
    f"""SELECT src_topic, error, uniqExact(src_partition, src_offset) AS records
FROM
(
{_of_every_table("SELECT src_topic, src_partition, src_offset, error, valid")}
)
WHERE valid = 0
GROUP BY src_topic, error
ORDER BY records DESC, src_topic, error""",  # noqa: S608  # the tables are ours
)

COMPLETENESS: Final = Query(
    "completeness",
    "Per partition: rows, distinct offsets, duplicates, and offsets never seen between the first and the last."
    " Control records of transactions and compaction leave offsets unseen; nothing else should.",
    f"""SELECT
    src_topic, src_partition, count() AS row_count, uniqExact(src_offset) AS offsets, row_count - offsets AS duplicates,
    min(src_offset) AS first_offset, max(src_offset) AS last_offset, last_offset - first_offset + 1 - offsets AS unseen
FROM
(
{_of_every_table("SELECT src_topic, src_partition, src_offset")}
)
GROUP BY src_topic, src_partition
ORDER BY src_topic, src_partition""",  # noqa: S608  # the tables are ours
)


def _by_name(queries: Iterable[Query]) -> dict[str, Query]:
    return {query.name: query for query in queries}


QUERIES: Final = _by_name(
    (
        LIQUIDATED_ACCOUNTS,
        LIQUIDATION_OUTCOMES,
        ACCOUNT_TIMELINE,
        LIQUIDATION_HOLDS,
        GAP_AT_RISK_BY_JUMP,
        LEAST_MARGIN_EXCESS,
        MARGIN_UTILIZATION_BY_HOUR,
        CAPITAL_BY_HOUR,
        CAPITAL_BY_DAY,
        GREEKS_BY_UNDERLYING,
        NET_DEPOSITS,
        TRADED_VOLUME,
        REFUSED_WITHDRAWALS,
        PRICE_AGE_AT_LIQUIDATION,
        FEED_SILENCE,
        DEAD_LETTERS_BY_REASON,
        UNDECODABLE,
        COMPLETENESS,
    )
)
"""Every query of the cookbook, in the order of the page."""
