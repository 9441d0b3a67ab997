"""The command line. `main` is the entry point; one file a group of commands, heavy imports inside the commands."""

from marketplace.cli.root import main

__all__ = ["main"]
