"""Random portfolios in two underlyings for properties that hold for any of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from hypothesis import strategies as st

from engine.methods.statement import PositionKind, StatedExpiry, StatedMarket, StatedPortfolio, StatedPosition
from schemas.documents import decode_document
from streams.what_if_report import stated

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
DAY = Decimal(86_400)
MARKETS = {
    "BTC": StatedMarket(
        "BTC", Decimal(60_000), perpetual_price=Decimal(60_030),
        expiries={name: StatedExpiry(name, days * DAY, Decimal(forward), rate=Decimal("0.05"))
                  for name, days, forward in (("near", 20, 60_200), ("far", 120, 61_100))},
    ),
    "ETH": StatedMarket(
        "ETH", Decimal(3_000), perpetual_price=Decimal(3_001),
        expiries={"near": StatedExpiry("near", 20 * DAY, Decimal(3_010), rate=Decimal("0.05"))},
    ),
}  # fmt: skip


def perpetual(underlying: str, quantity: int | str | Decimal, **terms: object) -> StatedPosition:
    position = StatedPosition(f"{underlying}-PERP", PositionKind.PERPETUAL, underlying, Decimal(quantity))
    return replace(position, **terms)  # type: ignore[arg-type]


def future(underlying: str, quantity: int | str, expiry: str = "near") -> StatedPosition:
    name = f"{underlying}-{expiry}"
    return StatedPosition(name, PositionKind.FUTURE, underlying, Decimal(quantity), expiry=expiry)


def option(underlying: str, strike: int, quantity: int | str, *, call: bool, expiry: str = "near") -> StatedPosition:
    return StatedPosition(
        f"{underlying}-{expiry}-{strike}-{'C' if call else 'P'}", PositionKind.OPTION, underlying, Decimal(quantity),
        expiry=expiry, strike=Decimal(strike), is_call=call, volatility=Decimal("0.55"),
    )  # fmt: skip


LINEAR = (perpetual("BTC", 1), perpetual("ETH", 1))
INSTRUMENTS = (
    *LINEAR, future("BTC", 1), future("BTC", 1, "far"), option("BTC", 55_000, 1, call=False),
    option("BTC", 60_000, 1, call=True), option("BTC", 66_000, 1, call=True, expiry="far"),
    option("ETH", 2_800, 1, call=False), option("ETH", 3_200, 1, call=True),
)  # fmt: skip
QUANTITIES = st.integers(-400, 400).filter(bool).map(lambda hundredths: Decimal(hundredths) / 100)


def portfolio(*positions: StatedPosition, cash: int = 100_000) -> StatedPortfolio:
    held = {position.underlying for position in positions}
    markets = {name: market for name, market in MARKETS.items() if name in held}
    return StatedPortfolio("one", Decimal(cash), markets=markets, positions=positions)


@st.composite
def portfolios(
    draw: st.DrawFn, instruments: tuple[StatedPosition, ...] = INSTRUMENTS, most: int = 4
) -> StatedPortfolio:
    chosen = draw(st.lists(st.sampled_from(range(len(instruments))), unique=True, min_size=1, max_size=most))
    return portfolio(*(replace(instruments[i], quantity=draw(QUANTITIES)) for i in chosen))


def example(name: str, method: str = "derive-pmrm2") -> StatedPortfolio:
    """A portfolio of the folder ``examples``, as ``method`` reads it."""
    return stated(decode_document((EXAMPLES / f"{name}.json").read_bytes()), method)[0]
