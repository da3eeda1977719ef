"""What a decision was taken on, read back from the audit trail: inputs, marks, reference, decisions and commands.

Owns the queries that ``explain`` and replays stand on. Every one returns exact bytes (``raw``) in a fixed order and
runs on every server the audit trail supports. "As of a version" means offsets at or below it on the topic's single
partition. Records that broke their contract are left out, except from an account's inputs: there they are part of what
the account's worker saw.
"""

from __future__ import annotations

from typing import Final

from streams.audit.queries import Query

ACCOUNT_INPUTS: Final = Query(
    "account_inputs",
    "Every record an account's worker saw, topic by topic, up to the offsets a decision names (-1: none).",
    """SELECT src_topic, src_partition, src_offset, ts_us, valid, key, raw
FROM
(
    SELECT src_topic, src_partition, src_offset, ts_us, valid, key, raw FROM fills FINAL
    WHERE key = {account:String} AND src_offset <= {fills_offset:Int64}
    UNION ALL
    SELECT src_topic, src_partition, src_offset, ts_us, valid, key, raw FROM collateral FINAL
    WHERE key = {account:String} AND src_offset <= {collateral_offset:Int64}
    UNION ALL
    SELECT src_topic, src_partition, src_offset, ts_us, valid, key, raw FROM liquidation_acks FINAL
    WHERE key = {account:String} AND src_offset <= {liquidation_acks_offset:Int64}
)
ORDER BY src_topic, src_offset""",
)

MARKS_AS_OF: Final = Query(
    "marks_as_of",
    "The newest mark of every feed at a price version.",
    """SELECT feed, src_offset, raw
FROM (SELECT feed, src_offset, raw FROM marks FINAL WHERE valid = 1 AND src_offset <= {mark_version:Int64})
ORDER BY feed, src_offset DESC
LIMIT 1 BY feed""",
)

MARKS_BETWEEN: Final = Query(
    "marks_between",
    "The marks after one price version, up to and with another, in order.",
    """SELECT feed, src_offset, raw
FROM marks FINAL
WHERE valid = 1 AND src_offset > {after_version:Int64} AND src_offset <= {mark_version:Int64}
ORDER BY src_offset""",
)

REFERENCE_AS_OF: Final = Query(
    "reference_as_of",
    "Instruments, collateral assets and every version of the risk parameters at a reference version.",
    """SELECT type, id, src_offset, raw
FROM (SELECT type, id, src_offset, raw FROM reference FINAL WHERE valid = 1 AND src_offset <= {reference_version:Int64})
ORDER BY type, id, src_offset DESC
LIMIT 1 BY type, id""",
)

SETTLEMENTS_AS_OF: Final = Query(
    "settlements_as_of",
    "Final prices up to a settlement version, in order.",
    """SELECT instrument, src_offset, raw
FROM settlements FINAL
WHERE valid = 1 AND src_offset <= {settlement_version:Int64}
ORDER BY src_offset""",
)

CONTROLS_AS_OF: Final = Query(
    "controls_as_of",
    "Holds on liquidations and their ends up to a control version, in order.",
    """SELECT scope, target, src_offset, raw
FROM liquidation_controls FINAL
WHERE valid = 1 AND src_offset <= {control_version:Int64}
ORDER BY src_offset""",
)

COMMAND: Final = Query(
    "command",
    "A liquidation command by its id; more than one row when it was delivered more than once.",
    """SELECT command_id, decision_id, account, src_partition, src_offset, raw
FROM liquidations FINAL
WHERE valid = 1 AND command_id = {command_id:String}
ORDER BY src_partition, src_offset""",
)

COMMANDS_OF_DECISION: Final = Query(
    "commands_of_decision",
    "The commands of one liquidation decision, leg by leg.",
    """SELECT command_id, leg, src_partition, src_offset, raw
FROM liquidations FINAL
WHERE valid = 1 AND decision_id = {decision_id:String}
ORDER BY leg, src_partition, src_offset""",
)

MARGIN_EVENT: Final = Query(
    "margin_event",
    "A decision of any kind by its event id; more than one row when it was delivered more than once.",
    """SELECT type, account, src_partition, src_offset, raw
FROM
(
    SELECT 'liquidation_decision' AS type, account, src_partition, src_offset, raw FROM liquidation_decisions FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
    UNION ALL
    SELECT 'execution_anomaly' AS type, account, src_partition, src_offset, raw FROM execution_anomalies FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
    UNION ALL
    SELECT 'status_changed' AS type, account, src_partition, src_offset, raw FROM status_changes FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
    UNION ALL
    SELECT 'withdrawal_decided' AS type, account, src_partition, src_offset, raw FROM withdrawal_decisions FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
    UNION ALL
    SELECT 'position_settled' AS type, account, src_partition, src_offset, raw FROM position_settlements FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
    UNION ALL
    SELECT 'margin_snapshot' AS type, account, src_partition, src_offset, raw FROM margin_snapshots FINAL
    WHERE valid = 1 AND event_id = {event_id:String}
)
ORDER BY src_partition, src_offset""",
)

LAST_SNAPSHOTS: Final = Query(
    "last_snapshots",
    "The newest margin snapshot of every account.",
    """SELECT account, src_offset, raw
FROM (SELECT account, src_offset, raw FROM margin_snapshots FINAL WHERE valid = 1)
ORDER BY account, src_offset DESC
LIMIT 1 BY account""",
)

LAST_GAPS: Final = Query(
    "last_gaps",
    "The newest gap-at-risk of every account partition.",
    """SELECT account_partition, src_offset, raw
FROM (SELECT account_partition, src_offset, raw FROM gap_at_risk FINAL WHERE valid = 1)
ORDER BY account_partition, src_offset DESC
LIMIT 1 BY account_partition""",
)

LAST_STATUS: Final = Query(
    "last_status",
    "The newest status change of every account.",
    """SELECT account, src_offset, raw
FROM (SELECT account, src_offset, raw FROM status_changes FINAL WHERE valid = 1)
ORDER BY account, src_offset DESC
LIMIT 1 BY account""",
)

EVIDENCE: Final = {
    query.name: query
    for query in (
        ACCOUNT_INPUTS,
        MARKS_AS_OF,
        MARKS_BETWEEN,
        REFERENCE_AS_OF,
        SETTLEMENTS_AS_OF,
        CONTROLS_AS_OF,
        COMMAND,
        COMMANDS_OF_DECISION,
        MARGIN_EVENT,
        LAST_SNAPSHOTS,
        LAST_STATUS,
        LAST_GAPS,
    )
}
"""Every query of this module by name."""
