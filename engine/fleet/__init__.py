"""The fleet: all accounts of a partition that are being closed at once, and what they mean for one another."""
