"""Who trades on the venue of the demonstration, with what money, and what they want to do when.

Owns the kinds of accounts and their intentions, all drawn from one seed. Refuses counterparties and execution
(``trading``). Times are relative to the minute in which USDC is cheapest, so that a shorter run tells the same story.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from random import Random

from streams.demo.prices import FUTURE, INDEX, INVERSE, PERPETUAL, Minute, to_tick
from streams.demo.venue import INVERSE_MULTIPLIER, LOTS, SPOT

HOUSE, BACKSTOP, PROBE = "HOUSE-01", "BACKSTOP-01", "PROBE-01"
"""The venue's own accounts: it takes the makers' hedges, it takes liquidated positions, and it asks (``pacing``)."""

ACCOUNTS_MIN = 12


class Group(StrEnum):
    """Kinds of accounts; the value is what the report calls them."""

    VENUE = "venue"
    MAKER = "market makers"
    LONG = "leveraged longs"
    SHORT = "leveraged shorts"
    STABLECOIN = "USDC collateral"
    COIN = "BTC collateral"
    OPTION_SELLER = "option sellers"
    HEDGED = "hedged positions"
    RETAIL = "retail"


_PREFIX = {
    Group.MAKER: "MAKER",
    Group.LONG: "LONG",
    Group.SHORT: "SHORT",
    Group.STABLECOIN: "USDC",
    Group.COIN: "COIN",
    Group.OPTION_SELLER: "OPTION",
    Group.HEDGED: "HEDGED",
    Group.RETAIL: "RETAIL",
}
_SHARE_PERCENT = {
    Group.MAKER: 8,
    Group.LONG: 20,
    Group.SHORT: 17,
    Group.STABLECOIN: 12,
    Group.COIN: 11,
    Group.OPTION_SELLER: 11,
    Group.HEDGED: 11,
    Group.RETAIL: 10,
}


@dataclass(frozen=True, slots=True)
class Account:
    """One account: what it deposits at the start, and whether its owner pays when called."""

    name: str
    group: Group
    deposits: tuple[tuple[str, Decimal], ...]
    pays_calls: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What an account wants to trade in a minute of the run: signed quantity, bought positive."""

    minute: int
    account: str
    instrument: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Request:
    """A withdrawal, or a transfer to ``counterparty``, that an account asks for in a minute of the run."""

    minute: int
    account: str
    asset: str
    amount: Decimal
    counterparty: str | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """All accounts, orders in time order, and requests in time order."""

    accounts: tuple[Account, ...]
    orders: tuple[Order, ...]
    requests: tuple[Request, ...]


def populate(minutes: Sequence[Minute], depeg: int, accounts: int, seed: int) -> Population:
    """``accounts`` accounts that live through ``minutes``, of which ``depeg`` is the one with the cheapest USDC."""
    assert accounts >= ACCOUNTS_MIN
    draft = _Draft(minutes, depeg)
    draft.accounts += [
        Account(HOUSE, Group.VENUE, (("USD", Decimal(30_000_000)),)),
        Account(BACKSTOP, Group.VENUE, (("USD", Decimal(10_000_000)),)),
        Account(PROBE, Group.VENUE, (("USD", Decimal(1)),)),
    ]
    for group, count in _counts(accounts - len(draft.accounts)).items():
        for number in range(1, count + 1):
            name = f"{_PREFIX[group]}-{number:02d}"
            _BUILDERS[group](draft, name, Random(f"{seed}:{name}"))
    _requests(draft, Random(f"{seed}:requests"))
    return Population(
        tuple(draft.accounts),
        tuple(sorted(draft.orders, key=lambda order: (order.minute, order.account))),
        tuple(sorted(draft.requests, key=lambda request: (request.minute, request.account))),
    )


def _counts(total: int) -> dict[Group, int]:
    """Whole numbers of accounts by largest remainder, at least one of each group."""
    exact = {group: max(1.0, total * percent / 100) for group, percent in _SHARE_PERCENT.items()}
    counts = {group: int(share) for group, share in exact.items()}
    by_remainder = sorted(exact, key=lambda group: counts[group] - exact[group])
    for at in range(total - sum(counts.values())):
        counts[by_remainder[at % len(by_remainder)]] += 1
    return counts


