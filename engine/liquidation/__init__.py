"""Liquidation: where an account stands, what to close, and the life of the commands that close it."""
