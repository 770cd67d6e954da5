"""The daemon, wired: the only module that knows all the others. `twistd -n authbridge` starts here.

Listeners → front ends → authenticator → checkers; see ARCHITECTURE.md for the picture.
"""

from __future__ import annotations

import resource
import socket
import syslog
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import defer
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from authbridge import config, rooms, wiring
from authbridge.config import Configuration
from authbridge.control import ControlFactory
from authbridge.frontends.extauth import ConnectorFactory
from authbridge.frontends.http import HttpFrontEnd, HttpSettings
from authbridge.frontends.http_factory import HttpFactory
from authbridge.frontends.web import WebSettings
from authbridge.listeners import Listener
from authbridge.log import EventLog, LineStream, Write, to_twisted
from authbridge.rooms import Room
from authbridge.settings import ConfigurationError

HTTP_SHARE, EXTAUTH_SHARE = 0.5, 0.25
"""Of the descriptors that the daemon may have, for the connections of the front ends; those of
programs and of browsers share the first by their listeners."""
LAST_LOGINS = 2.0
"""Seconds that logins under way have at a stop; ejabberd's are asked again at the next daemon."""

log = Logger()


class Daemon(MultiService):
    """The service: opens the listeners, closes them, and lets logins under way end."""

    def __init__(
        self,
        house: wiring.House,
        reactor: Any,
        observer: Callable[[], ILogObserver | None] | None = None,
    ) -> None:
        """`observer` makes the log's observer, for the application that takes this service in."""
        super().__init__()
        self._house = house
        self._reactor = reactor
        self._observer = observer
        self._ports: list[IListeningPort] = []
        self._connectors: list[Room] = []
        self._http: HttpFrontEnd | None = None

    def setServiceParent(self, parent: Any) -> None:
        """twistd takes its log's observer from the application; ours knows what not to write."""
        if self._observer is not None and isinstance(parent, Componentized):
            observer = self._observer()
            if observer is not None:
                parent.setComponent(ILogObserver, observer)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the listeners, while there may still be the right to. SystemExit where one cannot
        be opened: a daemon that serves half of what it should is found out too late."""
        super().privilegedStartService()
        configuration, house = self._house.configuration, self._house
        of_extauth, of_http, of_web = room_sizes(configuration)
        front_end = house.extauth()
        for listener in configuration.listen_extauth:
            room = Room(listener.text, self._reactor, *of_extauth)
            self._connectors.append(room)
            connectors = ConnectorFactory(front_end, configuration.extauth, self._reactor, room)
            self._listen(listener, connectors)
        self._http = http = house.http(socket.gethostname())
        for listener in configuration.listen_http:
            room = Room(listener.text, self._reactor, *of_http)
            self._listen(listener, HttpFactory(http, self._reactor, room))
        web = house.web()
        for listener in configuration.listen_web:
            room = Room(listener.text, self._reactor, *of_web)
            self._listen(listener, HttpFactory(web, self._reactor, room))
        control = ControlFactory(house.explainer(), house.office)
        for listener in configuration.listen_control:
            self._listen(listener, control)

    def startService(self) -> None:
        """Let the work begin."""
        super().startService()
        self._house.open_state()
        self._house.start()

    def stopService(self) -> Deferred[None]:
        """Take no more, finish what is under way (for a moment), and end."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        idle = Deferred.fromCoroutine(self._idle()).addTimeout(LAST_LOGINS, self._reactor)
        try:
            await idle
        except defer.TimeoutError:
            log.warn("stopping with logins under way")
            for room in self._connectors:
                room.close()  # whoever asked for ejabberd asks the next daemon again
            self._house.authenticator.logins.end()
            if self._http is not None:
                self._http.end()
        if self._house.prebind is not None:
            ended = Deferred.fromCoroutine(self._house.prebind.ended())
            ended.addTimeout(LAST_LOGINS, self._reactor)
            await ended.addErrback(lambda failure: failure.trap(defer.TimeoutError))
        for _ in range(2):  # the first is a moment of this turn of the reactor
            await deferLater(self._reactor, 0)  # to write the last answers
        self._house.stop()
        await maybeDeferred(super().stopService)

    async def _idle(self) -> None:
        """Nothing is under way any more."""
        await self._house.authenticator.logins.idle()
        if self._http is not None:
            await self._http.idle()

    def _listen(self, listener: Listener, factory: Factory[Any]) -> None:
        failures: list[Failure] = []
        # Every kind of endpoint of [listen] opens at once, or fails at once.
        listener.listen(self._reactor, factory).addCallbacks(self._ports.append, failures.append)
        if failures:
            error: Any = failures[0].value
            cause = getattr(error, "socketError", error)
            why = getattr(cause, "strerror", None) or str(cause)
            if why == "Cannot acquire lock":  # Twisted's word for it
                why = "another daemon listens there"
            raise SystemExit(f"authbridge: cannot listen on {listener.text}: {why}")
        log.info("listening on {listener}", listener=listener.text)


