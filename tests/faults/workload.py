"""A seeded workload whose outcome does not depend on how topics interleave or where batches are cut.

Topics have no mutual order, and a margin check happens once per batch, so an arbitrary workload may rightly end in
different decisions on different runs. This one cannot, by construction:

* it runs in phases, and a phase starts only when the workers have consumed the one before (``Phase``): reference data
  and marks; deposits; trading; a fall of prices;
* during the first three, marks stand still;
* *safe* accounts hold collateral far above any requirement they can reach, so no prefix of their events breaches;
  their withdrawals are either tiny (always granted) or above the balance (always refused);
* *overtrading* accounts are safe until their very last fill, which breaches by itself: whichever batch contains it
  sees the same final book;
* *falling* accounts hold one underlying and breach at the single mark that falls, with a book that no longer changes;
* every breaching account has one position, and closing it is the only cure, so each round has one leg.

Quantities encode nothing and expect nothing: the oracle is an uninterrupted replay of the very records on the topics.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

START_US = 1_678_320_000_000_000
EXPIRY_US = START_US + 30 * 86_400_000_000

BACKSTOP = "backstop"
"""Takes the other side of every liquidation; rich enough never to be near a requirement."""

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Event:
    """One record to publish."""

    topic: str
    key: str
    value: Json


@dataclass(frozen=True, slots=True)
class Phase:
    """Events that may interleave freely; the next phase waits until these are consumed, and until as many accounts as
    ``breaches`` have been commanded upon."""

    name: str
    events: tuple[Event, ...]
    breaches: int = 0


def instrument(name: str, contract: str, **terms: object) -> Event:
    value: Json = {
        "type": "instrument", "v": 1, "instrument": name, "contract": contract, "underlying": name.split("-")[0],
        "settlement_asset": "USD", "mark_feed": name, "multiplier": "1", "tick": "0.1", "lot": "0.001", **terms,
    }  # fmt: skip
    return Event("reference", f"instrument:{name}", value)


def mark(feed: str, price: str, volatility: str | None = None, time_us: int = START_US) -> Event:
    nodes = [{"tenor_days": "30", "log_moneyness": "0", "volatility": volatility}] if volatility else []
    value: Json = {
        "v": 1, "feed": feed, "price": price, "confidence": "0", "volatility": nodes, "funding_rate": "0",
        "funding_index_linear": "0", "funding_index_inverse": "0", "mark_time_us": time_us, "sources": ["test"],
    }  # fmt: skip
    return Event("marks", feed, value)


def parameters() -> Event:
    underlying = {
        "price_range": "0.15", "volatility_up": "0.5", "volatility_down": "0.25", "volatility_term_power": "0.3",
        "short_option_minimum_initial": "0.005", "short_option_minimum_maintenance": "0.003", "close_cost": "0.001",
    }  # fmt: skip
    value: Json = {
        "type": "risk_parameters", "v": 1, "version": 1, "effective_us": 0,
        "underlyings": {"BTC": underlying, "ETH": underlying},
        "price_steps": ["-1", "-0.5", "0", "0.5", "1"], "tails": [{"price_move": "-0.5", "weight": "0.3"}],
        "maintenance_factor": "0.8", "liquidation_target": "1.1", "release_buffer": "1.05",
        "limit_price_band": "0.05", "mark_age_us_max": 600_000_000, "command_ttl_us": 86_400_000_000,
        "snapshot_interval_us": 3_600_000_000,
        # Engine time stands still, so nothing here may wait for it: no orders to cancel, no rest between rounds.
        "liquidation": {"cancel_us_max": 0, "cooldown_us": 0, "cooldown_us_max": 0},
    }  # fmt: skip
    return Event("reference", "risk_parameters:1", value)


class Workload:
    """All phases of one seeded run."""

    def __init__(self, seed: int, accounts: int = 80, fills_per_account: int = 50) -> None:
        self._random = random.Random(seed)
        self._serial = 0
        self._fills_per_account = fills_per_account
        self.safe = [f"safe-{number}" for number in range(accounts)]
        self.overtrading = [f"over-{number}" for number in range(max(2, accounts // 6))]
        self.falling = [f"fall-{number}" for number in range(max(2, accounts // 6))]

    def phases(self) -> list[Phase]:
        return [
            Phase("market", tuple(self._market())),
            Phase("deposits", tuple(self._deposits())),
            Phase("trading", tuple(self._trading()), len(self.overtrading)),
            Phase(
                "fall",
                (mark("ETH-PERP", "1050", time_us=START_US + 1),),
                len(self.overtrading) + len(self.falling),
            ),
        ]

    def _market(self) -> Iterator[Event]:
        usd: Json = {"type": "collateral_asset", "v": 1, "asset": "USD", "haircut": "0"}
        yield Event("reference", "collateral_asset:USD", usd)
        btc: Json = {
            "type": "collateral_asset", "v": 1, "asset": "BTC", "haircut": "0.1", "mark_feed": "BTC",
            "underlying": "BTC",
        }  # fmt: skip
        yield Event("reference", "collateral_asset:BTC", btc)
        yield instrument("BTC-PERP", "linear_perpetual")
        yield instrument("ETH-PERP", "linear_perpetual")
        yield instrument("BTC-30D", "future", expiry_us=EXPIRY_US)
        yield instrument("BTC-20000-C", "call", mark_feed="BTC-30D", strike="20000", expiry_us=EXPIRY_US)
        yield parameters()
        yield mark("BTC", "20000", volatility="0.6")
        yield mark("ETH", "1500", volatility="0.7")
        yield mark("BTC-PERP", "20010")
        yield mark("ETH-PERP", "1500")
        yield mark("BTC-30D", "20100")

    def _deposits(self) -> Iterator[Event]:
        for account in self.safe:
            yield self._collateral(account, "deposit", "USD", "10000000")
            yield self._collateral(account, "deposit", "BTC", "5")
        yield self._collateral(BACKSTOP, "deposit", "USD", "1000000000")
        for account in self.overtrading + self.falling:
            yield self._collateral(account, "deposit", "USD", "10000")

    def _trading(self) -> list[Event]:
        """Each account's own events keep their order; accounts are shuffled into each other."""
        queues = [list(self._safe_trading(account)) for account in self.safe]
        queues += [list(self._overtrading(account)) for account in self.overtrading]
        queues += [[self._fill(account, "ETH-PERP", "buy", "20", "1500")] for account in self.falling]
        owners = [index for index, queue in enumerate(queues) for _ in queue]
        self._random.shuffle(owners)
        pending = [iter(queue) for queue in queues]
        return [next(pending[index]) for index in owners]

    def _safe_trading(self, account: str) -> Iterator[Event]:
        prices = {"BTC-PERP": 20_010, "ETH-PERP": 1_500, "BTC-30D": 20_100, "BTC-20000-C": 1_400}
        for _ in range(self._fills_per_account):
            name = self._random.choice(sorted(prices))
            price = prices[name] + self._random.randrange(-50, 50) / 10
            quantity = self._random.randrange(1, 2000) / 1000
            yield self._fill(account, name, self._random.choice(["buy", "sell"]), f"{quantity:.3f}", f"{price:.1f}")
        yield self._collateral(account, "withdrawal", "USD", "12.34567891")
        yield self._collateral(account, "withdrawal", "USD", "99000000")
        counterparty = self._random.choice([other for other in self.safe if other != account])
        yield self._collateral(account, "transfer", "USD", "1.5", counterparty=counterparty)

    def _overtrading(self, account: str) -> Iterator[Event]:
        for _ in range(self._fills_per_account // 4):
            yield self._fill(account, "BTC-PERP", self._random.choice(["buy", "sell"]), "0.010", "20010")
        yield self._fill(account, "BTC-PERP", "buy", "9", "20010")

    def _fill(self, account: str, name: str, side: str, quantity: str, price: str) -> Event:
        value: Json = {
            "v": 1, "event_id": self._id("fill"), "account": account, "instrument": name, "side": side,
            "quantity": quantity, "price": price, "fee": "0.05", "trade_time_us": START_US,
        }  # fmt: skip
        return Event("fills", account, value)

    def _collateral(self, account: str, kind: str, asset: str, amount: str, counterparty: str | None = None) -> Event:
        value: Json = {
            "v": 1, "event_id": self._id(kind), "account": account, "kind": kind, "asset": asset, "amount": amount,
            "event_time_us": START_US, "counterparty": counterparty,
        }  # fmt: skip
        return Event("collateral", account, value)

    def _id(self, kind: str) -> str:
        self._serial += 1
        return f"{kind}-{self._serial}"