@dataclass(slots=True)
class _Draft:
    """What the builders add to, and the questions they ask of the price series."""

    minutes: Sequence[Minute]
    depeg: int
    accounts: list[Account] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def before(self, share: float) -> int:
        """The minute that lies at ``share`` of the way from the start to the depeg."""
        return int(self.depeg * share)

    def after(self, share: float) -> int:
        """The minute that lies at ``share`` of the way from the depeg to the end."""
        return self.depeg + int((len(self.minutes) - 1 - self.depeg) * share)

    def price(self, minute: int, feed: str = INDEX) -> float:
        return float(self.minutes[minute].price[feed])

    def order(self, minute: int, account: str, instrument: str, quantity: float) -> None:
        """Add an order, rounded to the lot; none if that leaves nothing."""
        lots = to_tick(Decimal(repr(quantity)), LOTS[instrument])
        if lots:
            self.orders.append(Order(min(minute, len(self.minutes) - 1), account, instrument, lots))

    def build_up(self, rng: Random, account: str, legs: dict[str, float], start: int, end: int) -> None:
        """Enter all ``legs`` in a few equal clips between ``start`` and ``end``."""
        clips = rng.randint(2, 4)
        for minute in sorted(rng.randint(start, max(start, end)) for _ in range(clips)):
            for instrument, quantity in legs.items():
                self.order(minute, account, instrument, quantity / clips)

    def churn(self, rng: Random, account: str, instrument: str, quantity: float, start: int, end: int) -> None:
        """Trade around a position: small clips out and back in, which leave it as it was."""
        for _ in range(rng.randint(4, 12)):
            out = rng.randint(start, max(start, end - 1))
            back = rng.randint(out, max(out, end))
            clip = quantity * rng.uniform(0.03, 0.12)
            self.order(out, account, instrument, -clip)
            self.order(back, account, instrument, clip)

    def leave(self, rng: Random, account: str, legs: dict[str, float], minute: int, likelihood: float) -> None:
        """Close everything at ``minute``, or stay."""
        if rng.random() < likelihood:
            for instrument, quantity in legs.items():
                self.order(minute, account, instrument, -quantity)


def _wealth(rng: Random, low: int, high: int) -> Decimal:
    """Round dollars, log-uniform: most are small."""
    return Decimal(round(low * (high / low) ** rng.random(), -2))


def _capital(rng: Random, bands: Sequence[tuple[float, float, float]]) -> float:
    """Equity as a share of position value, from (likelihood, low, high) bands."""
    pick = rng.random()
    for likelihood, low, high in bands:
        if pick < likelihood:
            return rng.uniform(low, high)
        pick -= likelihood
    return bands[-1][2]


def _maker(draft: _Draft, name: str, rng: Random) -> None:
    """Takes clients' orders and hedges them; brings dollars and some coins to deliver."""
    del rng
    draft.accounts.append(Account(name, Group.MAKER, (("USD", Decimal(1_500_000)), ("BTC", Decimal(5)))))


def _long(draft: _Draft, name: str, rng: Random) -> None:
    """Long before the fall of 9 and 10 March; a third has too little equity for it."""
    wealth = _wealth(rng, 5_000, 150_000)
    equity_share = _capital(rng, ((0.25, 0.13, 0.165), (0.25, 0.17, 0.21), (0.5, 0.25, 0.8)))
    instrument = rng.choice((PERPETUAL, PERPETUAL, FUTURE))
    start, end = draft.before(0.01), draft.before(0.2)
    quantity = float(wealth) / equity_share / draft.price(start)
    draft.accounts.append(Account(name, Group.LONG, (("USD", wealth),), rng.random() < 0.5))
    draft.build_up(rng, name, {instrument: quantity}, start, end)
    draft.churn(rng, name, instrument, quantity, end, draft.after(0.8))
    draft.leave(rng, name, {instrument: quantity}, draft.after(rng.uniform(0.8, 0.99)), 0.5)


def _short(draft: _Draft, name: str, rng: Random) -> None:
    """Short from around the depeg; squeezed in the rally of 12 to 14 March."""
    wealth = _wealth(rng, 5_000, 150_000)
    equity_share = _capital(rng, ((0.3, 0.14, 0.32), (0.15, 0.36, 0.46), (0.55, 0.5, 1.2)))
    start, end = draft.before(0.75), draft.after(0.15)
    quantity = -float(wealth) / equity_share / draft.price(start)
    draft.accounts.append(Account(name, Group.SHORT, (("USD", wealth),), rng.random() < 0.5))
    draft.build_up(rng, name, {PERPETUAL: quantity}, start, end)
    draft.churn(rng, name, PERPETUAL, quantity, end, draft.after(0.85))
    draft.leave(rng, name, {PERPETUAL: quantity}, draft.after(rng.uniform(0.85, 0.99)), 0.5)


def _stablecoin(draft: _Draft, name: str, rng: Random) -> None:
    """All collateral in USDC, long shortly before it loses its peg."""
    wealth = _wealth(rng, 10_000, 200_000)
    equity_share = _capital(rng, ((0.35, 0.125, 0.135), (0.3, 0.14, 0.17), (0.35, 0.2, 0.6)))
    start, end = draft.before(0.86), draft.before(0.92)
    quantity = float(wealth) / equity_share / draft.price(start)
    draft.accounts.append(Account(name, Group.STABLECOIN, (("USDC", wealth),), rng.random() < 0.35))
    draft.build_up(rng, name, {PERPETUAL: quantity}, start, end)
    draft.churn(rng, name, PERPETUAL, quantity, end, draft.after(0.7))
    draft.leave(rng, name, {PERPETUAL: quantity}, draft.after(rng.uniform(0.7, 0.99)), 0.6)


