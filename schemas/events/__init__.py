"""One module per topic; every contract is a frozen, closed (no unknown fields) msgspec struct with version field v."""
