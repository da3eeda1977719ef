"""Pricing: stateless float64 kernels from marks to values. Knows contracts, not accounts."""

from __future__ import annotations

from engine.pricing.implied_volatility import implied_black76_volatility
from engine.pricing.option_greeks import OptionGreeks, black76_option, black_scholes_merton
from engine.pricing.settlement_window import settlement_window_forward
from engine.pricing.svi import svi_volatility

__all__ = [
    "OptionGreeks",
    "black76_option",
    "black_scholes_merton",
    "implied_black76_volatility",
    "settlement_window_forward",
    "svi_volatility",
]
