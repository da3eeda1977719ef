"""Margin methods: named, versioned rule sets over shared primitives, applied to a stated portfolio."""
