"""Records that should never have been published, and what must become of each.

Owns the deliberate mistakes of the demonstration: they show that a bad record costs only itself. Each is due to end
in the dead letters; the repeated fill is not a mistake of content and is due to be skipped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from schemas.codec import encode
from schemas.events.collateral import CollateralV1
from streams.demo.prices import INDEX, PERPETUAL, Minute
from streams.demo.trading import Deal
from streams.demo.venue import WEEKLY_EXPIRY_US, WEEKLY_OPTIONS


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Bytes to publish as they are. ``is_dead_letter`` says whether it must end there."""

    minute: int
    topic: str
    key: bytes
    value: bytes
    is_dead_letter: bool = True


def make_mistakes(minutes: Sequence[Minute], deals: Sequence[Deal], careful: Collection[str]) -> list[RawRecord]:
    """A dozen, spread over the run, all at the expense of one of the ``careful`` accounts: none of those is ever
    barred from trading, so the fills that two of the mistakes repeat are sure to be there."""
    last = len(minutes) - 1
    theirs = [deal for deal in deals if deal.client in careful]
    victim = theirs[len(theirs) // 3]
    fill = victim.fills[0]
    key = fill.account.encode()
    spread = [last * step // 10 for step in range(1, 11)]
    odd = replace(fill, price="21000.05", event_id="mistake-off-tick", instrument=PERPETUAL, quantity="0.001")
    mistakes = [
        RawRecord(spread[0], "fills", key, b'{"v": 1, "event_id": "mistake-cut-off", "acc'),
        RawRecord(spread[1], "fills", key, encode(odd).replace(b'"0.001"', b"0.001")),
        RawRecord(spread[2], "fills", key, encode(odd)),
        RawRecord(spread[3], "fills", key, encode(replace(odd, event_id="mistake-unlisted", instrument="BTC-9999"))),
        RawRecord(spread[4], "fills", b"SOMEBODY-ELSE", encode(replace(fill, event_id="mistake-wrong-key"))),
        RawRecord(spread[5], "collateral", b"GHOST-01", encode(_movement("GHOST-01", "USD", "withdrawal", "100"))),
        RawRecord(spread[6], "collateral", key, encode(_movement(fill.account, "DOGE", "deposit", "100"))),
        RawRecord(spread[7], "collateral", key, encode(_movement(fill.account, "USD", "deposit", "0.000000001"))),
        RawRecord(spread[8], "prices", INDEX.encode(), _quote("-1", minutes[spread[8]])),
        RawRecord(spread[8], "prices", INDEX.encode(), _quote("20000 dollars", minutes[spread[8]])),
        RawRecord(victim.minute, "fills", key, encode(replace(fill, fee="0.01"))),
        RawRecord(victim.minute, "fills", key, encode(fill), is_dead_letter=False),
    ]
    if minutes[-1].time_us > WEEKLY_EXPIRY_US:
        late = replace(fill, event_id="mistake-after-expiry", instrument=WEEKLY_OPTIONS[0].name, price="1")
        mistakes.append(RawRecord(last, "fills", key, encode(replace(late, trade_time_us=WEEKLY_EXPIRY_US))))
    return mistakes


def _movement(account: str, asset: str, kind: str, amount: str) -> CollateralV1:
    return CollateralV1(
        v=1,
        event_id=f"mistake-{asset}-{len(amount)}",
        account=account,
        kind="deposit" if kind == "deposit" else "withdrawal",
        asset=asset,
        amount=amount,
        event_time_us=0,
    )


def _quote(price: str, minute: Minute) -> bytes:
    return (
        f'{{"v":1,"source":"alpha","feed":"{INDEX}","price":"{price}","source_time_us":{minute.time_us + 30_000_000}}}'
    ).encode()
