"""Where the daemon listens: Twisted endpoint strings, judged before anything is opened."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions

from authbridge import server_tls
from authbridge.settings import Table, did_you_mean

LAST_PORT = 65535
WITH_PORT = ("tcp", "tcp6", "ssl")
KINDS = (*WITH_PORT, "unix", "systemd")
"""Of Twisted's and its plugins' there are more: with `tls` a listener would have Twisted's idea of
TLS and not ours, and with `haproxy` whoever calls could say where it calls from."""
BACKLOG = 1024
"""Connections with TLS that the system lets wait to be taken; Twisted's default, 50, is too few for
the minute after a restart, when everybody reconnects at once."""
LONGEST_SOCKET_PATH = 107
"""Octets that Linux takes as the path of a Unix socket (unix(7))."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One endpoint string of [listen]."""

    text: str
    kind: str
    """Its first word, one of `KINDS`."""
    path: Path | None
    """Of a Unix socket."""
    local: bool
    """Only programs of this machine reach it: a Unix socket or a loopback address."""
    tls: CertificateOptions | None = None
    """Of an "ssl" one."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of an "ssl" one, "port" among them."""

    def listen(self, reactor: Any, factory: Factory) -> Deferred[IListeningPort]:
        """Open it. A Unix socket is nobody else's until its mode is set."""
        if self.path is not None:
            remove_stale_lock(self.path)
        before = os.umask(0o077)
        try:
            opening: Deferred[IListeningPort] = self._endpoint(reactor).listen(factory)
            return opening
        finally:
            os.umask(before)

    def _endpoint(self, reactor: Any) -> Any:
        if self.tls is None:
            return serverFromString(reactor, self.text)
        port, backlog = int(self.options["port"]), int(self.options.get("backlog", BACKLOG))
        where = self.options.get("interface", "")
        return SSL4ServerEndpoint(reactor, port, self.tls, backlog, where)


def read_listeners(table: Table, setting: str) -> tuple[Listener, ...]:
    """The listeners of one front end; wrong ones are mistakes."""
    listeners = []
    for text in table.texts(setting, ()):
        try:
            listeners.append(parse(text))
        except ValueError as error:
            table.wrong(setting, f'"{text}": {error}')
    return tuple(listeners)


def parse(text: str) -> Listener:
    """One endpoint string. Raises ValueError."""
    kind, *rest = (re.sub(r"\\(.)", r"\1", part) for part in re.split(r"(?<!\\):", text))
    options = dict(part.split("=", 1) for part in rest if "=" in part)
    first = next((part for part in rest if "=" not in part), "")
    if kind not in KINDS:
        instead = "; with TLS it is ssl:" if kind == "tls" else did_you_mean(kind, KINDS)
        raise ValueError(f'there is no kind of listener "{kind}"{instead}')
    tls = None
    if kind == "ssl":
        options.setdefault("port", first)
        tls = server_tls.make_context(options)
    try:
        serverFromString(cast("Any", None), text)  # an endpoint keeps its reactor for later
    except Exception as error:  # noqa: BLE001 - each kind has a parser of its own, and its own errors
        raise ValueError(f"is no endpoint such as tcp:9281 or unix:/path ({error})") from None
    if kind != "unix":
        port = options.get("port", first)
        if kind in WITH_PORT and not (port.isdecimal() and int(port) <= LAST_PORT):
            raise ValueError(f"a port is a number up to {LAST_PORT}")
        local = _is_loopback(options.get("interface", ""))
        return Listener(text, kind, None, local, tls, options if kind == "ssl" else {})
    path = Path(options.get("address", first))
    if not path.is_absolute() or path.is_dir():
        raise ValueError("a socket's path begins with / and is no folder")
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(f"a socket's path has at most {LONGEST_SOCKET_PATH} octets")
    return Listener(text, kind, path, local=True)


def _is_loopback(interface: str) -> bool:
    try:
        return ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


def remove_stale_lock(path: Path) -> None:
    """Remove the lock of a daemon that was killed, if nobody answers at its socket.

    Twisted's lock names a process id; after a kill -9 another process may have that id (in a
    container it is always 1), and the lock would look alive for ever.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return  # whatever it is, it is not ours to remove
    except FileNotFoundError:
        lock.unlink(missing_ok=True)
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            lock.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        except OSError:
            pass  # somebody is at it: Twisted will say so
