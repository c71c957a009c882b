"""Measures Persistence against hand-written SQL and against its peers: `python -m bench`."""
