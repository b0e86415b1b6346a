"""A run seen, read and ended from another terminal, by its folder."""