Size = tuple[int, int]


def room_sizes(configuration: Configuration) -> tuple[Size, Size, Size]:
    """Of the rooms of extauth's listeners, of those of HTTP, and of those for browsers. What
    remains of the descriptors is the checkers'. SystemExit where they do not fit."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    extauth = len(configuration.listen_extauth)
    http, web = len(configuration.listen_http), len(configuration.listen_web)

    def size(name: str, listeners: int, limits: HttpSettings | WebSettings) -> Size:
        share = HTTP_SHARE * listeners / max(1, http + web)
        most, of_a_peer = limits.connections, limits.peer_connections
        try:
            return rooms.sizes(descriptors, share, listeners, most, of_a_peer)
        except ValueError as error:
            raise SystemExit(f"authbridge: {name}.connections: {error}") from None

    return (
        rooms.sizes(descriptors, EXTAUTH_SHARE, extauth, None, None),
        size("http", http, configuration.http),
        size("web", web, configuration.web),
    )


def harden() -> None:
    """No core file with passwords in it; as many connections as the system lets us have."""
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except OSError as error:  # a sandbox that has set its own
        log.warn("limits stay as they are: {error}", error=error.strerror)


def file_writer(name: str) -> Write:
    """Writes lines to a file of Twisted's, which begins a new one when it has grown."""
    file = LogFile.fromFullPath(name)

    def write(line: str) -> None:
        try:
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        except OSError:
            pass  # a full disk: there is nowhere to say so, and nobody is kept out for it

    return write


class Options(usage.Options):
    """The flags of `twistd authbridge`, behind those of twistd itself."""

    optParameters = [["config", "c", "/etc/authbridge/authbridge.toml", "The configuration file."]]


def makeService(options: Options) -> Daemon:
    """The service for twistd. Its log goes where twistd's flags send it, in [log]'s format."""
    from twisted.internet import reactor

    try:
        configuration = config.load(Path(options["config"]))
    except ConfigurationError as error:
        raise SystemExit("\n".join(error.mistakes)) from None
    harden()
    twistd: Any = options.parent or {}
    if twistd.get("logger"):  # somebody's own observer: what it writes is its own affair
        return Daemon(wiring.build(configuration, to_twisted(log), reactor), reactor)
    # Opened when twistd opens its own: behind the fork, as the user that it changes to.
    opened: list[Write] = []

    def write(line: str) -> None:
        opened[0](line)

    def observer() -> ILogObserver:
        if twistd.get("syslog"):
            syslog.openlog(twistd.get("prefix") or "authbridge", 0, syslog.LOG_DAEMON)
            opened.append(syslog.syslog)
            return EventLog(configuration.log, write)
        name = twistd.get("logfile") or ("-" if twistd.get("nodaemon") else "twistd.log")
        opened.append(LineStream(1).write if name == "-" else file_writer(name))
        return EventLog(configuration.log, write)

    return Daemon(wiring.build(configuration, write, reactor), reactor, observer)
