"""The `authbridge` command: its subcommands and what they share.

Exit status: 0 success or accepted, 1 refused, 2 usage or configuration error, 3 unavailable.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys

from authbridge import __version__
from authbridge.settings import ConfigurationError

COMMANDS = ("run", "check_config", "explain", "password", "client")


def main(arguments: list[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="authbridge", description="The bridge between XMPP servers and user directories."
    )
    parser.add_argument("--version", action="version", version=f"authbridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"authbridge.cli.{name}").add_to(commands)
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.command(chosen)
    except ConfigurationError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        return 2
    return status
