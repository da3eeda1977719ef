"""The breaker trips on more than is expected of the move, and only then."""

from __future__ import annotations

from engine.books.market_book import MarketBook
from engine.events import InstrumentListed
from engine.reference.liquidation_policy import LiquidationPolicy
from engine.reference.trust_policy import TrustPolicy
from engine.trust.breaker import Breaker
from engine.trust.price_box import FeedTerms
from engine.units import PPM
from tests.builders import PERP, START_US, Amount, mark, parameters

SECOND_US = 1_000_000
TRUST = TrustPolicy(breaker_floor=10, breaker_factor=2, breaker_prior_ppm=100_000, breaker_us=5 * SECOND_US)
TERMS = parameters(policy=LiquidationPolicy(trust=TRUST))


class World:
    """A breaker under a market of one feed, whose daily standard deviation is 4 %."""

    def __init__(self) -> None:
        self.market, self.version = MarketBook(), 0
        self.market.list_instrument(InstrumentListed(0, PERP))
        self.breaker = Breaker(self.market)
        self.mark(20_000, 0)
        assert not self.judge(0)

    def mark(self, price: Amount, second: int) -> None:
        self.version += 1
        self.market.set_mark(mark("BTC-PERP", price, self.version, START_US + second * SECOND_US))
        self.breaker.note_mark("BTC-PERP")

    def judge(self, newly_short: int, accounts: int = 1_000) -> bool:
        move_ppm = self.breaker.take_move(lambda: FeedTerms(self.market, TERMS))
        return self.breaker.judge(newly_short, accounts, move_ppm, TERMS)


def test_without_a_move_the_floor_is_the_limit() -> None:
    world = World()
    assert not world.judge(10)
    assert world.judge(11)


def test_the_limit_rises_with_the_move() -> None:
    """Half a standard deviation: a tenth of a thousand accounts for one, so fifty, twice that and the floor."""
    for newly_short, is_tripped in ((110, False), (111, True)):
        world = World()
        world.mark(19_600, 1)
        assert is_tripped is world.judge(newly_short)


def test_moves_up_and_down_count_alike_and_the_first_price_is_no_move() -> None:
    up, down = World(), World()
    up.mark(20_400, 1)
    down.mark(19_600, 1)
    terms = FeedTerms(up.market, TERMS)
    assert PPM // 2 == up.breaker.take_move(lambda: terms) == down.breaker.take_move(lambda: terms)
    assert 0 == up.breaker.take_move(lambda: terms)


def test_it_ends_at_its_deadline_and_a_crowd_meanwhile_does_not_prolong_it() -> None:
    world = World()
    assert world.judge(11)
    world.mark(20_000, 4)
    assert world.judge(500)
    assert START_US + 5 * SECOND_US == world.breaker.until_us
    world.mark(20_000, 5)
    assert world.breaker.is_open()
    world.mark(20_000, 6)
    assert not world.breaker.is_open()
    assert not world.judge(0)


def test_it_learns_how_dense_the_crowd_is() -> None:
    """Fifty accounts a hundredth of a standard deviation, step after step: expected from then on."""
    world = World()
    price = 20_000.0
    for second in range(1, 101):
        price -= 8
        world.mark(price, second)
        world.judge(11)
    assert world.breaker.forecast(PPM // 100, 1_000, TERMS) in (10, 11)
    assert 1 == World().breaker.forecast(PPM // 100, 1_000, TERMS)


def test_it_can_be_switched_off() -> None:
    world = World()
    off = parameters(policy=LiquidationPolicy(trust=TrustPolicy(breaker_us=0, breaker_floor=0)))
    assert not world.breaker.judge(1_000, 1_000, 0, off)
