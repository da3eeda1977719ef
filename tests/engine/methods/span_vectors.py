"""Published SPAN cases as stated portfolios, one function per kind of case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def array_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Stated risk arrays: positions that carry the PnL of one long contract."""
    positions = [
        {"kind": "future", "underlying": "X", "quantity": quantity, "mark_price": 0, "scenario_pnl": pnl}
        for quantity, pnl in zip(inputs["positions"], inputs["pnl_of_one_long"], strict=True)
    ]
    return {"v": 2, "markets": {"X": {"spot": 0}}, "positions": positions}


def intra_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Futures of several months, each with its own scan range."""
    months = inputs["net_delta"]
    return {
        "v": 2,
        "markets": {"X": {
            "spot": 10000,
            "expiries": {month: {"seconds_to_expiry": 86400 * 30, "forward": 10000} for month in months},
            "parameters": {"spread_charges": inputs["spread_charges"]},
        }},
        "positions": [
            {
                "kind": "future", "underlying": "X", "expiry": month, "quantity": delta,
                "parameters": {"price_scan_range": inputs["price_scan_range"][month], "vol_scan_range": 0},
            }
            for month, delta in months.items()
        ],
    }  # fmt: skip


PARTS = {
    "scan_risk": "scan_risk", "span": "scan_risk", "intra_charge": "intra_charge", "delivery_charge": "delivery_charge",
    "inter_credit": "inter_credit", "short_option_minimum": "short_option_minimum",
    "net_option_value": "net_option_value", "exposure": "exposure",
}  # fmt: skip


def assembly_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Parts of a requirement that somebody states."""
    stated = {PARTS[name]: value for name, value in inputs.items() if name in PARTS}
    return {"v": 2, "markets": {"X": {"spot": 0}}, "parameters": {"stated": stated}}


def revaluation_document(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Futures and options to be revalued: every pair of futures price and time is an expiry."""
    expiries: dict[str, Any] = {}
    positions: list[dict[str, Any]] = []
    for record in inputs["positions"]:
        days = record.get("days_to_expiry", 365)
        expiry = f"{record['futures_price']} {days}"
        expiries[expiry] = {"seconds_to_expiry": days * 86400, "forward": record["futures_price"]}
        position = {key: record[key] for key in ("kind", "quantity", "multiplier")} | {"underlying": "X"}
        if record["kind"] == "option":
            position |= {"strike": record["strike"], "is_call": record["is_call"], "volatility": record["vol"]}
        positions.append(position | {"expiry": expiry})
    return {
        "v": 2,
        "markets": {"X": {"spot": 0, "expiries": expiries, "parameters": dict(inputs["commodity"])}},
        "positions": positions,
        "parameters": {"short_option_minimum_per_short_unit": inputs["short_option_minimum_per_short_unit"]},
    }  # fmt: skip


DOCUMENTS = {
    "array_requirement": array_document,
    "intra_commodity_spread": intra_document,
    "assembly": assembly_document,
    "full_revaluation": revaluation_document,
}
