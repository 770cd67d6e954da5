"""People who connect to the XMPP servers of a test."""

from pathlib import Path
from typing import Protocol

from . import people
from .xmpp import SESSION, Client


class Server(Protocol):
    """What a visitor has to know of an XMPP server."""

    port: int


class Visitors:
    """Opens connections, and closes them all at the end of the test."""

    def __init__(self, ca: Path) -> None:
        self._ca = ca
        self._clients: list[Client] = []

    def connect(self, server: Server, domain: str) -> Client:
        """A connection under TLS on which nobody has logged in yet."""
        client = Client(server.port, domain, self._ca)
        self._clients.append(client)
        return client

    def login(
        self, server: Server, jid: str, password: bytes | None = None, authzid: str = ""
    ) -> str:
        """One login on a connection of its own, and its outcome; by default with his password."""
        local, _, domain = jid.partition("@")
        with self.connect(server, domain) as client:
            octets = people.password(jid) if password is None else password
            return client.login(local.encode(), octets, authzid.encode())

    def enter(self, server: Server, jid: str, password: bytes | None = None) -> Client:
        """A client logged in with a resource bound and presence sent."""
        local, _, domain = jid.partition("@")
        client = self.connect(server, domain)
        octets = people.password(jid) if password is None else password
        assert client.login(local.encode(), octets) == SESSION
        client.bind()
        client.presence()
        return client

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            client.close()
