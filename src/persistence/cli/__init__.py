"""The command line program: what the library does, from a shell."""

from persistence.cli.main import main

__all__ = ["main"]
