"""A venue seen through the price guard: sources quote every feed once a second, some of them wrong for a while.

Accounts are two per cent from maintenance margin, long and short, in bitcoin and in ether, and one owes dollars against
coins; so any of the wrong prices would liquidate somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.commands import LiquidationCommand, StatusChanged
from engine.events import Event, MarkPrice
from engine.oracle import GuardedPrice, PriceGuard, Quote
from engine.reference.liquidation_policy import LiquidationPolicy
from tests.builders import PRICES, START_US, SURFACE, deposit, e8, engine, fill, parameters

SECOND_US = 1_000_000

Price = Callable[[str, str, int, float], float | None]
"""(source, feed, second, true price) -> what the source quotes; None: nothing."""


@dataclass
class Seen:
    """What the engine did: (second, account) of every command, and who was suspected when."""

    commands: list[tuple[int, str]]
    suspected: list[tuple[int, str]]

    def first(self, account: str) -> int | None:
        return min((second for second, named in self.commands if named == account), default=None)


def honest(source: str, feed: str, second: int, price: float) -> float | None:
    return price


def run(
    sources: Sequence[str],
    quoted: Price,
    seconds: int,
    policy: LiquidationPolicy | None = None,
    true: Callable[[str, int], float] = lambda feed, second: 1.0,
) -> Seen:
    """Quotes of ``sources`` from second 1 on; the true price is that of the builders times ``true``."""
    made, guard = engine(parameters(policy=policy or LiquidationPolicy())), PriceGuard()
    made.step(_accounts())
    seen, version = Seen([], []), 1_000
    for second in range(1, seconds + 1):
        for place, source in enumerate(sources):
            for feed, price in sorted(PRICES.items()):
                quote = quoted(source, feed, second, float(price) * true(feed, second))
                mark = None if quote is None else guard.offer(_quote(source, feed, quote, second, place))
                if mark is None:
                    continue
                version += 1
                _note(seen, second, made.step([_mark(mark, version)]).commands)
    return seen


def _note(seen: Seen, second: int, commands: Sequence[tuple[str, object]]) -> None:
    for account, command in commands:
        if isinstance(command, LiquidationCommand):
            seen.commands.append((second, account))
        elif isinstance(command, StatusChanged) and command.after.name == "SUSPECT":
            seen.suspected.append((second, account))


def _quote(source: str, feed: str, price: float, second: int, place: int) -> Quote:
    surface = SURFACE if feed == "BTC" else ()
    time_us = START_US + second * SECOND_US + place * 100_000
    return Quote(feed, source, round(price * 10**8), 0, surface, 0, time_us)


def _mark(price: GuardedPrice, version: int) -> MarkPrice:
    """As ``streams.translate`` has it."""
    return MarkPrice(
        version,
        price.feed,
        price.price_e8,
        price.confidence_e8,
        price.volatility,
        price.funding_index_linear_e12,
        price.funding_index_inverse_e12,
        price.mark_time_us,
        len(price.sources),
    )


def _accounts() -> list[Event]:
    """Maintenance margin is 12.8 % of bitcoin and 16 % of ether; two per cent are left beyond it."""
    return [
        deposit("long", "USD", 5_920, 0),
        fill("long", "BTC-PERP", 2, 20_000, 0),
        deposit("short", "USD", 5_920, 1),
        fill("short", "BTC-PERP", -2, 20_000, 1),
        deposit("ether", "USD", 5_400, 2),
        fill("ether", "ETH-PERP", 20, 1_500, 2),
        deposit("ether-short", "USD", 5_400, 3),
        fill("ether-short", "ETH-PERP", -20, 1_500, 3),
        deposit("coins", "BTC", 1, 4),
        fill("coins", "BTC-FUTURE", "-0.7", 20_100, 4, fee=e8(14_000) // 10**8),
        deposit("coins", "USD", 500, 5),
    ]
