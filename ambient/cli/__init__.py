"""The command `ambient`. Every command takes `--json`; exit codes are in `ambient.cli.exits`."""

from ambient.cli.app import app, main

__all__ = ["app", "main"]
