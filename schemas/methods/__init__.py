"""Margin methods: one TOML file each; ``streams.margin_methods`` reads them."""
