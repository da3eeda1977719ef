"""The liquidation page of one account: what happened to it, round by round, as one HTML file.

Owns the order of the story and its markup: plain HTML with its style inside, no scripts, nothing fetched. Everything
that anybody wrote is escaped. Refuses to recompute (``streams.explain`` does) and to judge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape

import msgspec

from schemas.codec import decode
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.margin_events import CertificateV1, ExecutionAnomalyV1, LiquidationDecisionV1, StatusChangedV1
from streams.audit.evidence import ACCOUNT_LIQUIDATION
from streams.audit.store import AuditStore

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 66em; padding: 0 1em; color: #1c2530 }
h1 { font-size: 1.5em } h2 { font-size: 1.2em; margin-top: 2em } h3 { font-size: 1em; margin-bottom: .3em }
table { border-collapse: collapse; margin: .5em 0 } th, td { padding: .2em .8em .2em 0; text-align: left }
th { font-weight: 600; border-bottom: 1px solid #b8c2cc }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.why { background: #f2f5f8; padding: .5em .8em; border-left: 3px solid #5b7690 }
""".strip()


@dataclass(slots=True)
class AccountStory:
    """What the trail knows of an account's liquidations; each list in order of time."""

    account: str
    changes: list[StatusChangedV1] = field(default_factory=list)
    decisions: list[LiquidationDecisionV1] = field(default_factory=list)
    commands: dict[str, list[LiquidationCommandV1]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, list[LiquidationAckV1]] = field(default_factory=lambda: defaultdict(list))
    fills: dict[str, list[FillV1]] = field(default_factory=lambda: defaultdict(list))
    anomalies: list[ExecutionAnomalyV1] = field(default_factory=list)


def read_story(store: AuditStore, account: str) -> AccountStory:
    """The story of ``account``, empty if the trail holds none of it; raises ``AuditError``.

    Commands are listed under their decision, answers and fills under their command; repeated deliveries count once.
    """
    story, seen = AccountStory(account), set[tuple[str, bytes]]()
    for topic, *_, raw in ACCOUNT_LIQUIDATION.run(store, account=account).rows:
        if (topic, raw) in seen:
            continue
        seen.add((topic, raw))
        match decode(topic, raw):
            case StatusChangedV1() as change:
                story.changes.append(change)
            case LiquidationDecisionV1() as decision:
                story.decisions.append(decision)
            case LiquidationCommandV1() as command:
                story.commands[command.decision_id].append(command)
            case LiquidationAckV1() as answer:
                story.answers[answer.command_id].append(answer)
            case FillV1() as fill:
                story.fills[fill.command_id or ""].append(fill)
            case ExecutionAnomalyV1() as anomaly:
                story.anomalies.append(anomaly)
    return story


def as_plain(story: AccountStory) -> dict[str, object]:
    """The story's records as they are, ready for JSON."""
    return {
        "account": story.account,
        "changes": msgspec.to_builtins(story.changes),
        "decisions": msgspec.to_builtins(story.decisions),
        "commands": {decision: msgspec.to_builtins(commands) for decision, commands in story.commands.items()},
        "answers": {command: msgspec.to_builtins(answers) for command, answers in story.answers.items()},
        "fills": {command: msgspec.to_builtins(fills) for command, fills in story.fills.items()},
        "anomalies": msgspec.to_builtins(story.anomalies),
    }


def page(story: AccountStory) -> str:
    """The story as an HTML document."""
    title = f"Liquidations of {escape(story.account)}"
    parts = [
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>\n{_STYLE}\n</style></head><body>\n<h1>{title}</h1>",
        _summary(story),
        "<h2>Status</h2>",
        _table(
            ("time (UTC)", "from", "to", "equity", "initial margin", "maintenance margin"), _changes(story), numbers=3
        ),
    ]
    cases: dict[int, list[LiquidationDecisionV1]] = defaultdict(list)
    for decision in story.decisions:
        cases[decision.liquidation_sequence].append(decision)
    for sequence, decisions in sorted(cases.items()):
        parts.append(f"<h2>Liquidation {sequence}</h2>")
        parts += [_round(story, decision) for decision in decisions]
    if story.anomalies:
        rows = [(each.anomaly, each.command_id, each.cause_id or "nothing came") for each in story.anomalies]
        parts += ["<h2>Anomalies of execution</h2>", _table(("anomaly", "command", "event"), rows)]
    return "\n".join([*parts, "</body></html>\n"])


