"""The slow twin of second-generation scenario margin: scalar loops over the published formulas, nothing of the engine.

Portfolios are in the shape of the published files: cash, stable_price, spot, perp, collateral, expiries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erfc, exp, log, sqrt
from typing import Any

YEAR, DAY, WINDOW = 365 * 86_400, 86_400, 1_800
Plain = Mapping[str, Any]


def normal(x: float) -> float:
    return 0.5 * erfc(-x / sqrt(2))


def option(forward: float, strike: float, years: float, vol: float, call: bool) -> float:
    """Undiscounted Black-76."""
    deviation = vol * sqrt(years)
    if deviation <= 0:
        return max(forward - strike if call else strike - forward, 0.0)
    d1 = log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    if call:
        return forward * normal(d1) - strike * normal(d2)
    return strike * normal(-d2) - forward * normal(-d1)


def shocked(vol: float, strike: float, forward: float, seconds: float, mode: str, p: Plain) -> float:
    """Volatility in a scenario of ``mode``."""
    days = max(seconds / DAY, p["dte_floor_days"])
    term = (30 / days) ** (p["short_term_power"] if seconds <= 30 * DAY else p["long_term_power"])
    if mode == "up":
        return max(vol * (1 + p["vol_range_up"] * term), p["min_vol_when_up"])
    if mode == "down":
        return vol * max(0, 1 - p["vol_range_down"] * term)
    if mode == "none":
        return vol
    root = sqrt(seconds / YEAR)
    k = log(strike / forward) if mode == "skew_linear" else abs(log(strike / forward))
    cap = p[f"{mode}_cbase"] * root + p[f"{mode}_cap"]
    width = root * p["skew_width"] * (p["skew_vol_static"] + root * p["skew_vol_scale"])
    change = k * cap / max(p["skew_min_kstar"], width)
    return vol * max(0, 1 + (min(change, cap) if k >= 0 else max(change, -cap)))


def expiry_value(expiry: Plain, factor: float, mode: str, p: Plain) -> float:
    """Discounted value of an expiry's options when its variable forward is multiplied by ``factor``."""
    seconds = max(expiry["seconds_to_expiry"], 0)
    variable = expiry["forward"] * min(seconds / WINDOW, 1)
    forward = variable * factor + expiry["forward"] - variable
    years, rate = seconds / YEAR, max(expiry["rate"], 0)
    total = 0.0
    for o in expiry["options"]:
        vol = shocked(o["vol"], o["strike"], expiry["forward"], seconds, mode, p)
        total += o["amount"] * exp(-rate * years) * option(forward, o["strike"], years, vol, o["is_call"])
    return total


def discounted(expiry: Plain, value: float, p: Plain) -> float:
    """The static discount of a shocked net value."""
    years, rate = max(expiry["seconds_to_expiry"], 0) / YEAR, max(expiry["rate"], 0)
    if value >= 0:
        return value * p["static_discount"] * exp(-years * (rate * p["long_rate_mult"] + p["long_rate_add"]))
    growth = p["static_discount_neg"] * exp(years * (rate * p["short_rate_mult"] + p["short_rate_add"]))
    return value * min(exp(rate * years), growth)


def scenario_pnl(portfolio: Plain, p: Plain, scenarios: Sequence[Plain]) -> list[float]:
    """PnL of every scenario, dampened."""
    found = []
    for s in scenarios:
        move, mode = s["spot_multiplier"] - 1, s["vol"]
        pnl = portfolio["perp"]["position"] * move * portfolio["perp"]["price"]
        for e in portfolio["expiries"]:
            skew = mode.startswith("skew")
            moved = discounted(e, expiry_value(e, 1 if skew else 1 + move, mode, p), p)
            change = moved - expiry_value(e, 1, "none", p)
            pnl += -abs(change) if skew else change
        pnl += sum(_value(c, portfolio) * move for c in portfolio["collateral"] if c["hedges_spot"])
        found.append(pnl * s["dampening"])
    return found


def basis(portfolio: Plain, p: Plain) -> float:
    """The basis contingency."""
    total = 0.0
    for e in portfolio["expiries"]:
        now = expiry_value(e, 1, "none", p)
        moves = [expiry_value(e, p[f"basis_spot_{way}"], "none", p) - now for way in ("up", "down")]
        years = max(e["seconds_to_expiry"], 0) / YEAR
        total += min(*moves, 0) * (p["basis_add_factor"] + p["basis_mult_factor"] * years)
    return total


def static(portfolio: Plain, p: Plain, kind: str) -> float:
    """The static contingency of ``kind`` im or mm."""
    spot, naked = portfolio["spot"], 0.0
    for e in portfolio["expiries"]:
        net: dict[float, float] = {}
        for o in e["options"]:
            net[o["strike"]] = net.get(o["strike"], 0) + o["amount"]
        naked += sum(max(-amount, 0) for amount in net.values())
    charge = abs(portfolio["perp"]["position"]) * spot * p[f"{kind}_perp_percent"]
    charge += naked * spot * p[f"{kind}_option_percent"]
    return charge + sum(_value(c, portfolio) * c[f"{kind}_haircut"] for c in portfolio["collateral"])


def oracle(portfolio: Plain, p: Plain) -> float:
    """The oracle contingency."""
    held, spot = abs(portfolio["perp"]["position"]), portfolio["spot"]
    perp = min(portfolio["spot_confidence"], portfolio["perp"]["confidence"]) if held else portfolio["spot_confidence"]
    charged = [(perp, held * spot)]
    for e in portfolio["expiries"]:
        own = min(e["forward_confidence"], e["rate_confidence"], e["vol_confidence"])
        charged.append((min(perp, own), sum(abs(o["amount"]) for o in e["options"]) * spot))
    charged += [
        (min(c["confidence"], portfolio["spot_confidence"]), _value(c, portfolio)) for c in portfolio["collateral"]
    ]
    return sum((1 - c) * p["confidence_margin"] * notional for c, notional in charged if c < p["confidence_threshold"])


def net_margin(portfolio: Plain, p: Plain, scenarios: Sequence[Plain], carried: float) -> tuple[float, float]:
    """Initial and maintenance surplus; ``carried`` is the perpetual's unrealized PnL and funding."""
    value = portfolio["cash"] + sum(_value(c, portfolio) for c in portfolio["collateral"])
    value += sum(expiry_value(e, 1, "none", p) for e in portfolio["expiries"])
    value += carried if portfolio["perp"]["position"] else 0
    worst = min([basis(portfolio, p), *scenario_pnl(portfolio, p, scenarios)])
    factor = p["im_loss_factor"] + max(0, p["peg_loss_threshold"] - portfolio["stable_price"]) * p["peg_loss_factor"]
    maintenance = worst * p["mm_loss_factor"] - static(portfolio, p, "mm") + value
    contingencies = static(portfolio, p, "im") + static(portfolio, p, "mm") + oracle(portfolio, p)
    return worst * factor - contingencies + value, maintenance


def _value(entry: Plain, portfolio: Plain) -> float:
    return float(entry["amount"] * entry["price"] / portfolio["stable_price"])
