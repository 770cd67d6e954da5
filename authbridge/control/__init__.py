"""The control socket: our own commands ask the running daemon.

A JSON object on one line, answered by another; who may come is decided by the kernel's peer
credentials: root and the daemon's own user.

    {"command": "explain", "jid": "alice@example.org", "password": BASE64 or null}
    {"jid": …, "login": {…} or null, "exists": {…}}        what `explain` returns; "id" in both is
                                                           that of the request's line in the log
    {"command": "token-issue", "jid", "ttl": seconds or null, "uses": number or "any",
     "device": "…", "note": "…"}
    {"jid", "password", "expires_at", "id", "uses"}
    {"command": "token-list", "jid"}
    {"jid", "tokens": [{…}, …]}
    {"command": "token-revoke", "id"}, or "jid", or "issuer" and "jti", or "issuer" and "before":
    seconds since the epoch or null, or "token": BASE64 and "jid": whose it is, or null
    {"revoked": how many; null where they are not counted}
    {"error": "…"}                                         of those about tokens also "reason", and
                                                           "unavailable": whether it cannot be told
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from authbridge.authenticator import Authenticator
from authbridge.control import tokens
from authbridge.control.members import BadCommand, Members, expect, optional_secret, text
from authbridge.frontends import extauth
from authbridge.frontends.http_answers import answer_of, answer_of_basic, answer_of_json
from authbridge.model import Outcome, Trace
from authbridge.peers import credentials
from authbridge.secret import Secret
from authbridge.token_office.office import TokenOffice
from authbridge.wire.http import Answer

LONGEST_LINE = 1 << 18

log = Logger()


@dataclass(frozen=True, slots=True)
class Explainer:
    """Walks one login as every other is walked, and tells each step."""

    authenticator: Authenticator
    extauth: extauth.ExtauthSettings
    deadline: float

    async def explain(self, jid: str, password: Secret | None) -> dict[str, Any]:
        """The steps, the verdicts, and what each front end would answer. Without a password only
        whether the user exists."""
        user, _, domain = (part.encode(errors="surrogateescape") for part in jid.rpartition("@"))
        ask, login = self.authenticator, None
        if password is not None:
            trace, number = Trace(), ask.logins.number()
            outcome = await ask.check_password(
                "explain", user, domain, password, self.deadline, trace=trace, number=number
            )
            login = _tell(outcome, trace, number, self.extauth.outage_auth)
            login["answers"]["basic"] = _line(answer_of_basic(outcome))
            login["answers"]["json"] = _line(answer_of_json(outcome))
        trace, number = Trace(), ask.logins.number()
        outcome = await ask.user_exists(
            "explain", user, domain, self.deadline, trace=trace, number=number
        )
        exists = _tell(outcome, trace, number, self.extauth.outage_isuser)
        return {"jid": jid, "login": login, "exists": exists}


def _tell(outcome: Outcome, trace: Trace, number: str, outage: bytes) -> dict[str, Any]:
    return {
        "id": number,
        "steps": trace.steps,
        "verdict": outcome.verdict.value,
        "reason": outcome.reason.value,
        "words": outcome.reason.words,
        "answers": {
            "extauth": extauth.answer_of(outcome, outage).hex(" "),
            "http": _line(answer_of(outcome)),
        },
    }


def _line(answer: Answer) -> str:
    return f"{answer.status} {answer.body.decode()}"


def _read(line: bytes) -> Members:
    """Raises BadCommand."""
    try:
        members = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise BadCommand from None
    if not isinstance(members, dict):
        raise BadCommand
    return members


class ControlLine(LineOnlyReceiver):
    """One connection of a command of ours."""

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_LINE

    def __init__(self, explainer: Explainer, office: TokenOffice | None) -> None:
        self._explainer = explainer
        self._office = office

    def connectionMade(self) -> None:
        """Root and our own user, nobody else."""
        transport: Any = self.transport
        _, uid = credentials(transport.socket)
        if uid not in (0, os.geteuid()):
            log.warn("uid {uid} may not use the control socket", uid=uid)
            transport.loseConnection()

    def lineReceived(self, line: bytes) -> None:
        """One command."""
        Deferred.fromCoroutine(self._obey(line)).addErrback(self._failed)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Nothing of ours is as long."""
        self._reply({"error": "the command is too long"})

    async def _obey(self, line: bytes) -> None:
        try:
            reply = await self._answer(_read(line))
        except BadCommand:
            reply = {"error": "this daemon does not know the command; is it of this version?"}
        self._reply(reply)

    async def _answer(self, members: Members) -> dict[str, Any]:
        """Raises BadCommand."""
        name = members.pop("command", None)
        if name == "explain":
            expect(members, ("jid", "password"))
            jid, password = text(members, "jid"), optional_secret(members, "password")
            return await self._explainer.explain(jid, password)
        if isinstance(name, str) and name in tokens.COMMANDS:
            number = self._explainer.authenticator.logins.number()
            return await tokens.answer(self._office, name, members, number)
        raise BadCommand

    def _failed(self, failure: Failure) -> None:
        log.failure("a command failed", failure)
        self._reply({"error": "the command failed; the daemon's log says where"})

    def _reply(self, reply: dict[str, Any]) -> None:
        self.sendLine(json.dumps(reply).encode())
        transport: Any = self.transport
        transport.loseConnection()


class ControlFactory(Factory):
    """Makes the connections of the control socket."""

    noisy = False

    def __init__(self, explainer: Explainer, office: TokenOffice | None) -> None:
        """`office`: None where the configuration keeps no tokens."""
        self._explainer = explainer
        self._office = office

    def buildProtocol(self, addr: IAddress | None) -> ControlLine:
        """One connection."""
        return ControlLine(self._explainer, self._office)
