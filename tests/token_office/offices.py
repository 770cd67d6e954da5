"""A token office on a store in memory, with its clocks, its issuers and its log at hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import preparation
from authbridge.issuers.issuers import Issuer, Issuers, KeysUnavailable
from authbridge.issuers.signed import SignedTokens
from authbridge.localparts import Localparts
from authbridge.log import LoginLog, LogSettings
from authbridge.model import JID, Reason
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import MOST_LIVE, Consume, Find, Issue, Record, Store
from authbridge.token_office.grants import Grant, Issued, Refusal, Wanted
from authbridge.token_office.office import TokenOffice
from authbridge.tokens import temporary
from authbridge.tokens.forms import Form
from tests.doubles import InlineLedger, now
from tests.issuers.folders import SECRETS, pem, settings, write
from tests.tokens import mint

NOW = 1_800_000_000
ALICE, BOB = "alice@example.org", "bob@example.org"
SITE = Grant("website", frozenset({"example.org"}), None, 3600.0, 5, None)
MEMBERS = Localparts(frozenset({"alice"}), (("member-", ""),))
WHERE = {"front_end": "http", "number": "boot-1"}
KINDS = {
    "example.org": frozenset({"temporary", "jwt", "compact"}),
    "example.net": frozenset({"jwt"}),
}
ISSUERS: dict[str, dict[str, Any]] = {
    "https://www": {"revocable": True},
    "plain": {},
    "once": {"single_use": True},
    "elsewhere": {"revocable": True, "domains": ["example.net"]},
    "everywhere": {"revocable": True, "domains": ["*"]},
    "two": {"revocable": True, "domains": ["example.org", "example.net"]},
    "long": {"revocable": True, "max_lifetime": "2d", "leeway": "60s"},
}


class Premises:
    """A token office, with what it works with and what it has logged."""

    def __init__(self, issuers: Sequence[Issuer] = (), before: Premises | None = None) -> None:
        """`before`: it is that one, started again on its state."""
        self.clock: Clock = before.clock if before else Clock()
        store: Store = before.ledger.store if before else MemoryStore()
        self.ledger: InlineLedger = InlineLedger(store, self.wall)
        self.lines: list[str] = []
        self.octets = 0
        found = Issuers(issuers, self.clock.seconds)
        found.start()
        self.office = TokenOffice(
            self.ledger,  # type: ignore[arg-type]
            SignedTokens(found, self.never, self.wall),
            {one.settings.name: one.settings for one in issuers},
            KINDS.get,
            self.never,
            LoginLog(LogSettings(), self.lines.append, self.wall),
            self.wall,
            self.clock.seconds,
            self.random,
        )

    @staticmethod
    def never(jid: JID) -> bool:
        return jid.local == "admin"

    def wall(self) -> float:
        return NOW + self.clock.seconds()

    def random(self, count: int) -> bytes:
        self.octets += 1
        return self.octets.to_bytes(count, "big")

    def fill(self, jid: str = ALICE, ttl: float = 3600.0) -> list[bytes]:
        """Issue as many as one may have, each for two uses: their digests."""
        digests = [number.to_bytes(16, "big") + bytes(16) for number in range(MOST_LIVE)]
        kept = [Issue(digest, jid, ttl, 2, "another") for digest in digests]
        assert None not in self.ledger.store.run(kept, self.wall())
        return digests


class Office(Premises):
    """One that signed tokens are shown to, too."""

    def __init__(self, folder: Path, before: Office | None = None, **changes: Any) -> None:
        """`changes`: of the settings of all issuers that do not have them already."""
        write(folder / "www.pem", pem("www"))
        write(folder / "secret", SECRETS[0])
        found = [
            settings(folder, name=name, keys=["www.pem"], **more, **changes)
            for name, more in ISSUERS.items()
            if not changes.keys() & more.keys()
        ]
        forum = {"keys": None, "secret_file": "secret", "revocable": True} | changes
        found.append(settings(folder, "compact", name="forum", **forum))
        super().__init__([Issuer(one) for one in found], before)

    def issue(self, jid: str = ALICE, grant: Grant = SITE, **more: Any) -> Issued:
        return now(self.office.issue(grant, Wanted(jid, **more), **WHERE))

    def begin(self, jid: str = ALICE, grant: Grant = SITE) -> Deferred[Issued]:
        return Deferred.fromCoroutine(self.office.issue(grant, Wanted(jid), **WHERE))

    def use(self, issued: Issued) -> Reason:
        digest = temporary.digest(issued.token.reveal())
        return now(self.ledger.ask(Consume(digest, str(issued.jid))))

    def find(self, issued: Issued) -> Record | None:
        return now(self.ledger.ask(Find(issued.id)))

    def facts(self) -> dict[str, str]:
        """Of the only line since this was asked last."""
        (line,) = self.lines
        self.lines.clear()
        assert re.match(
            r"2027-01-15T\S+ token id=boot-1 operation=\w+ verdict=\w+ reason=\w+ ", line
        )
        return dict(part.split("=", 1) for part in line.split(" ")[2:])

    def admits(self, token: bytes, jid: str = ALICE, form: str = "jwt") -> Reason:
        """What the state says of a signed token."""
        good = self.office.lookup._signed.judge(Form(form), token, preparation.jid(jid), None)
        return Reason.TOKEN_VALID if good.admit is None else now(self.ledger.ask(good.admit))


def refused(awaitable: Any) -> Refusal:
    """Why it is not done."""
    try:
        found = now(awaitable)
    except Refusal as refusal:
        return refusal
    raise AssertionError(found)


def jwt(iss: str = "https://www", **changes: Any) -> bytes:
    usual = {"iss": iss, "sub": ALICE, "aud": "xmpp:example.org", "iat": NOW, "exp": NOW + 60,
             "jti": "j1"}  # fmt: skip
    claims = mint.without(usual | changes)
    return mint.jwt(claims, mint.key("ES256", "www"), kid="www").encode()


def compact(jid: str = ALICE) -> bytes:
    return mint.compact(SECRETS[0], jid, NOW + 60).encode()


def without_keys(office: Office, monkeypatch: Any) -> None:
    """From now on no issuer's keys are there."""

    def judge(*_asked: Any) -> None:
        raise KeysUnavailable("its keys are being fetched", Deferred)

    monkeypatch.setattr(office.office.lookup._signed, "judge", judge)
