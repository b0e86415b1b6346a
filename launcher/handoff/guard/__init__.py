"""Looks after the ranks while they run: late, slow, stopped."""
