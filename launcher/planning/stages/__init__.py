"""Runs whose batch or sequence length changes on the way."""
