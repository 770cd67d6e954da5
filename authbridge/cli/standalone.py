"""`authbridge-extauth --standalone --config FILE`: extauth served in this process, no daemon.

The first lines run before anything that could print is imported: fd 1 belongs to the answers.
"""

from __future__ import annotations

from authbridge.connector import keep_stdout

ANSWERS = keep_stdout()

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from twisted.logger import globalLogBeginner  # noqa: E402

from authbridge import config, tap, wiring  # noqa: E402
from authbridge.connector.report import Report  # noqa: E402
from authbridge.frontends.out_of_service import OutOfService  # noqa: E402
from authbridge.frontends.stdio import Pipe  # noqa: E402
from authbridge.log import EventLog, LineStream  # noqa: E402
from authbridge.settings import ConfigurationError  # noqa: E402

USAGE = "usage: authbridge-extauth --standalone --config FILE"


def main(arguments: list[str]) -> int:
    """Serve until the input ends, as soon as there is a configuration that can be used."""
    parser = argparse.ArgumentParser(prog="authbridge-extauth --standalone")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    path = None
    try:
        path = parser.parse_args(arguments).config
    except SystemExit as end:
        if not end.code:
            return 0  # --help
    try:
        house = build(path)
    except ConfigurationError as error:
        stand_by(path, error.mistakes)
    else:
        serve(house)
    return 0


def build(path: Path | None) -> wiring.House:
    """What answers. Raises ConfigurationError, whatever is wrong: we must not end of it."""
    from twisted.internet import reactor

    if path is None:
        raise ConfigurationError([USAGE])
    try:
        return wiring.build(
            config.load(path, listens=False, standalone=True), LineStream(2).write, reactor
        )
    except ConfigurationError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - somebody's own kind of checker
        # Anything may be in its message.
        raise ConfigurationError([f"{path} cannot be used: {type(error).__name__}"]) from None


def stand_by(path: Path | None, mistakes: tuple[str, ...]) -> None:
    """Answer without a configuration, and start anew when there is one that can be used.

    It is read again and again: what is wrong may be another file, or the mode of one.
    """
    tap.harden()  # there are passwords in these requests, too
    report = Report(time.monotonic, 2, "/dev/log")

    def say_why() -> None:  # when it begins, when it changes, and while requests are refused
        for mistake in mistakes:
            report.trouble(mistake)
        report.trouble("out of service: every request is refused until this is mended")

    def mended() -> bool:
        nonlocal mistakes
        try:
            build(path)
        except ConfigurationError as error:
            if error.mistakes != mistakes:
                mistakes = error.mistakes
                say_why()
            return False
        return True

    say_why()
    while OutOfService(0, ANSWERS, time.monotonic, say_why, mended).run():
        report.recovered(f"{path} can be used: starting to serve")
        try:
            start_anew()
        except OSError as error:
            report.trouble(f"{sys.executable} cannot be started: {error.strerror}")


def start_anew() -> None:
    """Become a new start of this program, in this process and with its descriptors: ejabberd sees
    nothing of it. Raises OSError."""
    os.dup2(ANSWERS, 1)
    try:
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves
    finally:
        os.dup2(2, 1)


def serve(house: wiring.House) -> None:
    """Serve until the input ends."""
    tap.harden()
    globalLogBeginner.beginLoggingTo(
        [EventLog(house.configuration.log, LineStream(2).write)],
        redirectStandardIO=False,
        discardBuffer=True,
    )
    reactor: Any = house.surroundings.reactor
    pipe = Pipe(house.extauth(), 0, ANSWERS, reactor)
    reactor.callWhenRunning(house.start)
    reactor.callWhenRunning(pipe.start)
    reactor.addSystemEventTrigger("during", "shutdown", house.stop)
    reactor.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
