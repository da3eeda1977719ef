"""Books: exact integer state of accounts and of the market, and the rules by which events change it."""
