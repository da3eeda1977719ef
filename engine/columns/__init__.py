"""Accounts as columns: the exact state of a million accounts in a few dozen arrays."""
