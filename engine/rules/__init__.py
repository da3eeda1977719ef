"""Margin rules whose arithmetic a venue fixes to the last digit: exact in, exact out, no arrays, no market data."""
