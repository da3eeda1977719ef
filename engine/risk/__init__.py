"""Risk: scenario revaluation, equity, requirements. Stateless; knows portfolios and markets, not books."""
