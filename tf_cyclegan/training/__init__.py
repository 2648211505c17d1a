"""Runs: how they start, go on, are measured and end."""
