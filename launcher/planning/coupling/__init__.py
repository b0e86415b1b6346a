"""Layers and losses whose result depends on how the batch is split: what they are, and what a plan says of them."""
