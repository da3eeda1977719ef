"""Unwinding: which positions to close, and how much of each, so that a target is reached at least cost, with proof."""
