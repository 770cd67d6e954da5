"""The account that searches, and how it is kept from being locked."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Policy
from authbridge.ldap.server import Server
from authbridge.model import Reason
from authbridge.secret import Secret
from authbridge.settings import private_file_trouble

REFUSED_REST = 1800.0
"""Seconds until a server that refuses the service account, which others accept, is asked again: by
then most directories have forgotten the wrong password that they took it for."""

log = Logger()


class ServiceAccount:
    """The account that searches. Refused once, it is not tried again before its password file
    changes: a few wrong passwords lock an account, and everybody out with it. Of several servers,
    one that refuses what was accepted before is left out by itself; a second one is the account's
    refusal."""

    def __init__(self, dn: str, password_file: Path, clock: IReactorTime) -> None:
        self.dn = dn
        self.file = password_file
        self.places: set[object] = set()
        """Where it is used: servers, and services that stand for any number of them."""
        self._clock = clock
        self._turn = DeferredLock()
        self._turns: dict[Server, DeferredLock] = {}
        self._known: Secret | None = None
        """The password that all of the following is about."""
        self._refusal = ""
        self._accepted = False
        self._doubting: set[Server] = set()  # who has refused it since it was accepted last
        self._resting: dict[Server, tuple[float, str]] = {}
        self._warned = ""

    def password(self, server: Server) -> Secret:
        """What is in the file now. Raises Fault where that was refused, or cannot be read."""
        trouble = private_file_trouble(self.file)
        if trouble is None:
            try:
                octets = self.file.read_bytes()
            except OSError as error:
                trouble = f"{self.file}: {error.strerror}"
            else:
                octets = octets.removesuffix(b"\n").removesuffix(b"\r")
                trouble = None if octets.strip() else f"{self.file} is empty"
        if trouble is not None:
            raise Fault(Reason.SERVICE_ACCOUNT_REFUSED, trouble)
        # By its content: a file that was only touched holds the same wrong password.
        if self._known is None or not self._known.matches(octets):
            return Secret(octets)
        if self._refusal:
            raise Fault(Reason.SERVICE_ACCOUNT_REFUSED, self._refusal)
        since, words = self._resting.get(server, (0.0, ""))
        if words and self._clock.seconds() - since < REFUSED_REST:
            raise Fault(Reason.SERVICE_ACCOUNT_REFUSED, words)
        return self._known

    async def turn(self, server: Server) -> DeferredLock:
        """A turn to bind there, to be released: one after the other, so that one is refused and no
        more. As long as nobody has accepted the password, one for all servers."""
        while True:
            turn = self._turn_now(server)
            await turn.acquire()
            if turn is self._turn_now(server):
                return turn
            turn.release()  # there is another password in the file meanwhile

    def _turn_now(self, server: Server) -> DeferredLock:
        try:
            accepted = self._accepted and self.password(server) is self._known
        except Fault:
            accepted = False
        return self._turns.setdefault(server, DeferredLock()) if accepted else self._turn

    def warn(self, server: Server, policy: Policy | None) -> None:
        """Say it, once, where the account is let in and will not be for long."""
        words = "" if policy is None else policy.words
        kind = re.sub(r"\d+", "", words)  # seconds that are left are no news
        if words and kind != self._warned:
            log.warn(
                "directory: {server} on the service account {dn}: {words}",
                server=server, dn=self.dn, words=words,
            )  # fmt: skip
        self._warned = kind

    def accept(self, server: Server, password: Secret) -> None:
        """It is let in there."""
        self._take(password)
        self._accepted = True
        self._doubting.clear()
        self._resting.pop(server, None)

    def refuse(self, server: Server, password: Secret, said: str) -> Fault:
        """It was refused. `said`: in what words."""
        self._take(password)
        words = f"{server} refuses bind_dn and its password: {said}"
        self._doubting.add(server)
        if self._accepted and len(self._doubting) == 1 and self.places != {server}:
            words += (
                f"; they have been accepted before, so that it is left out for "
                f"{REFUSED_REST / 60:.0f} minutes"
            )
            self._resting[server] = (self._clock.seconds(), words)
        else:
            words += (
                f"; the service account {self.dn} is not tried again before {self.file} changes "
                "or the daemon is restarted"
            )
            self._refusal = words
        return Fault(Reason.SERVICE_ACCOUNT_REFUSED, words)

    def _take(self, password: Secret) -> None:
        """What is known is about this password from now on."""
        if self._known is None or not self._known.matches(password.reveal()):
            self._known, self._refusal, self._accepted = password, "", False
            self._doubting.clear()
            self._resting.clear()
