"""``python -m streams.executor``: the options, and the signals that stop it."""

from __future__ import annotations

import signal
import sys
from typing import get_args

import click

from engine.errors import InvalidReference
from engine.risk.depth import Depth
from engine.units import E8, PPM
from engine.waterfall.backstop import Participant
from schemas.events.liquidations import AckReason
from streams.executor.auction import Bidder
from streams.executor.core import ExecutorOptions
from streams.executor.faults import FaultKind, parse_fault
from streams.executor.legs import UNLIMITED_E8
from streams.executor.service import ExecutorService, SimulatedCrash
from streams.settings import load_settings

_SECOND_US = 1_000_000
_FAULTS = ", ".join(FaultKind)


def parse_bidder(text: str) -> Bidder:
    """``ACCOUNT:PRICE:SHARE``, the account may have colons in it; raises ``InvalidReference``."""
    try:
        account, price, share = text.rsplit(":", 2)
        return Bidder(account, float(price), float(share))
    except ValueError:
        raise InvalidReference("bidder", f"{text} is not ACCOUNT:PRICE:SHARE") from None


def parse_backstop(text: str) -> Participant:
    """``ACCOUNT`` (a share of one, no limit) or ``ACCOUNT:SHARE:NOTIONAL``; raises ``InvalidReference``."""
    account, *terms = text.rsplit(":", 2)
    if not terms:
        return Participant(account, 1, UNLIMITED_E8)
    try:
        share, notional = terms
        return Participant(account, int(share), round(float(notional) * E8))
    except (ValueError, OverflowError):
        raise InvalidReference("backstop", f"{text} is neither ACCOUNT nor ACCOUNT:SHARE:NOTIONAL") from None


@click.command()
@click.option("--counterparty", required=True, help="Account of the liquidity provider that takes the other side.")
@click.option("--name", default="reference", show_default=True, help="How the executor signs its answers.")
@click.option(
    "--backstop",
    "backstops",
    multiple=True,
    metavar="ACCOUNT[:SHARE:NOTIONAL]",
    help="Takes whole books over, in proportion to its share and up to a notional; the counterparty if none is named.",
)
@click.option("--half-spread", type=float, default=0.0005, show_default=True, help="Share of the price.")
@click.option("--daily-volume", type=float, help="Numeraire per instrument; without it the book is bottomless.")
@click.option("--daily-volatility", type=float, default=0.03, show_default=True, help="For the impact of size.")
@click.option("--impact", type=float, default=1.0, show_default=True, help="Strength of the square-root law.")
@click.option("--depth-left", type=float, default=1.0, show_default=True, help="Share of normal depth.")
@click.option("--price-band", type=float, default=0.5, show_default=True, help="How far off the mark a limit may be.")
@click.option("--bidder", "bidders", multiple=True, metavar="ACCOUNT:PRICE:SHARE", help="A bidder in auctions.")
@click.option(
    "--halt", "halted", multiple=True, metavar="SCOPE", help="global, account:ID, instrument:ID or venue:NAME."
)
@click.option("--fault", "faults", multiple=True, metavar="NAME[:SHARE]", help=f"One of {_FAULTS}.")
@click.option("--reject-reason", type=click.Choice(get_args(AckReason)), default="venue", show_default=True)
@click.option("--delay", type=float, default=0.0, show_default=True, help="Seconds of market time before executing.")
def main(
    counterparty: str,
    name: str,
    backstops: tuple[str, ...],
    half_spread: float,
    daily_volume: float | None,
    daily_volatility: float,
    impact: float,
    depth_left: float,
    price_band: float,
    bidders: tuple[str, ...],
    halted: tuple[str, ...],
    faults: tuple[str, ...],
    reject_reason: AckReason,
    delay: float,
) -> None:
    """Execute liquidation commands of the cluster named by CROSSMARGIN_KAFKA on a simulated venue."""
    try:
        options = ExecutorOptions(
            name=name,
            depth=Depth(half_spread, daily_volatility, daily_volume, impact, depth_left),
            price_band_ppm=round(price_band * PPM),
            backstops=tuple(map(parse_backstop, backstops)),
            bidders=tuple(map(parse_bidder, bidders)),
            holds=dict.fromkeys(halted, "halt"),
            faults=tuple(map(parse_fault, faults)),
            reject_reason=reject_reason,
            delay_us=round(delay * _SECOND_US),
        )
    except InvalidReference as error:
        raise click.BadParameter(str(error)) from None
    service = ExecutorService(load_settings().kafka, counterparty, options)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: service.stop())
    signal.signal(signal.SIGINT, lambda _signal, _frame: service.stop())
    try:
        service.run()
    except SimulatedCrash as crash:
        raise click.ClickException(str(crash)) from None


if __name__ == "__main__":
    sys.exit(main())
