"""The exchange of the demonstration: what its back end publishes in each minute, and how it heeds the risk workers.

Owns order: reference data and deposits first, then minute by minute quotes, settlements, trades and requests. An
account that is being liquidated may not trade any more; an owner who pays margin calls does so after a few minutes.
Refuses Kafka and waiting (``feeder``), so that a test can play the same exchange against a bare engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal

from schemas.codec import Record
from schemas.events.collateral import CollateralV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import LiquidationAckV1, LiquidationCommandV1
from schemas.events.margin_events import StatusChangedV1, WithdrawalDecidedV1
from schemas.events.settlements import SettlementV1
from streams.demo.mistakes import RawRecord, make_mistakes
from streams.demo.population import PROBE, Group, Population, Request, populate
from streams.demo.prices import INDEX, MINUTE_US, USDC, Minute, Sources
from streams.demo.trading import Deal, make_deals
from streams.demo.venue import WEEKLY_EXPIRY_US, WEEKLY_OPTIONS, reference_records
from streams.executor import FINAL_STATES

PAYS_AFTER_MINUTES = 10
PAYS_PER_ACCOUNT_MAX = 2
SNAPSHOTS_PER_RUN = 96


@dataclass(slots=True)
class Tally:
    """What has been published and what came back, for the progress line."""

    called: set[str] = field(default_factory=set)
    liquidated: set[str] = field(default_factory=set)
    commands: int = 0
    paid_calls: int = 0
    refused_orders: int = 0


class Exchange:
    """Plays one seeded run; the same seed, population and answers give the same records."""

    def __init__(self, minutes: Sequence[Minute], accounts: int, seed: int) -> None:
        self.minutes = minutes
        self.tally = Tally()
        self.echoed_us = -1
        depeg = min(range(len(minutes)), key=lambda at: minutes[at].price[USDC])
        self.population: Population = populate(minutes, depeg, accounts, seed)
        deals = make_deals(self.population, minutes)
        self._deals: dict[int, list[Deal]] = defaultdict(list)
        for deal in deals:
            self._deals[deal.minute].append(deal)
        self._requests: dict[int, list[Request]] = defaultdict(list)
        for request in self.population.requests:
            self._requests[request.minute].append(request)
        self._mistakes: dict[int, list[RawRecord]] = defaultdict(list)
        careful = {account.name for account in self.population.accounts if account.group is Group.RETAIL}
        for mistake in make_mistakes(minutes, deals, careful):
            self._mistakes[mistake.minute].append(mistake)
        self._sources = Sources(seed)
        self._pays = {account.name for account in self.population.accounts if account.pays_calls}
        self._paid: dict[str, int] = defaultdict(int)
        self._payments: dict[int, list[CollateralV1]] = defaultdict(list)
        self._open_commands: dict[str, int] = {}
        self._answered: set[str] = set()
        self._at = 0
        self._probes = 0
        self._probe_asked: str | None = None

    @property
    def dead_letters_due(self) -> int:
        """How many published records must end in the dead letters."""
        return sum(mistake.is_dead_letter for mistakes in self._mistakes.values() for mistake in mistakes)

    @property
    def oldest_open_command_us(self) -> int | None:
        """Time of the oldest decision whose execution has not been answered finally; None when there is none."""
        return min(self._open_commands.values(), default=None)

    @property
    def snapshot_minutes(self) -> int:
        """Interval of the margin snapshots: an hour and a half in the full run, five minutes in the shortest."""
        return min(90, max(5, len(self.minutes) // SNAPSHOTS_PER_RUN))

    def reference(self) -> list[Record]:
        """Everything the workers must know before the first price."""
        return list(reference_records(self.snapshot_minutes))

    def deposits(self) -> list[Record]:
        """The money that every account brings."""
        return [
            CollateralV1(
                v=1,
                event_id=f"deposit-{account.name}-{asset}",
                account=account.name,
                kind="deposit",
                asset=asset,
                amount=f"{amount:f}",
                event_time_us=self.minutes[0].time_us,
            )
            for account in self.population.accounts
            for asset, amount in account.deposits
        ]

    def minute(self, at: int) -> tuple[list[Record], list[RawRecord]]:
        """All records of minute ``at``: those that keep the contract, and the mistakes."""
        self._at = at
        minute = self.minutes[at]
        records: list[Record] = list(self._sources.quotes(at, minute))
        records += self._settlements(at)
        records += self._fills(at)
        records += [_movement(request, at, minute.time_us) for request in self._requests[at]]
        records += self._payments.pop(at, [])
        return records, self._mistakes[at]

    def probe(self) -> CollateralV1 | None:
        """A request that must be refused: its answer tells which minute the risk workers have reached. None while the
        last one is unanswered."""
        if self._probe_asked is not None:
            return None
        self._probes += 1
        self._probe_asked = f"probe-{self._probes}"
        return CollateralV1(
            v=1,
            event_id=self._probe_asked,
            account=PROBE,
            kind="withdrawal",
            asset="USD",
            amount="1000000",
            event_time_us=self.minutes[self._at].time_us,
        )

    def observe(self, record: Record) -> None:
        """Heed one record of the risk workers or of the executor."""
        if isinstance(record, WithdrawalDecidedV1) and record.account == PROBE:
            self.echoed_us = max(self.echoed_us, record.versions.time_us)
            if record.request_id == self._probe_asked:
                self._probe_asked = None
        elif isinstance(record, LiquidationCommandV1):
            self.tally.commands += 1
            self.tally.liquidated.add(record.account)
            # An auction lasts for hours of market time, and waits for nobody but bidders.
            if record.command_id not in self._answered and record.kind != "auction":
                self._open_commands[record.command_id] = record.versions.time_us
        elif isinstance(record, LiquidationAckV1) and record.state in FINAL_STATES:
            # The two topics have no mutual order: an answer may be seen before its command.
            self._answered.add(record.command_id)
            self._open_commands.pop(record.command_id, None)
        elif isinstance(record, StatusChangedV1) and record.after == "margin_call":
            self.tally.called.add(record.account)
            self._schedule_payment(record)

    def _fills(self, at: int) -> list[FillV1]:
        fills: list[FillV1] = []
        for deal in self._deals[at]:
            if deal.client in self.tally.liquidated:
                self.tally.refused_orders += 1
            else:
                fills += deal.fills
        return fills

    def _settlements(self, at: int) -> list[SettlementV1]:
        minute = self.minutes[at]
        if not minute.time_us - MINUTE_US < WEEKLY_EXPIRY_US <= minute.time_us:
            return []
        return [
            SettlementV1(
                v=1,
                event_id=f"settlement-{option.name}",
                instrument=option.name,
                price=str(minute.price[INDEX]),
                event_time_us=WEEKLY_EXPIRY_US,
            )
            for option in WEEKLY_OPTIONS
        ]

    def _schedule_payment(self, called: StatusChangedV1) -> None:
        """The owner pays half as much again as the account lacks, in dollars."""
        account = called.account
        if account not in self._pays or self._paid[account] >= PAYS_PER_ACCOUNT_MAX:
            return
        due = self._at + PAYS_AFTER_MINUTES
        shortfall = called.figures.initial_margin - called.figures.equity
        if due >= len(self.minutes) or shortfall <= 0:
            return
        self._paid[account] += 1
        self.tally.paid_calls += 1
        self._payments[due].append(
            CollateralV1(
                v=1,
                event_id=f"call-{account}-{called.change}",
                account=account,
                kind="deposit",
                asset="USD",
                amount=str((Decimal(repr(shortfall)) * Decimal("1.5")).quantize(Decimal("1"), ROUND_CEILING)),
                event_time_us=self.minutes[due].time_us,
            )
        )


def _movement(request: Request, at: int, time_us: int) -> CollateralV1:
    kind = "transfer" if request.counterparty else "withdrawal"
    return CollateralV1(
        v=1,
        event_id=f"{kind}-{at}-{request.account}",
        account=request.account,
        kind="transfer" if request.counterparty else "withdrawal",
        asset=request.asset,
        amount=f"{request.amount.normalize():f}",
        event_time_us=time_us,
        counterparty=request.counterparty,
    )
