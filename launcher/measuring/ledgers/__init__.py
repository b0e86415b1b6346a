"""Ledgers of the catalog, measured from real modules: `python -m launcher.measuring.ledgers`."""