def _coin(draft: _Draft, name: str, rng: Random) -> None:
    """Collateral in coins: half are short the inverse contract against it, half are long on top of it."""
    coins = Decimal(rng.randint(5, 80)) / 10
    start, end = draft.before(0.02), draft.before(0.25)
    price = draft.price(start)
    draft.accounts.append(Account(name, Group.COIN, (("BTC", coins),), rng.random() < 0.3))
    if rng.random() < 0.5:
        contracts = -float(coins) * price * rng.uniform(0.8, 1.0) / INVERSE_MULTIPLIER
    else:
        equity_share = _capital(rng, ((0.4, 0.2, 0.27), (0.6, 0.4, 1.5)))
        contracts = float(coins) * price / equity_share / INVERSE_MULTIPLIER
    draft.build_up(rng, name, {INVERSE: contracts}, start, end)
    draft.churn(rng, name, INVERSE, contracts, end, draft.after(0.8))
    draft.leave(rng, name, {INVERSE: contracts}, draft.after(rng.uniform(0.8, 0.99)), 0.4)


def _option_seller(draft: _Draft, name: str, rng: Random) -> None:
    """Sells strangles of both expiries; some buy the wings."""
    wealth = _wealth(rng, 20_000, 300_000)
    per_unit = _capital(rng, ((0.3, 3_200, 4_200), (0.7, 5_000, 12_000)))
    quantity = float(wealth) / per_unit
    monthly = {"BTC-31MAR23-18000-P": -quantity, "BTC-31MAR23-22000-C": -quantity}
    if rng.random() < 0.4:
        monthly["BTC-31MAR23-26000-C"] = quantity
    weekly = {"BTC-11MAR23-19000-P": -quantity / 3, "BTC-11MAR23-21000-C": -quantity / 3}
    draft.accounts.append(Account(name, Group.OPTION_SELLER, (("USD", wealth),), rng.random() < 0.4))
    draft.build_up(rng, name, weekly, draft.before(0.05), draft.before(0.5))
    draft.build_up(rng, name, monthly, draft.before(0.05), draft.after(0.1))
    draft.leave(rng, name, monthly, draft.after(rng.uniform(0.9, 0.99)), 0.3)


def _hedged(draft: _Draft, name: str, rng: Random) -> None:
    """Basis trades and protected longs on capital that would not carry any leg of them alone."""
    wealth = _wealth(rng, 20_000, 250_000)
    start, end = draft.before(0.02), draft.before(0.3)
    side = rng.choice((-1.0, 1.0))
    if rng.random() < 0.7:
        quantity = side * float(wealth) * rng.uniform(6.0, 9.0) / draft.price(start)
        legs = {PERPETUAL: quantity, FUTURE: -quantity}
    else:
        quantity = float(wealth) * rng.uniform(2.5, 3.5) / draft.price(start)
        legs = {FUTURE: quantity, "BTC-31MAR23-20000-P": quantity, "BTC-31MAR23-24000-C": -quantity}
    draft.accounts.append(Account(name, Group.HEDGED, (("USD", wealth),), rng.random() < 0.5))
    draft.build_up(rng, name, legs, start, end)
    draft.leave(rng, name, legs, draft.after(rng.uniform(0.8, 0.99)), 0.3)


def _retail(draft: _Draft, name: str, rng: Random) -> None:
    """Small and careful: coins, the perpetual with little leverage, now and then an option."""
    wealth = _wealth(rng, 1_000, 20_000)
    assets = (("USD", wealth), ("USDT", wealth / 2)) if rng.random() < 0.4 else (("USD", wealth),)
    draft.accounts.append(Account(name, Group.RETAIL, assets))
    for _ in range(rng.randint(4, 14)):
        minute = rng.randint(draft.before(0.01), draft.after(0.95))
        instrument = rng.choice((SPOT, SPOT, PERPETUAL, "BTC-31MAR23-24000-C"))
        side = rng.choice((-1, 1)) if instrument == PERPETUAL else 1
        draft.order(minute, name, instrument, side * float(wealth) * rng.uniform(0.02, 0.08) / draft.price(minute))


_BUILDERS: dict[Group, Callable[[_Draft, str, Random], None]] = {
    Group.MAKER: _maker,
    Group.LONG: _long,
    Group.SHORT: _short,
    Group.STABLECOIN: _stablecoin,
    Group.COIN: _coin,
    Group.OPTION_SELLER: _option_seller,
    Group.HEDGED: _hedged,
    Group.RETAIL: _retail,
}


def _requests(draft: _Draft, rng: Random) -> None:
    """A third of the clients asks for money back, every third of them for more than it can have; some send it on."""
    clients = [account for account in draft.accounts if account.group not in (Group.VENUE, Group.MAKER)]
    last = len(draft.minutes) - 1
    for account in rng.sample(clients, max(2, len(clients) // 3)):
        asset, amount = account.deposits[0]
        share = rng.choice(("0.01", "0.03", "1.4"))
        minute = rng.randint(last // 10, last)
        draft.requests.append(Request(minute, account.name, asset, amount * Decimal(share)))
    for payer in rng.sample(clients, max(1, len(clients) // 20)):
        asset, amount = payer.deposits[0]
        receiver = rng.choice([account.name for account in clients if account is not payer])
        minute = rng.randint(last // 10, last)
        draft.requests.append(Request(minute, payer.name, asset, amount * Decimal("0.02"), receiver))
