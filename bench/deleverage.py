"""Whose hedges break when bankrupt books are closed against winners: slices of books beside a queue, in process.

Run from the checkout: ``python -m bench.deleverage [--accounts N] [--seed N]``. A venue of outright and hedged books
falls by a quarter in one jump; every account that owes then is taken over at the prices that leave it with nothing
(``engine.waterfall.bankruptcy``), all of it against the other customers, as if no fund stood between. ``ours`` is how
many of them are left with a higher requirement than before under ``engine.waterfall.book_deleverage``, the reference
the same under the ranked queue of BitMEX, leg by leg. Beside it the queue by Hyperliquid's score, who is touched, who
falls below maintenance, what is taken beyond need and beyond profit, and seconds. All rules close the same lots at the
same prices: what differs is against whom. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench._machine import machine, versions
from engine.units import E8
from engine.waterfall.bankruptcy import Leg, takeover
from engine.waterfall.book_deleverage import BookLeg, Counterparty, deleverage_book
from engine.waterfall.queue_rule import Queued, bitmex_score, close_from_the_top, hyperliquid_score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COINS = 8
LOT = 0.1
FALL = 0.25
ADD_ON = 0.02
HEDGED, SHORT = 0.3, 0.2


@dataclass
class Venue:
    """Accounts by coins after the jump: lots, equity in units, entry prices; scenarios by coins as relative moves."""

    lots_AI: Ints
    equity_A: Floats
    entry_AI: Floats
    price_I: Floats
    moves_SI: Floats
    hedged_A: npt.NDArray[np.bool_]

    def requirement(self, lots_AI: Ints | Floats) -> Floats:
        """Worst scenario and an add-on of gross: what a hedge lowers and breaking it raises."""
        value_AI = lots_AI * (LOT * self.price_I)
        worst_A = np.max(-(value_AI @ self.moves_SI.T), axis=1).clip(0.0)
        result: Floats = worst_A + ADD_ON * np.abs(value_AI).sum(axis=1)
        return result


@dataclass
class Outcome:
    """What a rule closed (signed lots by account and coin) and took (units by account), and how long it needed."""

    closed_AI: Ints
    haircut_A: Floats
    left_lots: int
    seconds: float


def venue(accounts: int, seed: int) -> Venue:
    """A population that met its requirement, one jump later."""
    rng = np.random.default_rng(seed)
    beta_I = rng.uniform(0.8, 1.5, COINS)
    before_I = np.full(COINS, 100.0)
    levels = np.array([-0.2, -0.1, 0.0, 0.1, 0.2])
    moves_SI = np.concatenate([levels[:, None] * beta_I, levels[:, None] * beta_I + rng.normal(0, 0.02, (5, COINS))])
    first, second = rng.integers(0, COINS, accounts), rng.integers(1, COINS, accounts)
    kind = rng.random(accounts)
    hedged_A, rows = kind < HEDGED, np.arange(accounts)
    shape_AI = np.zeros((accounts, COINS))
    shape_AI[rows, first] = np.where((kind >= HEDGED) & (kind < HEDGED + SHORT), -1.0, 1.0)
    other = (first + second) % COINS
    shape_AI[rows[hedged_A], other[hedged_A]] = -(beta_I[first] / beta_I[other])[hedged_A]
    cash_A = np.minimum(5_000.0 * (1.0 + rng.pareto(1.1, accounts)), 2e6)
    used_A = rng.uniform(0.1, 0.9, accounts)
    made = Venue(np.zeros((0, COINS), np.int64), cash_A, shape_AI, before_I, moves_SI, hedged_A)
    per_unit_A = made.requirement((shape_AI * 1e6).astype(np.int64)) / 1e6
    lots_AI = np.rint(shape_AI * (used_A * cash_A / per_unit_A)[:, None]).astype(np.int64)
    price_I = before_I * (1.0 - FALL * beta_I + rng.normal(0, 0.04, COINS))
    equity_A = cash_A + LOT * (lots_AI * (price_I - before_I)).sum(axis=1)
    entry_AI = before_I * np.exp(rng.normal(0, 0.15, (accounts, COINS)))
    return Venue(lots_AI, equity_A, entry_AI, price_I, moves_SI, hedged_A)


def bankrupt_legs(made: Venue) -> tuple[list[int], list[BookLeg], npt.NDArray[np.bool_]]:
    """Coins, what is left of all bankrupt books there when they have crossed, at a haircut that pays; who they are."""
    broke_A = made.equity_A < 0.0
    share_AI = np.abs(made.lots_AI) * LOT * made.price_I
    lots_I, gain_I = np.zeros(COINS, np.int64), [0] * COINS
    for number in np.flatnonzero(broke_A).tolist():
        coins = np.flatnonzero(made.lots_AI[number]).tolist()
        legs = [
            Leg(
                str(coin), int(made.lots_AI[number, coin] * LOT * E8), round(made.price_I[coin] * E8), 1,
                share=round(share_AI[number, coin]),
            )
            for coin in coins
        ]  # fmt: skip
        taken = takeover(legs, round(made.equity_A[number] * E8))
        for coin, gain in zip(coins, taken.gains_e8, strict=True):
            lots_I[coin] += made.lots_AI[number, coin]
            gain_I[coin] += gain
    coins = [coin for coin in range(COINS) if lots_I[coin]]
    return coins, [BookLeg(str(c), abs(int(lots_I[c])), -(-gain_I[c] // abs(int(lots_I[c])))) for c in coins], broke_A


def facing(made: Venue, coins: list[int], broke_A: npt.NDArray[np.bool_]) -> Ints:
    """Lots that each solvent account holds against the bankrupt, by coin; zero elsewhere."""
    wanted_I = np.zeros(COINS, np.int64)
    wanted_I[coins] = np.sign(made.lots_AI[broke_A].sum(axis=0))[coins]
    against = (made.lots_AI * wanted_I < 0) & ~broke_A[:, None]
    return np.where(against, np.abs(made.lots_AI), 0)


def by_slices(made: Venue, coins: list[int], legs: list[BookLeg], facing_AI: Ints) -> Outcome:
    """Ours: everybody's figures, then slices."""
    started = time.perf_counter()
    held_A = np.flatnonzero(facing_AI.any(axis=1))
    lots_AI, required_A = made.lots_AI[held_A], made.requirement(made.lots_AI[held_A])
    sign_AI, matched_AI = np.sign(lots_AI), facing_AI[held_A]
    together_A = required_A - made.requirement(lots_AI - sign_AI * matched_AI)
    profit_A = (np.sign(lots_AI) * matched_AI * LOT * (made.price_I - made.entry_AI[held_A])).sum(axis=1)
    relief_AI = np.zeros(lots_AI.shape)
    for coin in coins:  # the slope of the last lot: requirements are convex, so it is the least on the way
        gone_AI = lots_AI.copy()
        gone_AI[:, coin] -= sign_AI[:, coin] * matched_AI[:, coin]
        last_AI = gone_AI.copy()
        last_AI[:, coin] += sign_AI[:, coin] * (matched_AI[:, coin] > 0)
        relief_AI[:, coin] = made.requirement(last_AI) - made.requirement(gone_AI)
    parties = [
        Counterparty(
            f"{number:08}",
            tuple(matched_AI[at, coins].tolist()),
            tuple(int(np.floor(relief * E8)) for relief in relief_AI[at, coins]),
            int(np.floor(together_A[at] * E8)),
            int(profit_A[at] * E8),
            int(made.equity_A[number] * E8),
            int(np.ceil(required_A[at] * E8)),
        )
        for at, number in enumerate(held_A.tolist())
    ]
    result = deleverage_book(legs, parties)
    closed_AI, haircut_A = np.zeros_like(made.lots_AI), np.zeros(len(made.equity_A))
    for each in result.reductions:
        closed_AI[int(each.account), int(each.instrument)] += each.lots
        haircut_A[int(each.account)] += each.haircut_e8 / E8
    return Outcome(closed_AI, haircut_A, sum(left for _, left in result.remaining), time.perf_counter() - started)


