"""Row arrays: what one unit of every instrument and asset is worth, gains and loses, in arrays a kernel can take.

Owns the layout. Refuses to say how rows come about (``revaluation``, ``live_rows``) and who holds them (``verdicts``).

Rows are numbered by whoever made the arrays: axis I runs over instruments, C over assets, S over scenarios, and one
more element of length 1 carries what is the same for all. Money is in numeraire, per contract or per unit of asset.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.pricing.axes import Bools, Floats, Ints

NO_UNDERLYING = -1


class RowArrays(NamedTuple):
    """One entry per instrument, then one per asset; rows that are not ``priced`` hold numbers without meaning.

    ``value_I`` and ``pnl_IS`` are value and weighted scenario PnL of one contract, so a contract that counts k times
    is worth ``value + k pnl`` at weight k. ``settlement_pnl_IS`` is the PnL of one unit of the settlement asset where
    that moves with the instrument's underlying (``settlement_moves_I``), else 0. ``underlying_I`` and ``underlying_C``
    are ranks in the sorted list of underlyings, -1 for none with parameters. ``option_group_I`` numbers (underlying,
    expiry, strike, kind); -1 for everything but options. ``settlement_asset_I`` is an asset number, -1 where unknown.
    ``minimum_*_I`` are short-option rates per index value, 0 without parameters. ``counted_C`` is the share of a
    positive balance that counts. ``maintenance_factor`` has one element.
    """

    value_I: Floats
    pnl_IS: Floats
    settlement_pnl_IS: Floats
    settlement_moves_I: Bools
    underlying_I: Ints
    option_I: Bools
    option_group_I: Ints
    multiplier_I: Floats
    index_price_I: Floats
    settlement_price_I: Floats
    settlement_asset_I: Ints
    funding_multiplier_I: Floats
    funding_index_e12_I: Ints
    minimum_initial_I: Floats
    minimum_maintenance_I: Floats
    priced_I: Bools
    price_C: Floats
    counted_C: Floats
    pnl_CS: Floats
    underlying_C: Ints
    priced_C: Bools
    maintenance_factor: Floats
