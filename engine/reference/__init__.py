"""Reference data: what is traded, what is accepted as collateral, and the risk parameters in force."""
