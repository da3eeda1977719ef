"""Commands in, records out: the protocol, the simulated venue and the faults together. Knows no Kafka.

Owns what is under way: commands that wait, auctions that run, executions an earlier life has left unfinished. Refuses
to be clever about time: its clock is the newest mark.

What a restart finds on the topics decides. A command with a final answer is done. One with fills and no final answer
was interrupted: the missing side of its trades and the answer are made up, nothing new is traded for it (an auction
goes on). Any other is checked as if it were new.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.risk.depth import Depth
from engine.waterfall.backstop import Participant
from schemas.codec import Record
from schemas.events.control import LiquidationControlV1
from schemas.events.fills import FillV1
from schemas.events.liquidations import AckReason, LiquidationAckV1, LiquidationCommandV1
from streams.executor.auction import AuctionRun, Bidder
from streams.executor.depth import DEFAULT_DEPTH
from streams.executor.faults import Fault, FaultKind, distorted, striking
from streams.executor.history import MarketHistory
from streams.executor.holds import HoldBook, Holds, holding
from streams.executor.legs import UNLIMITED_E8, Leg, close_against_winners, trade_on_book, transfer
from streams.executor.positions import PositionView, command_of, signed_e8
from streams.executor.protocol import (
    FINAL_STATES,
    AckState,
    PartitionProtocol,
    Refusal,
    Ruling,
    Surroundings,
    content_of,
)
from streams.executor.records import Execution, Signature, Trade, answer, fills_of, in_order
from streams.translate import to_e8


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """How the simulated venue behaves. ``backstops`` take whole books, with limits in numeraire notional; the liquidity
    provider does, without limit, if none is named. ``holds`` stand beside those that are announced. ``resting_orders``
    counts orders by account, for ``cancel_orders`` to cancel."""

    name: str = "reference"
    depth: Depth = DEFAULT_DEPTH
    price_band_ppm: int = 500_000
    backstops: tuple[Participant, ...] = ()
    bidders: tuple[Bidder, ...] = ()
    resting_orders: Mapping[str, int] = field(default_factory=dict)
    holds: Holds = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    reject_reason: AckReason = "venue"
    delay_us: int = 0


@dataclass(slots=True)
class _Working:
    """A command that has been begun and has no final answer; ``run`` if it is an auction."""

    partition: int
    command: LiquidationCommandV1
    filled_e8: int = 0
    run: AuctionRun | None = None


class LiquidationExecutor:
    """Turns commands into the records that execute and answer them."""

    def __init__(
        self,
        history: MarketHistory,
        counterparty: str,
        options: ExecutorOptions | None = None,
        positions: PositionView | None = None,
    ) -> None:
        self.positions = positions if positions is not None else PositionView()
        self.crashed = False
        self._history = history
        self._counterparty = counterparty
        self._options = options or ExecutorOptions()
        self._protocols: dict[int, PartitionProtocol] = {}
        self._fills_read: dict[int, int] = {}
        self._waiting: dict[str, tuple[int, LiquidationCommandV1]] = {}
        self._working: dict[str, _Working] = {}
        self._holds = HoldBook(self._options.holds)
        self._resting = dict(self._options.resting_orders)
        self._disordered: list[Record] = []

    @property
    def waiting(self) -> int:
        """Commands that wait for a mark, a fill, reference data or an earlier command."""
        return len(self._waiting)

    @property
    def working(self) -> int:
        """Commands begun and not finished."""
        return len(self._working)

    def open_partition(self, partition: int, complete: bool) -> None:
        """Begin a partition; ``complete`` as in ``PartitionProtocol``. Others begin complete."""
        self._protocols[partition] = PartitionProtocol(complete)

    def recall(self, answered: LiquidationAckV1, partition: int = 0) -> None:
        """Take an answer of an earlier life."""
        self._protocol(partition).recall(answered)

    def learn_fill(self, fill: FillV1 | None, partition: int, offset: int) -> None:
        """Take a record of ``fills``, None for an unreadable one."""
        self.skip_fills(partition, offset + 1)
        if fill is None:
            return
        self.positions.learn(fill)
        own = command_of(fill)
        if own is not None and any(each.is_final(own[0]) for each in self._protocols.values()):
            self.positions.forget(own[0])

    def learn_hold(self, record: LiquidationControlV1, offset: int) -> bool:
        """Take a record of ``liquidation-control``; whether it counts."""
        return self._holds.learn(record, offset)

    def skip_fills(self, partition: int, position: int) -> None:
        """All fills of ``partition`` below offset ``position`` have been read, or are gone."""
        self._fills_read[partition] = max(self._fills_read.get(partition, 0), position)

    def offer(
        self, commands: Iterable[LiquidationCommandV1], partition: int = 0, replayed: bool = False
    ) -> list[Record]:
        """Take commands of a partition (none is fine) and return what to publish, in order. ``replayed``: they stood
        on the topic when this life began, so that those answered since are no repetitions."""
        records: list[Record] = []
        for command in commands:
            if not (replayed and self._protocol(partition).was_answered(command)):
                records += self._receive(command, partition)
        records += self._rule()
        for working in list(self._working.values()):
            records += self._advance(working)
        disordered, self._disordered = self._disordered, []
        return [*in_order(records), *disordered]

    def _protocol(self, partition: int) -> PartitionProtocol:
        return self._protocols.setdefault(partition, PartitionProtocol())

    def _receive(self, command: LiquidationCommandV1, partition: int) -> list[Record]:
        protocol, id = self._protocol(partition), command.command_id
        known = protocol.known(id)
        if known.content not in (None, content_of(command)):
            text = f"the id belongs to command {known.content[2]} of its account" if known.content else None
            label = f"duplicate:{command.sequence}"
            return [answer(command, "rejected", 0, self._sign(partition), "duplicate", text, label)]
        if known.is_final or id in self._working:
            return [known.answer] if known.answer is not None else []
        if id in self._waiting:
            return []
        protocol.see(command)
        known.content = content_of(command)
        if self.positions.executed(id):
            return self._resume(command, partition)
        self._waiting[id] = (partition, command)
        return []

    def _rule(self) -> list[Record]:
        """Rule on what waits, until nothing more comes of it: an earlier command may be what a later one waits for."""
        records: list[Record] = []
        moved = True
        while moved:
            moved = False
            for partition, command in list(self._waiting.values()):
                if command.command_id not in self._waiting:
                    continue
                ruling = self._protocol(partition).check(command, self._surroundings(partition))
                if ruling is Ruling.WAIT:
                    continue
                del self._waiting[command.command_id]
                moved = True
                records += self._obey(command, partition, ruling if isinstance(ruling, Refusal) else None)
        return records

    def _surroundings(self, partition: int) -> Surroundings:
        def is_current(command: LiquidationCommandV1) -> bool:
            history, seen = self._history, command.versions
            if striking(command.command_id, self._options.faults) is FaultKind.LATE:
                return False
            return (
                seen.mark_version <= history.version
                and seen.reference_version <= history.reference_version
                and (not self.positions.complete or seen.offsets.get("fills", -1) < self._fills_read.get(partition, 0))
                and seen.time_us + self._options.delay_us <= history.time_us
            )

        def position_e8(command: LiquidationCommandV1) -> int | None:
            if not self.positions.complete or command.instrument not in self._history.instruments:
                return None
            return self.positions.position_e8(command.account, command.instrument, command.command_id)

        holds, venue = self._holds.at(self._history.time_us), self._options.name
        return Surroundings(self._history.time_us, lambda each: holding(each, holds, venue), is_current, position_e8)

    def _obey(self, command: LiquidationCommandV1, partition: int, refusal: Refusal | None) -> list[Record]:
        protocol = self._protocol(partition)
        fault = striking(command.command_id, self._options.faults)
        if refusal is not None and refusal.reason == "expired" and fault is FaultKind.LATE:
            refusal = None
        if refusal is None and fault is FaultKind.REJECT:
            refusal = Refusal("rejected", self._options.reject_reason)
        protocol.pass_by(command, refusal)
        if refusal is not None:
            return self._refuse(command, partition, refusal)
        protocol.declare_void(command)
        voided = [record for id in command.supersedes for record in self._void(id, command.command_id)]
        return voided + self._execute(command, partition, fault)

    def _refuse(self, command: LiquidationCommandV1, partition: int, refusal: Refusal) -> list[Record]:
        if refusal.reason == "epoch_stale":
            label = f"epoch_stale:{command.epoch}"
            self._protocol(partition).known(command.command_id).content = None
            refused = answer(
                command, refusal.state, 0, self._sign(partition), refusal.reason, refusal.detail, label
            )  # fmt: skip
            return [refused]
        return [self._answer(partition, command, refusal.state, 0, refusal.reason, refusal.detail)]

    def _void(self, command_id: str, by: str) -> list[Record]:
        """End what a command has declared void and what is still under way."""
        if command_id in self._waiting:
            partition, command = self._waiting.pop(command_id)
            self._protocol(partition).pass_by(command)
            return [self._answer(partition, command, "cancelled", 0, "superseded", f"by {by}")]
        working = self._working.pop(command_id, None)
        if working is None:
            return []
        return [
            self._answer(
                working.partition, working.command, "cancelled", working.filled_e8, "superseded", f"by {by}"
            )
        ]  # fmt: skip

    def _execute(self, command: LiquidationCommandV1, partition: int, fault: FaultKind | None) -> list[Record]:
        if fault is FaultKind.SILENCE:
            self._working[command.command_id] = _Working(partition, command)
            return []
        if command.kind == "auction":
            return self._open_auction(command, partition)
        if command.kind == "cancel_orders":
            orders = self._resting.pop(command.account, 0)
            execution = Execution("filled", detail=f"{orders} orders cancelled")
        elif command.kind == "release":
            execution = Execution("filled", detail="unlocked")
        else:
            execution = self._execute_leg(command, fault)
        return self._publish(command, partition, execution, fault)

    def _execute_leg(self, command: LiquidationCommandV1, fault: FaultKind | None) -> Execution:
        terms = self._history.instruments.get(command.instrument or "")
        if terms is None or command.quantity is None or command.limit_price is None:
            return Execution("rejected", reason="unknown_instrument")
        seen, options = command.versions, self._options
        quantity_e8 = to_e8(command.quantity, "quantity")
        leg = Leg(
            command_id=command.command_id,
            account=command.account,
            terms=terms,
            quantity_e8=quantity_e8 if command.side == "buy" else -quantity_e8,
            limit_e8=to_e8(command.limit_price, "limit_price"),
            market=self._history.as_of(seen.mark_version, seen.time_us),
            time_us=self._history.time_us if fault is FaultKind.LATE else seen.time_us,
        )
        if command.kind == "transfer_to_backstop":
            backstops = options.backstops or (Participant(self._counterparty, 1, UNLIMITED_E8),)
            found = transfer(leg, backstops, self.positions)
        elif command.kind == "adl":
            found = close_against_winners(leg, self.positions)
        else:
            found = trade_on_book(leg, options.depth, options.price_band_ppm, self._counterparty)
        return distorted(found, fault, terms.lot_e8, sorted(self._history.instruments))

    def _publish(
        self, command: LiquidationCommandV1, partition: int, execution: Execution, fault: FaultKind | None
    ) -> list[Record]:
        """The records of an execution, as the fault lets them be seen."""
        filled_e8, answers = execution.filled_e8, []
        fills = self._trade(command, execution.trades)
        is_partial = bool(execution.trades) and (
            execution.state != "filled" or fault is FaultKind.PARTIAL_THEN_SILENCE
        )  # fmt: skip
        if execution.trades:
            answers.append(self._answer(partition, command, "accepted", 0))
        if is_partial:
            answers.append(self._answer(partition, command, "partially_filled", filled_e8))
        if fault is FaultKind.PARTIAL_THEN_SILENCE and execution.trades:
            self._working[command.command_id] = _Working(partition, command, filled_e8)
        elif fault is FaultKind.CRASH and execution.trades:
            self._working[command.command_id] = _Working(partition, command, filled_e8)
            self.crashed = True
        else:
            answers.append(
                self._answer(partition, command, execution.state, filled_e8, execution.reason, execution.detail)
            )  # fmt: skip
        if fault is FaultKind.OUT_OF_ORDER:
            self._disordered += reversed(answers)
            return [*fills]
        records: list[Record] = [*answers, *fills]
        return records + records if fault is FaultKind.DUPLICATE else records

    def _trade(self, command: LiquidationCommandV1, trades: Sequence[Trade]) -> list[FillV1]:
        """The fills of ``trades`` that do not stand on the topic yet; counted here at once."""
        fills = [fill for trade in trades for fill in fills_of(command, trade)]
        fills = [fill for fill in fills if not self.positions.has(fill.event_id)]
        for fill in fills:
            self.positions.learn(fill)
        return fills

    def _open_auction(self, command: LiquidationCommandV1, partition: int) -> list[Record]:
        seen = command.versions
        book = self.positions.book(command.account, command.command_id)
        if command.auction is None or not book:
            return [self._answer(partition, command, "rejected", 0, "not_reducing", "nothing to auction")]
        market = self._history.as_of(seen.mark_version, seen.time_us)
        run = AuctionRun(command, command.auction, book, market, self._options.bidders)
        self._working[command.command_id] = _Working(partition, command, 0, run)
        return [self._answer(partition, command, "accepted", 0)]

    def _advance(self, working: _Working) -> list[Record]:
        """Bids that are due, and the end. Once expired, only what had been begun before is completed."""
        run, command, records = working.run, working.command, list[Record]()
        if run is None:
            return records
        now_us = self._history.time_us
        is_expired = command.expires_us <= now_us
        while (trades := run.next_bid(now_us)) is not None:
            if is_expired and not any(self._is_begun(command, trade) for trade in trades):
                break
            fills = self._trade(command, trades)
            working.filled_e8 += sum(abs(trade.quantity_e8) for trade in trades)
            records += fills
            if fills and not run.is_over:
                label = f"partially_filled:{trades[0].number}"
                records.append(
                    self._answer(working.partition, command, "partially_filled", working.filled_e8, label=label)
                )
        if run.is_over or is_expired:
            del self._working[command.command_id]
            state: AckState = "filled" if run.is_sold else "cancelled"
            reason: AckReason | None = None if run.is_sold else "capacity"
            records.append(self._answer(working.partition, command, state, working.filled_e8, reason))
        return records

    def _is_begun(self, command: LiquidationCommandV1, trade: Trade) -> bool:
        return any(self.positions.has(fill.event_id) for fill in fills_of(command, trade))

    def _resume(self, command: LiquidationCommandV1, partition: int) -> list[Record]:
        """Finish what an earlier life has begun: its trades get their missing side, the command its answer."""
        protocol = self._protocol(partition)
        protocol.pass_by(command)
        protocol.declare_void(command)
        if command.kind == "auction":
            return self._open_auction(command, partition)
        trades = self._trades_found(command)
        execution = Execution("filled", trades)
        if command.quantity is not None and execution.filled_e8 < to_e8(command.quantity, "quantity"):
            execution = Execution("cancelled", trades, "venue", "interrupted")
        records: list[Record] = [*self._trade(command, trades)]
        filled_e8 = execution.filled_e8
        records.append(self._answer(partition, command, execution.state, filled_e8, execution.reason, execution.detail))
        return records

    def _trades_found(self, command: LiquidationCommandV1) -> tuple[Trade, ...]:
        """The trades of ``command`` on the topic, by number. A counterparty's fill tells who that is; where only the
        account's is found, it was the liquidity provider."""
        found: dict[str, Trade] = {}
        for fill in self.positions.executed(command.command_id):
            own = command_of(fill)
            assert own is not None, "only own fills are kept by command"
            is_account = fill.command_id is not None
            if is_account and own[1] in found:
                continue
            found[own[1]] = Trade(
                number=own[1],
                counterparty=self._counterparty if is_account else fill.account,
                instrument=fill.instrument,
                quantity_e8=signed_e8(fill) if is_account else -signed_e8(fill),
                price_e8=to_e8(fill.price, "price"),
                time_us=fill.trade_time_us,
            )
        return tuple(found[number] for number in sorted(found))

    def _answer(
        self,
        partition: int,
        command: LiquidationCommandV1,
        state: AckState,
        filled_e8: int,
        reason: AckReason | None = None,
        detail: str | None = None,
        label: str = "",
    ) -> LiquidationAckV1:
        """Make an answer, remember it as the command's newest, and close what is final."""
        made = answer(command, state, filled_e8, self._sign(partition), reason, detail, label)
        self._protocol(partition).known(command.command_id).answer = made
        if state in FINAL_STATES:
            self.positions.forget(command.command_id)
        return made

    def _sign(self, partition: int) -> Signature:
        return Signature(self._options.name, self._protocol(partition).epoch)
