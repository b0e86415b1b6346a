"""Engines: a plan becomes native files and commands. Pure; found through the entry point group launcher.engines."""
