"""Published numbers kept beside the repository: where they are, and the way from their portfolios to ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("CROSSMARGIN_VECTORS", Path(__file__).parents[3].parent / "shared" / "vectors"))

needs_vectors = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"published numbers are not in {FOLDER}: run CROSSMARGIN_VECTORS=FOLDER pytest tests/engine/methods",
)


def load(name: str) -> Mapping[str, Any]:
    """The file ``name``, or an empty one where the folder is absent."""
    path = FOLDER / name
    return json.loads(path.read_text(), parse_float=Decimal) if path.exists() else {"vectors": []}


def cases(name: str, *kinds: str) -> list[Any]:
    """Its vectors as test parameters, of ``kinds`` if any are named."""
    vectors: Sequence[Mapping[str, Any]] = load(name)["vectors"]
    return [pytest.param(v, id=v["id"]) for v in vectors if not kinds or v.get("kind") in kinds]


def british(record: Mapping[str, Any], name: str) -> Any:
    """The number ``name`` under the spelling that the published files use, 0 where they leave it out."""
    return record.get(name.replace("ized", "ised"), 0)


def pmrm_document(
    portfolio: Mapping[str, Any], parameters: Mapping[str, Any], scenarios: Sequence[Any]
) -> dict[str, Any]:
    """A published portfolio of one underlying as a stated portfolio document."""
    perp = portfolio["perp"]
    positions: list[dict[str, Any]] = []
    if perp["position"]:
        positions.append({
            "kind": "perpetual", "underlying": "X", "quantity": perp["position"],
            "unrealized_pnl": british(perp, "unrealized_pnl"),
            "unrealized_funding": british(perp, "unrealized_funding"),
        })  # fmt: skip
    if portfolio.get("base_position"):
        positions.append({"kind": "spot", "underlying": "X", "quantity": portfolio["base_position"]})
    expiries: dict[str, Any] = {}
    for e, expiry in enumerate(portfolio["expiries"]):
        variable, fixed = expiry.get("forward_variable"), expiry.get("forward_fixed")
        expiries[f"e{e}"] = {
            "seconds_to_expiry": expiry["seconds_to_expiry"],
            "forward": expiry["forward"] if variable is None else variable + fixed,
            "forward_fixed": fixed,
            "forward_confidence": expiry["forward_confidence"],
            "rate": expiry["rate"], "rate_confidence": expiry["rate_confidence"],
            "vol_confidence": expiry["vol_confidence"],
        }  # fmt: skip
        positions += [
            {
                "kind": "option", "underlying": "X", "expiry": f"e{e}", "quantity": option["amount"],
                "strike": option["strike"], "is_call": option["is_call"], "volatility": option["vol"],
            }
            for option in expiry["options"]
        ]  # fmt: skip
    return {
        "v": 2, "cash": portfolio["cash"], "stable_price": portfolio["stable_price"],
        "markets": {"X": {
            "spot": portfolio["spot"], "spot_confidence": portfolio["spot_confidence"],
            "perpetual_price": perp["price"], "perpetual_confidence": perp["confidence"], "expiries": expiries,
        }},
        "positions": positions,
        "collateral": [
            {
                "asset": c["asset"], "amount": c["amount"], "price": c["price"], "confidence": c["confidence"],
                "underlying": "X" if c["hedges_spot"] else None,
                "initial_haircut": c["im_haircut"], "maintenance_haircut": c["mm_haircut"],
            }
            for c in portfolio.get("collateral", [])
        ],
        "parameters": dict(parameters),
        "scenarios": list(scenarios),
    }  # fmt: skip


def encoded(document: Mapping[str, Any]) -> bytes:
    """The document as JSON, every number in the digits that it was published in."""
    return json.dumps(document, default=str).encode()
