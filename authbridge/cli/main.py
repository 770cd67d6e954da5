"""The `authbridge` command: its subcommands and what they share.

Exit status: 0 success or accepted, 1 refused, 2 usage or configuration error, 3 unavailable.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from typing import NoReturn

from authbridge import __version__
from authbridge.cli.shared import print_json
from authbridge.settings import ConfigurationError

COMMANDS = ("run", "check_config", "explain", "password", "client", "token", "key")


def main(arguments: list[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal cannot show is no failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else arguments

    class Parser(argparse.ArgumentParser):
        """Says what is wrong with the arguments in JSON, too."""

        def error(self, message: str) -> NoReturn:
            if "--json" in given and given[0] != "run":  # whose --json is about its log
                print_json({"mistakes": [message]})
                raise SystemExit(2)
            super().error(message)

    parser = Parser(
        prog="authbridge", description="The bridge between XMPP servers and user directories."
    )
    parser.add_argument("--version", action="version", version=f"authbridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name in COMMANDS:
        importlib.import_module(f"authbridge.cli.{name}").add_to(commands)
    chosen = parser.parse_args(given)
    try:
        status: int = chosen.command(chosen)
    except ConfigurationError as error:
        if getattr(chosen, "json", False):
            print_json({"mistakes": error.mistakes})
        else:
            print("\n".join(error.mistakes), file=sys.stderr)
        return 2
    return status
