"""A stand-in for LLDAP, which no distribution has a package of: what its LDAP side answers, read
from its source (0.6.3, crates/ldap), where that is other than slapd's.

Everybody may log in. One account searches, and gives passwords; others see themselves alone.
"""

import re
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .ldap_messages import (
    BIND_REQUEST,
    BIND_RESPONSE,
    EXTENDED_REQUEST,
    EXTENDED_RESPONSE,
    SEARCH_DONE,
    SEARCH_ENTRY,
    SEARCH_REQUEST,
    Message,
    _element,
    ber,
    message,
)
from .pki import Pki
from .ports import free_port

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
#: Who is in the groups lldap_strict_readonly and lldap_password_manager.
SERVICE = f"uid=authbridge,{PEOPLE}"

_ABANDON, _UNBIND = 0x50, 0x42
_SET_PASSWORD = b"1.3.6.1.4.1.4203.1.11.1"
#: One that nobody has asked for: of pages, with an empty cookie.
_PAGED = ber(
    0xA0, ber(0x30, ber(4, b"1.2.840.113556.1.4.319"), ber(4, b"\x30\x05\x02\x01\x00\x04\x00"))
)
_DN = re.compile(rf"(?:uid|cn) *= *([^,=]+) *, *{PEOPLE}".encode())

Attributes = Mapping[str, list[str]]


@dataclass
class User:
    """One of its users."""

    uid: str
    password: bytes
    groups: tuple[str, ...] = ()

    @property
    def dn(self) -> str:
        """Nothing is escaped in it."""
        return f"uid={self.uid},{PEOPLE}"

    @property
    def attributes(self) -> Attributes:
        """By names in lower case."""
        return {
            "objectclass": ["inetOrgPerson", "posixAccount", "mailAccount", "person"],
            "uid": [self.uid],
            "cn": [self.uid],
            "memberof": [f"cn={group},ou=groups,{BASE}" for group in self.groups],
        }


@dataclass
class Lldap:
    """The server; `running_lldap` runs one."""

    users: dict[str, User]
    scheme: str
    port: int = field(default_factory=free_port)
    #: The names of all binds.
    binds: list[str] = field(default_factory=list)
    #: Whether its database is away.
    broken: bool = False

    @property
    def url(self) -> str:
        """For `servers`."""
        return f"{self.scheme}://127.0.0.1:{self.port}"


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        content, end = _element(data, at)
        yield data[at], content
        at = end


def _matches(wanted: bytes, tag: int, attributes: Attributes) -> bool:
    """Whether a filter is met; ValueError for one that LLDAP does not know."""
    if tag in (0xA0, 0xA1):
        found = [_matches(content, one, attributes) for one, content in _elements(wanted)]
        return all(found) if tag == 0xA0 else any(found)
    if tag == 0xA2:
        ((one, content),) = _elements(wanted)
        return not _matches(content, one, attributes)
    if tag == 0x87:
        return bool(attributes.get(wanted.decode().lower()))
    if tag != 0xA3:
        raise ValueError("Unsupported user filter")
    (_, name), (_, value) = _elements(wanted)
    values = attributes.get(name.decode().lower(), [])
    return value.decode().lower() in (one.lower() for one in values)


