"""Trust in prices: how far a mark may be off, and what that forbids. Refuses to act (``engine.liquidation``)."""
