"""How many accounts per second can be margined: ours (vectorized) against a scalar loop over accounts.

Run from the checkout: ``python -m bench.revaluation [--accounts N] [--positions N]``. Prints one JSON object; ``ours``
and ``reference`` are accounts per second of process time, best of the rounds, ``ratio`` is ours / reference. The
reference is the slow twin that the tests compare against, on a sample of the same accounts; both compute the same
figures, which is checked before anything is timed. Two more references: what the sums alone cost, a plain SciPy CSR x
dense product over the same positions with the unit PnL given; and what a user would write around a library, a loop
over accounts, positions and scenarios with vollib's Black formula, whose losses are compared with ours too.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from vollib.black import black

from engine.events import MarkPrice, VolatilityNode
from engine.market import Market
from engine.portfolio import Portfolio, PortfolioPosition
from engine.pricing.axes import Floats
from engine.pricing.valuation import contract_table
from engine.pricing.volatility import volatility_shock
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


def csr_positions(portfolios: Sequence[Portfolio], frame: RiskFrame) -> csr_matrix:
    """Signed contracts of every (account, underlying) in every instrument of the frame, [A x U, I]."""
    rank = {name: u for u, name in enumerate(frame.grid.underlyings)}
    rows, columns, sizes = [], [], []
    for a, portfolio in enumerate(portfolios):
        for name, position in portfolio.positions.items():
            rows.append(a * len(rank) + rank[frame.market.instruments[name].underlying])
            columns.append(frame.instrument_rows[name])
            sizes.append(position.quantity_e8 / E8)
    return csr_matrix((sizes, (rows, columns)), shape=(len(portfolios) * len(rank), len(frame.instrument_rows)))


def product_losses(positions: csr_matrix, pnl_IS: Floats, accounts: int) -> Floats:
    """Losses of every account from the product, [A]: worst scenario per underlying, summed."""
    worst = (positions @ pnl_IS).min(axis=1)
    result: Floats = -np.minimum(worst, 0.0).reshape(accounts, -1).sum(axis=1)
    return result


def vollib_loss(portfolio: Portfolio, market: Market, frame: RiskFrame) -> float:
    """The same loss of one account by a loop: every option repriced by vollib in every scenario."""
    grid = frame.grid
    table = contract_table(tuple(portfolio.positions), market)
    up, down = volatility_shock(table.tenor_days_I, *(
        np.full(table.price_I.size, values[0])
        for values in (grid.volatility_up_U, grid.volatility_down_U, grid.volatility_power_U)
    ))  # fmt: skip
    net = np.zeros((len(grid.underlyings), grid.weight_S.size))
    for i, (name, position) in enumerate(portfolio.positions.items()):
        u = grid.underlyings.index(market.instruments[name].underlying)
        quantity, price, vol = position.quantity_e8 / E8, float(table.price_I[i]), float(table.volatility_I[i])
        flag = {1.0: "c", -1.0: "p", 0.0: ""}[float(table.sign_I[i])]
        strike, years = float(table.strike_I[i]), float(table.years_I[i])
        now = black(flag, price, strike, years, 0.0, vol) if flag else price
        for s, weight in enumerate(grid.weight_S):
            factor = (1.0, float(up[i]), float(down[i]))[int(grid.volatility_move_S[s])]
            moved = price * float(grid.price_factor_US[u, s])
            value = black(flag, moved, strike, years, 0.0, vol * factor) if flag else moved
            net[u, s] += weight * quantity * (value - now)
    return float(-np.minimum(net.min(axis=1), 0.0).sum())


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
    account_risk(portfolios, market, parameters, frame)
    bare = [Portfolio(item.account, {}, item.positions) for item in portfolios]
    positions, pnl_IS = csr_positions(bare, frame), frame.rows.pnl_IS
    losses = product_losses(positions, pnl_IS, len(bare))
    for a, portfolio in enumerate(bare[:20]):
        want = vollib_loss(portfolio, market, frame)
        assert abs(losses[a] - want) <= 1e-6 * max(1.0, want), portfolio.account
    product = best_seconds(lambda: product_losses(positions, pnl_IS, len(bare)), options.rounds)
    library = best_seconds(lambda: [vollib_loss(item, market, frame) for item in bare[:20]], options.rounds) / 20
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
                "csr_product_alone": round(options.accounts / product),
                "vollib_loop": round(1.0 / library, 1),
                "ratio_to_vollib_loop": round(per_second * library),
                "lone_account_us": round(cold * 1e6),
                "lone_account_same_frame_us": round(warm * 1e6),
            }
        )
    )


if __name__ == "__main__":
    main()
