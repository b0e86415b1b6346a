"""Hosts examined before a job is started on them."""
