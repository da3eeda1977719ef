"""The last layer: a loss that nobody is left to pay is taken from those who won, or from withdrawals.

Owns the split by profit or by position and the charge on withdrawals. Refuses to know who won: bases are inputs. The
sources of the rules are named in ``engine.rules.shortfall``; here they become exact amounts to book.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from engine.errors import InvalidReference
from engine.rules.shortfall import socialized_loss
from engine.units import E8, PPM
from engine.waterfall.apportionment import up_to_capacity


@dataclass(frozen=True, slots=True)
class LossShares:
    """Who bears what, by account, and what is left: together exactly the loss."""

    parts_e8: tuple[tuple[str, int], ...]
    remaining_e8: int


@dataclass(frozen=True, slots=True)
class WithdrawalCharge:
    """A withdrawal while a shortfall is carried: ``charge_e8`` + ``received_e8`` is exactly what was asked."""

    factor: Fraction
    charge_e8: int
    received_e8: int


def share_loss(loss_e8: int, bases_e8: Mapping[str, int], max_share_ppm: int = PPM) -> LossShares:
    """Haircut of bases (unrealized profits of winners, or positions by value) in proportion, exact.

    Nobody loses more than ``max_share_ppm`` of its base, rounded down; bases of zero or less bear nothing. Does not
    depend on the order of the accounts.
    """
    if loss_e8 < 0 or not 0 <= max_share_ppm <= PPM:
        raise InvalidReference("loss", "a loss is not negative, a share at most one")
    accounts = sorted(account for account, base in bases_e8.items() if base > 0)
    bases = [bases_e8[account] for account in accounts]
    parts = up_to_capacity(loss_e8, bases, [base * max_share_ppm // PPM for base in bases])
    shared = tuple((account, part) for account, part in zip(accounts, parts, strict=True) if part)
    return LossShares(shared, loss_e8 - sum(parts))


def withdrawal_charge(
    fund_e8: int, total_balance_e8: int, debts_e8: Mapping[str, int], withdrawal_e8: int
) -> WithdrawalCharge:
    """Charge on a withdrawal while bankrupt accounts owe (``debts_e8``, at least zero) more than the fund holds.

    The factor is that of ``engine.rules.shortfall.socialized_loss``; the charge is rounded up, for those who stay.
    """
    if any(debt < 0 for debt in debts_e8.values()):
        raise InvalidReference("debts", "must not be negative")
    rule = socialized_loss(
        Fraction(fund_e8, E8),
        Fraction(total_balance_e8, E8),
        [Fraction(-debt, E8) for debt in debts_e8.values()],
        Fraction(withdrawal_e8, E8),
    )
    charge = (rule.charge * E8).__ceil__()
    return WithdrawalCharge(rule.factor, charge, withdrawal_e8 - charge)
