"""What the daemon writes down: one line per login, and its own events; text or JSON, no secrets.

An exception's message may hold what it choked on, so a failure is written as its type and the
frames of its traceback, never its message, wherever in the process it was raised.
"""

from __future__ import annotations

import json
import os
import select
import stat
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twisted.logger import ILogObserver, Logger, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from authbridge.model import Outcome, Reason, Verdict
from authbridge.settings import Table

Write = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]"""

    json: bool = False
    """JSON lines instead of text."""
    logins: str = "all"
    """Which logins get a line: "all" or "refused" (whatever was not accepted)."""

    @classmethod
    def read(cls, table: Table) -> LogSettings:
        """Read the table, and close it."""
        settings = cls(
            json=table.choice("format", ("text", "json"), "text") == "json",
            logins=table.choice("logins", ("all", "refused"), "all"),
        )
        table.close()
        return settings


class LineStream:
    """Lines to a descriptor, without waiting for who reads it.

    A log that nobody reads must not keep anybody out: what a pipe does not take at once is left
    out, and the next line that it takes is preceded by how many there were.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lost = 0
        self._poll: select.poll | None = None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: str) -> None:
        """Write one line. Never raises, never waits."""
        octets = line.encode("utf-8", "backslashreplace") + b"\n"
        if self._lost:
            octets = b"%d lines of the log were lost here\n" % self._lost + octets
        try:
            if self._poll is None:
                os.write(self._descriptor, octets)
            elif not self._write_to_pipe(self._poll, octets):
                self._lost += 1
                return
        except OSError:  # a full disk, or a reader that went away
            self._lost += 1
        else:
            self._lost = 0

    def _write_to_pipe(self, poll: select.poll, octets: bytes) -> bool:
        # A pipe that is ready takes that many at once (POSIX, write).
        for at in range(0, len(octets), select.PIPE_BUF):
            if not poll.poll(0):
                return False
            os.write(self._descriptor, octets[at : at + select.PIPE_BUF])
        return True


class Stamp:
    """Moments as RFC 3339 in UTC, the part down to the second made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, seconds: float) -> str:
        """This moment, in seconds since the epoch, to the millisecond."""
        whole = int(seconds)
        if whole != self._second:
            self._second = whole
            self._text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._text}.{int((seconds - whole) * 1000):03d}Z"


_CHANGES = (Reason.PASSWORD_CHANGED, Reason.USER_REGISTERED)


class LoginLog:
    """One line for each login: its id, who asked for what about whom, who decided what and why."""

    def __init__(self, settings: LogSettings, write: Write, wall: Callable[[], float]) -> None:
        """`write` takes one line without its newline; `wall` gives seconds since the epoch."""
        self._json = settings.json
        self._only_refused = settings.logins == "refused"
        self._write = write
        self._wall = wall
        self._stamp = Stamp()

    def wants(self, outcome: Outcome) -> bool:
        """Whether a login with this outcome gets a line. A change always does."""
        return (
            not self._only_refused
            or outcome.verdict is not Verdict.ACCEPTED
            or outcome.reason in _CHANGES
        )

    def line(
        self,
        number: str,
        caller: str,
        front_end: str,
        operation: str,
        jid: str,
        checker: str,
        outcome: Outcome,
        seconds: float,
        address: str = "",
    ) -> None:
        """Write the line of one login. `jid` is a prepared one, or "-"; `caller` a client's name
        or an address, or empty; `address` that of the user's client, or empty."""
        when = self._stamp.text(self._wall())
        # .value is a property call on an enum; _value_ is the same as an attribute.
        verdict, reason = outcome.verdict._value_, outcome.reason._value_
        if self._json:
            line = json.dumps(
                {
                    "time": when,
                    "event": "login",
                    "id": number,
                    "front_end": front_end,
                    "operation": operation,
                    "jid": jid,
                    "checker": checker,
                    "verdict": verdict,
                    "reason": reason,
                    "ms": round(seconds * 1000, 2),
                }
                | ({"caller": caller} if caller else {})
                | ({"address": address} if address else {})
                | ({"signer": outcome.signer} if outcome.signer else {})
            )
        else:
            line = (
                f"{when} login id={number} front_end={front_end} operation={operation} jid={jid} "
                f"checker={checker} verdict={verdict} reason={reason} "
                f"ms={seconds * 1000:.2f}"
            )
            if caller:
                line += f" caller={caller}"
            if address:
                line += f" address={address}"
            if outcome.signer:
                line += f" signer={outcome.signer}"
        self._write(line)

    def token(
        self, number: str, operation: str, outcome: Outcome, facts: Mapping[str, str]
    ) -> None:
        """Write the line of what was done, or not done, with tokens: who, for whom, which. All of
        `facts` is printable and without blanks."""
        told = {
            "id": number,
            "operation": operation,
            "verdict": outcome.verdict.value,
            "reason": outcome.reason.value,
            **facts,
        }
        when = self._stamp.text(self._wall())
        if self._json:
            self._write(json.dumps({"time": when, "event": "token", **told}))
        else:
            self._write(f"{when} token " + " ".join(f"{name}={told[name]}" for name in told))


@implementer(ILogObserver)
class EventLog:
    """Observer of Twisted's log: the daemon's own events, without what a failure may tell."""

    def __init__(self, settings: LogSettings, write: Write) -> None:
        """`write` takes one line (of text: several, where there is a traceback)."""
        self._json = settings.json
        self._write = write
        self._stamp = Stamp()

    def __call__(self, event: dict[str, Any]) -> None:
        """Write one event; those of level debug are Twisted's own chatter."""
        level = event.get("log_level", LogLevel.info)
        if level is LogLevel.debug:
            return
        namespace = event.get("log_namespace", "-")
        when = self._stamp.text(event.get("log_time", 0.0))
        text, frames = describe(event)
        if self._json:
            line: dict[str, object] = {
                "time": when,
                "event": "log",
                "level": level.name,
                "namespace": namespace,
                "text": text,
            }
            if frames:
                line["traceback"] = frames
            self._write(json.dumps(line))
        else:
            self._write("\n    ".join([f"{when} {level.name} [{namespace}] {text}", *frames]))


def describe(event: dict[str, Any]) -> tuple[str, list[str]]:
    """An event's text, and the frames of its failure, if it has one."""
    failure: Failure | None = event.get("log_failure")
    text = event.get("log_format") or "failure"
    if failure is None:
        failure = event.get("failure")  # of twisted.python.log.err; the message is in its text
        text = event.get("why") or "unhandled error"
    if failure is None:
        return formatEvent(event).replace("\n", " "), []
    # Without what would be filled in: it may come from the failure.
    return f"{text}: {describe_type(failure.type)}", describe_frames(failure)


def describe_type(kind: type[BaseException] | None) -> str:
    """The name of an exception's class, with its module."""
    return "unknown" if kind is None else f"{kind.__module__}.{kind.__qualname__}"


def describe_frames(failure: Failure) -> list[str]:
    """Where it was raised: file, line, function and source, without any value."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(failure.getTracebackObject())
    ]


def to_twisted(logger: Logger) -> Write:
    """Login lines as events, for who logs through twistd's own --syslog or --logger."""
    return lambda line: logger.info("{line}", line=line)