def _summary(story: AccountStory) -> str:
    rounds = len(story.decisions)
    cost = sum(each.certificate.cost for each in story.decisions if each.certificate is not None)
    now = story.changes[-1].after if story.changes else "healthy"
    return f"<p>{rounds} rounds planned to cost {cost:,.2f} in all; now {escape(now.replace('_', ' '))}.</p>"


def _changes(story: AccountStory) -> list[tuple[str, ...]]:
    return [
        (
            _time(change.versions.time_us),
            change.before.replace("_", " "),
            change.after.replace("_", " "),
            f"{change.figures.equity:,.2f}",
            f"{change.figures.initial_margin:,.2f}",
            f"{change.figures.maintenance_margin:,.2f}",
        )
        for change in story.changes
    ]


def _round(story: AccountStory, decision: LiquidationDecisionV1) -> str:
    figures = decision.figures
    before_after = [
        ("equity", f"{figures.equity:,.2f}", f"{decision.equity_after:,.2f}"),
        ("maintenance margin", f"{figures.maintenance_margin:,.2f}", f"{decision.maintenance_margin_after:,.2f}"),
        ("health", _ratio(figures.equity, figures.maintenance_margin),
         _ratio(decision.equity_after, decision.maintenance_margin_after)),
    ]  # fmt: skip
    header = ("command", "instrument", "side", "quantity", "limit", "filled", "average", "answers")
    commands = sorted(story.commands[decision.event_id], key=lambda command: command.leg)
    parts = [
        f"<h3>Round {decision.round}, {_time(decision.versions.time_us)}</h3>",
        f'<p class="why">{escape(decision.explanation)} ({escape(decision.reason.replace("_", " "))})</p>',
        _table(("", "before", "after, as planned"), before_after, numbers=2),
        _table(header, [_leg(story, command) for command in commands], texts=3, numbers=4),
    ]
    if decision.certificate is not None:
        parts.append(_certificate(decision.certificate))
    worst = ", ".join(f"{name}: {scenario}" for name, scenario in sorted(figures.worst_scenarios.items()))
    parts.append(f"<p>Worst scenarios before: {escape(worst) or 'none'}. Decision {escape(decision.event_id)}.</p>")
    return "\n".join(parts)


def _leg(story: AccountStory, command: LiquidationCommandV1) -> tuple[str, ...]:
    fills, answers = story.fills[command.command_id], story.answers[command.command_id]
    filled = sum(float(fill.quantity) for fill in fills)
    average = sum(float(fill.quantity) * float(fill.price) for fill in fills) / filled if filled else None
    said = [f"{each.state}{f' ({each.reason})' if each.reason else ''}" for each in answers]
    return (
        command.kind.replace("_", " "),
        command.instrument or "whole account",
        command.side or "",
        command.quantity or "",
        command.limit_price or "",
        f"{filled:g}" if filled else "",
        "" if average is None else f"{average:,.8g}",
        ", ".join(said).replace("_", " ") or "none",
    )


def _certificate(certificate: CertificateV1) -> str:
    binding = [(each.underlying, each.scenario, f"{each.weight:.2f}") for each in certificate.binding]
    text = (
        f"Cost {certificate.cost:,.2f}; no plan that reaches {certificate.target:g} times maintenance margin costs"
        f" less than {certificate.lower_bound:,.2f} (gap {certificate.gap:.2%})."
    )
    return f"<p>{text}</p>\n" + _table(("underlying", "binding scenario", "weight"), binding, texts=2, numbers=1)


def _ratio(equity: float, maintenance: float) -> str:
    return f"{equity / maintenance:.1%}" if maintenance > 0.0 else "nothing required"


def _time(time_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=time_us)).strftime("%Y-%m-%d %H:%M:%S.%f")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], texts: int | None = None, numbers: int = 0) -> str:
    """A table; the ``numbers`` columns after the first ``texts`` (none given: the last ones) are set as numbers."""
    first = len(header) - numbers if texts is None else texts
    kinds: Mapping[int, str] = {at: ' class="n"' for at in range(first, first + numbers)}
    head = "".join(f"<th{kinds.get(at, '')}>{escape(name)}</th>" for at, name in enumerate(header))
    body = "\n".join(
        "<tr>" + "".join(f"<td{kinds.get(at, '')}>{escape(cell)}</td>" for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}\n</table>" if body else ""
