"""`authbridge run`: the daemon in the foreground, for systemd, containers and a first try."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.logger import globalLogBeginner

from authbridge import config, tap, wiring
from authbridge.log import EventLog, LineStream


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("run", help="run the daemon in the foreground, log to stderr")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--json", action="store_true", dest="json_log", help="log in JSON, whatever [log] says"
    )
    parser.set_defaults(command=run)


def run(chosen: argparse.Namespace) -> int:
    """Run until a signal ends it."""
    configuration = config.load(chosen.config)
    if chosen.json_log:
        configuration = replace(configuration, log=replace(configuration.log, json=True))
    tap.harden()
    write = LineStream(2).write
    globalLogBeginner.beginLoggingTo(
        [EventLog(configuration.log, write)], redirectStandardIO=False, discardBuffer=True
    )
    from twisted.internet import reactor as installed  # importing it is installing it

    reactor: Any = installed
    house = wiring.build(configuration, write, reactor)
    daemon = tap.Daemon(house, reactor)
    try:
        daemon.privilegedStartService()
        house.open_state()
    except SystemExit as stop:
        print(stop.code, file=sys.stderr)
        return 3
    reactor.callWhenRunning(daemon.startService)
    reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
    reactor.run()
    return 0
