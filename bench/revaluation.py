"""How many accounts per second can be margined: ours (vectorized) against a scalar loop over accounts.

Run from the checkout: ``python -m bench.revaluation [--accounts N] [--positions N]``. Prints one JSON object; ``ours``
and ``reference`` are accounts per second of process time, best of the rounds, ``ratio`` is ours / reference. The
reference is the slow twin that the tests compare against, on a sample of the same accounts; both compute the same
figures, which is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable

from engine.events import MarkPrice, VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.reference.collateral_assets import CollateralAsset
from engine.reference.instruments import Instrument, InstrumentKind
from engine.reference.parameters import RiskParameters, TailScenario, UnderlyingParameters
from engine.risk.margin import account_risk
from engine.risk.revaluation import RiskFrame
from engine.risk.scenarios import scenario_names
from engine.units import DAY_US, E8
from tests.reference.margin import margin

TIME_US = 1_700_000_000_000_000
PRICES = {"BTC": 50_000, "ETH": 2_500, "SOL": 100}
KINDS = (InstrumentKind.LINEAR_PERPETUAL, InstrumentKind.FUTURE, InstrumentKind.CALL, InstrumentKind.PUT)


def book_market() -> Market:
    """Three underlyings, each with a perpetual, three futures and 60 options."""
    instruments = {}
    for underlying, price in PRICES.items():
        for kind in KINDS:
            for days in (7, 30, 90) if kind.expires else (0,):
                for moneyness in range(80, 130, 5) if kind.is_option else (100,):
                    name = f"{underlying}-{kind}-{days}-{moneyness}"
                    instruments[name] = Instrument(
                        instrument_id=name,
                        kind=kind,
                        underlying=underlying,
                        settlement_asset="USD",
                        mark_feed=underlying,
                        multiplier_e8=E8,
                        tick_e8=E8,
                        lot_e8=E8,
                        expiry_us=TIME_US + days * DAY_US if kind.expires else None,
                        strike_e8=price * moneyness * E8 // 100 if kind.is_option else None,
                    )
    surface = tuple(VolatilityNode(t, k, 0.6 + k * k) for t in (7.0, 30.0, 90.0) for k in (-0.3, 0.0, 0.3))
    marks = {name: MarkPrice(0, name, price * E8, 0, surface, 0, 0, TIME_US) for name, price in PRICES.items()}
    assets = {"USD": CollateralAsset("USD", None, 0), "BTC": CollateralAsset("BTC", "BTC", 50_000, "BTC")}
    return Market(instruments, assets, marks, TIME_US)


def book_parameters() -> RiskParameters:
    """A 33-scenario grid."""
    terms = UnderlyingParameters(160_000, 500_000, 250_000, 300_000, 5_000, 3_000, 500)
    return RiskParameters(
        version=1,
        effective_us=0,
        underlyings=dict.fromkeys(PRICES, terms),
        price_steps_ppm=tuple(range(-1_000_000, 1_000_001, 250_000)),
        tails=tuple(TailScenario(m * 10_000, 100_000) for m in (-66, -33, 50, 100, 200, 500)),
        maintenance_factor_ppm=800_000,
        liquidation_target_ppm=1_100_000,
        release_buffer_ppm=1_050_000,
        limit_price_band_ppm=50_000,
        mark_age_us_max=60_000_000,
        command_ttl_us=30_000_000,
        snapshot_interval_us=60_000_000,
    )


def book_portfolios(count: int, positions: int, names: list[str]) -> list[Portfolio]:
    """Accounts with ``positions`` instruments each, drawn from one seed."""
    draw = random.Random(1)
    return [
        Portfolio(
            f"account-{a}",
            {"USD": draw.randint(1, 10**6) * E8, "BTC": draw.randint(-1, 3) * E8},
            {
                name: PortfolioPosition(draw.choice((-1, 1)) * draw.randint(1, 500) * E8 // 10)
                for name in draw.sample(names, positions)
            },
        )
        for a in range(count)
    ]


def best_seconds(action: Callable[[], object], rounds: int) -> float:
    """Least process time of ``rounds`` runs."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--positions", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    market, parameters = book_market(), book_parameters()
    portfolios = book_portfolios(options.accounts, options.positions, sorted(market.instruments))
    sample = portfolios[: max(1, min(200, options.accounts))]
    risk = account_risk(portfolios, market, parameters)
    for a, portfolio in enumerate(sample):
        want = margin(portfolio, market, parameters)["initial_margin"]
        assert abs(risk.initial_margin_A[a] - want) <= 1e-9 * max(1.0, want), portfolio.account
    ours = best_seconds(lambda: account_risk(portfolios, market, parameters), options.rounds)
    slow = best_seconds(lambda: [margin(item, market, parameters) for item in sample], options.rounds)
    lone = portfolios[:1]
    frame = RiskFrame(market, parameters)
    cold = best_seconds(lambda: [account_risk(lone, market, parameters) for _ in range(200)], options.rounds) / 200
    warm = (
        best_seconds(lambda: [account_risk(lone, market, parameters, frame) for _ in range(200)], options.rounds) / 200
    )
    per_second, reference = options.accounts / ours, len(sample) / slow
    print(
        json.dumps(
            {
                "benchmark": "revaluation",
                "unit": "accounts per CPU second",
                "accounts": options.accounts,
                "positions": options.positions,
                "scenarios": len(scenario_names(parameters, "BTC")),
                "ours": round(per_second),
                "reference": round(reference, 1),
                "ratio": round(per_second / reference, 1),
                "lone_account_us": round(cold * 1e6),
                "lone_account_same_frame_us": round(warm * 1e6),
            }
        )
    )


if __name__ == "__main__":
    main()
