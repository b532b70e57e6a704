"""Measures ringback against the floor: `python -m tests.bench`."""
