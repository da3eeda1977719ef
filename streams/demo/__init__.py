"""The demonstration: six days of real prices, a population of accounts and the real workers, on embedded parts."""
