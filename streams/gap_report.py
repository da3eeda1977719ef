"""Gap-at-risk of a venue: the records of its account partitions added up and set against its layers.

Owns the sum and its judgment by ``engine.waterfall.coverage``. Refuses to compute shortfalls (the risk workers do) and
to throw switches: it names those that the alert calls for, and a risk manager publishes the parameters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum

import numpy as np

from engine.waterfall.coverage import AlertLevel, AlertTerms, Coverage, alert_level, coverage, switches
from schemas.codec import decode
from schemas.events.gap_at_risk import GapAtRiskV1
from streams.audit.evidence import LAST_GAPS
from streams.audit.store import AuditStore

ALERTS = AlertTerms()


@dataclass(frozen=True, slots=True)
class JumpReport:
    """One jump: the sum of shortfalls over the venue, accounts short, and the sum of the ``cover`` largest."""

    jump: str
    shortfall: float
    accounts: int
    largest: float


@dataclass(frozen=True, slots=True)
class GapReport:
    """The venue after each jump. ``jumps`` fall by shortfall; ``used`` is the worst of them over ``resources``, None
    where no layer is stated; ``time_us`` is that of the oldest record."""

    partitions: int
    accounts: int
    unpriced: int
    time_us: int
    jumps: tuple[JumpReport, ...]
    layers: tuple[tuple[str, float, float], ...]
    resources: float
    used: float | None
    used_by_largest: float | None
    level: AlertLevel
    switches: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """Plain values; layers with capacity and what the worst jump takes of it."""
        return {
            "partitions": self.partitions,
            "accounts": self.accounts,
            "unpriced": self.unpriced,
            "time_us": self.time_us,
            "jumps": [
                {"jump": each.jump, "shortfall": each.shortfall, "accounts": each.accounts, "largest": each.largest}
                for each in self.jumps
            ],
            "layers": [{"name": name, "capacity": capacity, "taken": taken} for name, capacity, taken in self.layers],
            "resources": self.resources,
            "used": self.used,
            "used_by_largest": self.used_by_largest,
            "level": self.level.name.lower(),
            "switches": list(self.switches),
        }


def audited_gaps(store: AuditStore) -> list[GapAtRiskV1]:
    """The newest record of every account partition; raises ``AuditError``."""
    found = [decode("gap-at-risk", row[-1]) for row in LAST_GAPS.run(store).rows]
    return [record for record in found if isinstance(record, GapAtRiskV1)]


def newest_gaps(records: Iterable[GapAtRiskV1]) -> list[GapAtRiskV1]:
    """The last record of every account partition in ``records``, by partition."""
    newest = {record.partition: record for record in records}
    return [newest[partition] for partition in sorted(newest)]


def gap_report(records: list[GapAtRiskV1]) -> GapReport:
    """Add up ``records``, one per partition, at least one.

    Partitions that know other parameters than the newest are added by the names of the jumps; the layers are those of
    the newest parameters.
    """
    newest = max(records, key=lambda record: (record.versions.parameters_version, record.versions.time_us))
    names = [jump.jump for jump in newest.jumps]
    found = {name: [each for record in records for each in record.jumps if each.jump == name] for name in names}
    cover = max((len(each.largest) for of_jump in found.values() for each in of_jump), default=0)
    reports = []
    for name in names:
        largest = sorted((value for each in found[name] for value in each.largest), reverse=True)
        total, accounts = fsum(each.total for each in found[name]), sum(each.accounts for each in found[name])
        reports.append(JumpReport(name, total, accounts, fsum(largest[:cover])))
    resources = fsum(float(layer.capacity) for layer in newest.layers)
    judged = _coverage(reports, resources)
    level = AlertLevel.CALM if judged is None else alert_level(judged.used, AlertLevel.CALM, ALERTS)
    ranked = tuple(sorted(reports, key=lambda each: (-each.shortfall, each.jump)))
    largest_worst = max((each.largest for each in reports), default=0.0)
    return GapReport(
        partitions=len(records),
        accounts=sum(record.accounts for record in records),
        unpriced=sum(record.unpriced for record in records),
        time_us=min(record.versions.time_us for record in records),
        jumps=ranked,
        layers=_taken(newest, ranked[0].shortfall if ranked else 0.0),
        resources=resources,
        used=None if judged is None else judged.used,
        used_by_largest=None if judged is None else largest_worst / resources,
        level=level,
        switches=tuple(sorted(switch.value for switch in switches(level, ALERTS))),
    )


def _coverage(reports: list[JumpReport], resources: float) -> Coverage | None:
    """The sums judged as one account; None without layers or jumps: then nothing is promised."""
    if not reports or resources <= 0.0:
        return None
    return coverage(np.array([[each.shortfall for each in reports]]), resources, k=1)


def _taken(newest: GapAtRiskV1, shortfall: float) -> tuple[tuple[str, float, float], ...]:
    """Each layer with its capacity and what ``shortfall`` takes of it, the first before the next."""
    left, layers = shortfall, []
    for layer in newest.layers:
        taken = min(left, float(layer.capacity))
        left -= taken
        layers.append((layer.name, float(layer.capacity), taken))
    return tuple(layers)
