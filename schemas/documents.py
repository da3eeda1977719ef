"""Documents: files that people write, as opposed to records that travel on topics.

Owns the portfolio document of the offline margin calculator. It reuses the event contracts for terms, parameters and
marks, so that what ``crossmargin tail`` prints can be pasted into it.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from schemas.diagnosis import diagnose
from schemas.errors import Reason, SchemaError
from schemas.events.prices import MarkV1
from schemas.events.reference import CollateralAssetV1, InstrumentV1, RiskParametersV1
from schemas.fields import Decimal, Identifier, Micros, PositiveDecimal
from schemas.stated_portfolio import StatedPortfolioV2, decode_stated_portfolio

DOCUMENT_BYTES_MAX = 16_000_000


class PortfolioPositionV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A holding: signed ``quantity`` in contracts, bought or sold at ``entry_price`` on average. Holdings of a spot
    instrument are balances, not positions."""

    instrument: Identifier
    quantity: Decimal
    entry_price: PositiveDecimal


class PortfolioV1(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One portfolio and everything its margin depends on. ``time_us`` is the instant of valuation; funding counts as
    paid up to it."""

    v: Literal[1]
    account: Identifier
    time_us: Micros
    balances: dict[Identifier, Decimal]
    positions: tuple[PortfolioPositionV1, ...]
    instruments: tuple[InstrumentV1, ...]
    assets: tuple[CollateralAssetV1, ...]
    parameters: RiskParametersV1
    marks: tuple[MarkV1, ...]


DOCUMENTS = {"portfolio": PortfolioV1, "stated_portfolio": StatedPortfolioV2}
"""Every document contract, by name."""

_PORTFOLIO = msgspec.json.Decoder(PortfolioV1)
_STATED = re.compile(rb'"v"\s*:\s*2\b')
"""What only a document of version 2 says of itself, or one broken so that either decoder refuses it."""


def decode_document(value: bytes) -> PortfolioV1 | StatedPortfolioV2:
    """The portfolio in ``value``, of the version that it states; raises ``SchemaError`` and nothing else."""
    if len(value) <= DOCUMENT_BYTES_MAX and _STATED.search(value):
        return decode_stated_portfolio(value)
    return decode_portfolio(value)


def decode_portfolio(value: bytes) -> PortfolioV1:
    """The portfolio in ``value``; raises ``SchemaError`` and nothing else."""
    if not value:
        raise SchemaError(Reason.EMPTY_VALUE, "", "an empty document")
    if len(value) > DOCUMENT_BYTES_MAX:
        raise SchemaError(Reason.TOO_LARGE, "", f"{len(value)} bytes, at most {DOCUMENT_BYTES_MAX}")
    try:
        return _PORTFOLIO.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise diagnose(error, value, PortfolioV1) from None
