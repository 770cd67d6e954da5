"""`authbridge-extauth --standalone --config FILE`: extauth served in this process, no daemon.

The first lines run before anything that could print is imported: fd 1 belongs to the answers.
"""

from __future__ import annotations

import os

ANSWERS = os.dup(1)
os.dup2(2, 1)

import argparse  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from twisted.logger import globalLogBeginner  # noqa: E402

from authbridge import config, tap  # noqa: E402
from authbridge.connector import Connector  # noqa: E402
from authbridge.connector.report import Report  # noqa: E402
from authbridge.frontends.stdio import Pipe  # noqa: E402
from authbridge.log import EventLog, LineStream  # noqa: E402
from authbridge.settings import ConfigurationError  # noqa: E402


def main(arguments: list[str]) -> int:
    """Serve until the input ends; with a configuration that cannot be used, refuse until then."""
    parser = argparse.ArgumentParser(prog="authbridge-extauth --standalone")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    try:
        configuration = config.load(parser.parse_args(arguments).config)
    except ConfigurationError as error:
        return out_of_service("\n".join(error.mistakes))
    except SystemExit as end:
        if end.code == 0:
            return 0  # --help
        return out_of_service("the arguments are wrong")
    tap.harden()
    write = LineStream(2).write
    globalLogBeginner.beginLoggingTo(
        [EventLog(configuration.log, write)], redirectStandardIO=False, discardBuffer=True
    )
    from twisted.internet import reactor as installed

    reactor: Any = installed
    house = tap.build(configuration, write, reactor)
    pipe = Pipe(house.extauth(), 0, ANSWERS, reactor)
    reactor.callWhenRunning(house.start)
    reactor.callWhenRunning(pipe.start)
    reactor.addSystemEventTrigger("during", "shutdown", house.stop)
    reactor.run()
    return 0


def out_of_service(why: str) -> int:
    """Answer every request as an outage is answered: who ends at once is not started again."""
    report = Report(time.monotonic, 2, "/dev/log")
    for line in why.splitlines():
        report.trouble(line)
    Connector(None, 0, ANSWERS, report, time.monotonic).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