def by_queue(
    made: Venue, coins: list[int], lots: list[int], haircuts: list[float], facing_AI: Ints,
    score: Callable[[int, int], Queued],
) -> Outcome:  # fmt: skip
    """A ranked queue, leg by leg; ``haircuts`` in units per lot."""
    started = time.perf_counter()
    closed_AI, haircut_A, left = np.zeros_like(made.lots_AI), np.zeros(len(made.equity_A)), 0
    for coin, wanted, haircut in zip(coins, lots, haircuts, strict=True):
        queue = [score(number, coin) for number in np.flatnonzero(facing_AI[:, coin]).tolist()]
        closed, rest = close_from_the_top(wanted, queue)
        left += rest
        for account, part in closed:
            closed_AI[int(account), coin] += part
            haircut_A[int(account)] += part * haircut
    return Outcome(closed_AI, haircut_A, left, time.perf_counter() - started)


def bitmex(made: Venue, facing_AI: Ints) -> Callable[[int, int], Queued]:
    """Score of a cross-margined position: its bankrupt value is its mark value less the account's equity."""

    def score(number: int, coin: int) -> Queued:
        signed = LOT * int(made.lots_AI[number, coin])
        mark, entry = round(signed * made.price_I[coin] * 100), round(signed * made.entry_AI[number, coin] * 100)
        equity = max(round(made.equity_A[number] * 100), 1)
        return Queued(f"{number:08}", int(facing_AI[number, coin]), bitmex_score(mark, entry, mark - equity))

    return score


