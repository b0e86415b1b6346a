"""Executors: where a bundle runs. Pure; found through the entry point group launcher.executors."""