class _Connection(socketserver.StreamRequestHandler):
    """One connection. A refused bind leaves whoever was bound before."""

    disable_nagle_algorithm = True
    lldap: ClassVar[Lldap]
    context: ClassVar[ssl.SSLContext | None]

    def setup(self) -> None:
        if self.context is not None:
            self.request = self.context.wrap_socket(self.request, server_side=True)
        self.bound: str | None = None
        super().setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def handle(self) -> None:
        while request := self._read():
            answer = {
                BIND_REQUEST: self._bind,
                SEARCH_REQUEST: self._search,
                EXTENDED_REQUEST: self._extended,
                _ABANDON: self._abandon,
            }.get(request.tag)
            if answer is None:
                return
            answer(request)

    def _read(self) -> Message | None:
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        size = head[1]
        if size >= 0x80:
            size = int.from_bytes(self.rfile.read(size & 0x7F), "big")
        content = self.rfile.read(size)
        number, at = _element(content)
        body, _ = _element(content, at)
        return Message(content, int.from_bytes(number, "big"), content[at], body)

    def _say(
        self, request: Message, tag: int, code: int, text: str = "", more: bytes = b""
    ) -> None:
        parts = (ber(10, bytes([code])), ber(4), ber(4, text.encode()))
        octets = message(request.number, tag, *parts)
        if more:  # controls stand behind the operation, in the same envelope
            content, _ = _element(octets)
            octets = ber(0x30, content, more)
        self.wfile.write(octets)

    def _bind(self, request: Message) -> None:
        (_, _), (_, name), (_, password) = _elements(request.content)
        self.lldap.binds.append(name.decode())
        found = _DN.fullmatch(name.lower())
        if not name:
            self._say(request, BIND_RESPONSE, 48, "Anonymous bind not allowed")
        elif found is None:
            self._say(request, BIND_RESPONSE, 64, f'Unexpected DN format. Got "{name.decode()}"')
        else:
            user = self.lldap.users.get(found[1].decode())
            right = user is not None and user.password == password
            if right and not self.lldap.broken:
                self.bound = found[1].decode()
                self._say(request, BIND_RESPONSE, 0)
            else:  # whatever it was
                self._say(request, BIND_RESPONSE, 49)

    def _search(self, request: Message) -> None:
        parts = list(_elements(request.content))
        base, scope = parts[0][1].decode().lower(), parts[1][1]
        (tag, wanted), (_, asked) = parts[6:]
        if not base:
            self._entry(request, "", {"vendorName": ["LLDAP"]})
        elif self.bound is None:
            return self._say(request, SEARCH_DONE, 50, "No user currently bound")
        else:
            below = [user for user in self.lldap.users.values() if user.dn == base]
            if base in (PEOPLE, BASE):
                below = list(self.lldap.users.values())
            if self.bound != "authbridge":
                below = [user for user in below if user.uid == self.bound]
            try:
                found = [user for user in below if _matches(wanted, tag, user.attributes)]
            except ValueError as error:
                return self._say(request, SEARCH_DONE, 53, f"{error}: {wanted!r}")
            if scope == b"\0" and not found:
                return self._say(request, SEARCH_DONE, 32)
            names = [name.decode() for _, name in _elements(asked)]
            for user in found:  # all of them: it has no ear for size limits
                known = user.attributes
                values = {name: known[name.lower()] for name in names if name.lower() in known}
                self._entry(request, user.dn, values)
        self._say(request, SEARCH_DONE, 0, more=_PAGED)

    def _entry(self, request: Message, dn: str, values: Attributes) -> None:
        """With attributes as they were asked for, those without a value too."""
        pairs = (
            ber(0x30, ber(4, name.encode()), ber(0x31, *(ber(4, one.encode()) for one in given)))
            for name, given in values.items()
        )
        self.wfile.write(
            message(request.number, SEARCH_ENTRY, ber(4, dn.encode()), ber(0x30, *pairs))
        )

    def _extended(self, request: Message) -> None:
        (_, name), *more = _elements(request.content)
        if name != _SET_PASSWORD:
            text = f"Unsupported extended operation: {name.decode()}"
            return self._say(request, EXTENDED_RESPONSE, 53, text)
        ((_, value),) = _elements(more[0][1])
        fields = dict(_elements(value))
        found = _DN.fullmatch(fields.get(0x80, b"").lower())
        user = None if found is None else self.lldap.users.get(found[1].decode())
        if self.bound not in ("authbridge", user and user.uid):
            self._say(request, EXTENDED_RESPONSE, 50, "cannot modify the password")
        elif user is None or self.lldap.broken:
            self._say(request, EXTENDED_RESPONSE, 80, "Error while changing the password")
        else:
            user.password = fields[0x82]
            self._say(request, EXTENDED_RESPONSE, 0)

    def _abandon(self, request: Message) -> None:
        self._say(request, EXTENDED_RESPONSE, 53, "Unsupported operation: Abandon")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever has ended a connection in the middle of it, or its handshake."""


@contextmanager
def running_lldap(users: list[User], pki: Pki | None) -> Iterator[Lldap]:
    """One that runs: under TLS with this certificate, or in clear."""
    context = None
    if pki is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.chain)
    lldap = Lldap({user.uid: user for user in users}, "ldap" if pki is None else "ldaps")
    handler = type("Connection", (_Connection,), {"lldap": lldap, "context": context})
    with _Server(("127.0.0.1", lldap.port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield lldap
        finally:
            server.shutdown()
            thread.join()