def hyperliquid(made: Venue, facing_AI: Ints) -> Callable[[int, int], Queued]:
    """Its published score, inverted for shorts."""

    def score(number: int, coin: int) -> Queued:
        lots = int(made.lots_AI[number, coin])
        notional = round(abs(lots) * LOT * made.price_I[coin] * 100)
        mark, entry = round(made.price_I[coin] * 100), round(made.entry_AI[number, coin] * 100)
        value = max(round(made.equity_A[number] * 100), 1)
        side = 1 if lots > 0 else -1
        return Queued(
            f"{number:08}", int(facing_AI[number, coin]), hyperliquid_score(mark, entry, notional, value, side)
        )

    return score


def judged(made: Venue, outcome: Outcome, wanted: int, need: float) -> dict[str, float]:
    """What a rule did to the others."""
    touched_A = outcome.closed_AI.any(axis=1)
    after_AI = made.lots_AI - np.sign(made.lots_AI) * outcome.closed_AI
    before_A, after_A = made.requirement(made.lots_AI), made.requirement(after_AI)
    equity_A = made.equity_A - outcome.haircut_A
    profit_A = (made.lots_AI * LOT * (made.price_I - made.entry_AI)).sum(axis=1).clip(0.0)
    closed = int(outcome.closed_AI.sum())
    sound_A = touched_A & (made.equity_A >= before_A)
    return {
        "overshoot_lots": closed + outcome.left_lots - wanted,
        "lots_left": outcome.left_lots,
        "haircut": round(float(outcome.haircut_A.sum())),
        "haircut_beyond_need": round(float(outcome.haircut_A.sum()) - need),
        "haircut_beyond_profit": round(float((outcome.haircut_A - profit_A)[touched_A].clip(0.0).sum())),
        "touched": int(touched_A.sum()),
        "hedged_touched": int((touched_A & made.hedged_A).sum()),
        "requirement_raised": int((touched_A & (after_A > before_A * 1.001 + 1.0)).sum()),
        "requirement_raised_by": round(float((after_A - before_A)[touched_A].clip(0.0).sum())),
        "fell_below_maintenance": int((sound_A & (equity_A < after_A * 0.999 - 1.0)).sum()),
        "made_insolvent": int((touched_A & (equity_A < 0.0)).sum()),
        "seconds": round(outcome.seconds, 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made = venue(options.accounts, options.seed)
    coins, legs, broke_A = bankrupt_legs(made)
    facing_AI = facing(made, coins, broke_A)
    need, lots = -float(made.equity_A[broke_A].sum()), [leg.lots for leg in legs]
    fair = [leg.haircut_per_lot_e8 / E8 for leg in legs]
    slices = judged(made, by_slices(made, coins, legs, facing_AI), sum(lots), need)
    queue = judged(made, by_queue(made, coins, lots, fair, facing_AI, bitmex(made, facing_AI)), sum(lots), need)
    other = judged(made, by_queue(made, coins, lots, fair, facing_AI, hyperliquid(made, facing_AI)), sum(lots), need)
    result = {
        "name": "deleverage",
        "ours": slices["requirement_raised"],
        "reference": queue["requirement_raised"],
        "ratio": round(queue["requirement_raised"] / max(slices["requirement_raised"], 1), 1),
        "unit": "accounts left with a higher requirement than before; lower is better",
        "need": round(need),
        "bankrupt": int(broke_A.sum()),
        "lots": sum(lots),
        "slices": slices,
        "queue_bitmex": queue,
        "queue_hyperliquid": other,
        "accounts": options.accounts,
        "seed": options.seed,
        "machine": machine(),
        "versions": versions(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
