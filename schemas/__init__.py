"""Event contracts: what travels on every topic, and the SQL that stores it. Knows neither Faust nor the engine."""
