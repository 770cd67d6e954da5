"""The daemon, wired: the only module that knows all the others. `twistd -n authbridge` starts here.

Listeners → front ends → authenticator → checkers; see ARCHITECTURE.md for the picture.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import syslog
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
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

from authbridge import config, rooms
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain, NamedChecker
from authbridge.checkers import Surroundings
from authbridge.config import Configuration
from authbridge.control import ControlFactory, Explainer
from authbridge.domain_names import ANY_DOMAIN
from authbridge.frontends.extauth import ConnectorFactory, ExtauthFrontEnd
from authbridge.frontends.http import HttpFrontEnd
from authbridge.frontends.http_server import HttpFactory
from authbridge.issuers import published
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.listeners import Listener
from authbridge.localparts import Localparts
from authbridge.log import EventLog, LineStream, LoginLog, Write, to_twisted
from authbridge.model import JID
from authbridge.rooms import Room
from authbridge.settings import ConfigurationError
from authbridge.turns import Turns
from authbridge.workers import Workers

HASHES_WAITING = 1000
"""Passwords that may wait to be hashed; at 30 ms each, more would not be done in time anyway."""
HTTP_SHARE, EXTAUTH_SHARE = 0.5, 0.25
"""Of the descriptors that the daemon may have, for the connections of each front end."""
LAST_LOGINS = 2.0
"""Seconds that logins under way have at a stop; ejabberd's are asked again at the next daemon."""

log = Logger()


@dataclass(frozen=True, slots=True)
class House:
    """What answers logins, without the listeners: the daemon's, and that of `--standalone`."""

    authenticator: Authenticator
    checkers: Mapping[str, NamedChecker]
    surroundings: Surroundings
    configuration: Configuration

    def start(self) -> None:
        """Let the work begin."""
        self.surroundings.workers.start()
        self.surroundings.issuers.start()

    def stop(self) -> None:
        """End it."""
        for stop in self.surroundings.at_stop:
            stop()
        self.surroundings.issuers.stop()
        self.surroundings.workers.stop()

    def extauth(self) -> ExtauthFrontEnd:
        """The front end of ejabberd."""
        return ExtauthFrontEnd(self.authenticator, self.configuration.extauth)

    def explainer(self) -> Explainer:
        """What `explain` asks."""
        configuration = self.configuration
        return Explainer(self.authenticator, configuration.extauth, configuration.deadline)


def build(configuration: Configuration, write: Write, reactor: Any) -> House:
    """Wire the checkers and the authenticator. `write` takes the lines of logins."""
    workers = Workers(reactor, threads=os.cpu_count() or 1, most_waiting=HASHES_WAITING)
    surroundings = Surroundings(
        reactor,
        workers,
        time.time,
        random.random,
        issuers=make_issuers(configuration, reactor),
        never_token=never_token(configuration),
    )
    checkers = {
        name: NamedChecker(
            name,
            settings.make(surroundings),
            turns=Turns(settings.at_once, settings.most_waiting),
            lookups=Turns(settings.at_once, settings.most_waiting),
        )
        for name, settings in configuration.checkers.items()
    }
    domains = {
        name: Domain(
            check=tuple(checkers[checker] for checker in settings.check),
            exists=settings.exists
            if isinstance(settings.exists, bool)
            else tuple(checkers[checker] for checker in settings.exists),
        )
        for name, settings in configuration.domains.items()
    }
    login_log = LoginLog(configuration.log, write, time.time)
    boot = os.urandom(2).hex()
    authenticator = Authenticator(domains, login_log, reactor, boot)
    return House(authenticator, checkers, surroundings, configuration)


def make_issuers(configuration: Configuration, reactor: Any) -> Issuers:
    """The issuers with their keys, of files or fetched."""
    found = []
    for settings in configuration.issuers.values():
        fetched = None
        if settings.jwks is not None:
            fetched = published.make(settings, settings.jwks, reactor, random.random)
        found.append(Issuer(settings, fetched))
    return Issuers(found, reactor.seconds)


def never_token(configuration: Configuration) -> Callable[[JID], bool]:
    """Whether a domain's `never` names a user."""
    everywhere = configuration.domains.get(ANY_DOMAIN)
    others = Localparts() if everywhere is None else everywhere.never
    never = {name: domain.never for name, domain in configuration.domains.items()}
    return lambda jid: jid.local in never.get(jid.domain, others)


def visit(configuration: Configuration, walk: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """Build a house for a command that asks something and ends, without a daemon."""
    from twisted.internet import reactor as installed
    from twisted.internet.task import react

    async def stay() -> None:
        house = build(configuration, lambda _line: None, installed)
        house.start()
        try:
            await walk(house)
        finally:
            house.stop()

    try:
        react(lambda _reactor: Deferred.fromCoroutine(stay()))
    except SystemExit as end:
        if end.code:
            raise


class Daemon(MultiService):
    """The service: opens the listeners, closes them, and lets logins under way end."""

    def __init__(
        self, house: House, reactor: Any, observer: Callable[[], ILogObserver | None] | None = None
    ) -> None:
        """`observer` makes the log's observer, for the application that takes this service in."""
        super().__init__()
        self._house = house
        self._reactor = reactor
        self._observer = observer
        self._ports: list[IListeningPort] = []
        self._connectors: list[Room] = []

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
        of_extauth, of_http = room_sizes(configuration)
        front_end = house.extauth()
        for listener in configuration.listen_extauth:
            room = Room(listener.text, self._reactor, *of_extauth)
            self._connectors.append(room)
            connectors = ConnectorFactory(front_end, configuration.extauth, self._reactor, room)
            self._listen(listener, connectors)
        http = HttpFrontEnd(
            house.authenticator, configuration.http, configuration.clients, socket.gethostname()
        )
        for listener in configuration.listen_http:
            room = Room(listener.text, self._reactor, *of_http)
            self._listen(listener, HttpFactory(http, self._reactor, room))
        control = ControlFactory(house.explainer())
        for listener in configuration.listen_control:
            self._listen(listener, control)

    def startService(self) -> None:
        """Let the work begin."""
        super().startService()
        self._house.start()

    def stopService(self) -> Deferred[None]:
        """Take no more, finish what is under way (for a moment), and end."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        idle = self._house.authenticator.idle().addTimeout(LAST_LOGINS, self._reactor)
        try:
            await idle
        except defer.TimeoutError:
            log.warn("stopping with logins under way")
            for room in self._connectors:
                room.close()  # whoever asked for ejabberd asks the next daemon again
            self._house.authenticator.end()
        await deferLater(self._reactor, 0)  # a turn of the reactor, to write the last answers
        self._house.stop()
        await maybeDeferred(super().stopService)

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


def room_sizes(configuration: Configuration) -> tuple[tuple[int, int], tuple[int, int]]:
    """Of the rooms of extauth's listeners, and of those of HTTP. What remains of the descriptors is
    the checkers'. SystemExit where those of HTTP do not fit."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    extauth, http = len(configuration.listen_extauth), len(configuration.listen_http)
    most, of_a_peer = configuration.http.connections, configuration.http.peer_connections
    try:
        of_http = rooms.sizes(descriptors, HTTP_SHARE, http, most, of_a_peer)
    except ValueError as error:
        raise SystemExit(f"authbridge: http.connections: {error}") from None
    return rooms.sizes(descriptors, EXTAUTH_SHARE, extauth, None, None), of_http


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
        return Daemon(build(configuration, to_twisted(log), reactor), reactor)
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

    return Daemon(build(configuration, write, reactor), reactor, observer)
