"""Pricing: stateless float64 kernels from marks to values. Knows contracts, not accounts."""
