"""A token checker with issuers and a state in memory."""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge.checkers import Surroundings, token
from authbridge.checkers.token import TokenSettings
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.model import JID, Trace, Verdict
from authbridge.secret import Secret
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import EVER, Find, Issue, Withdraw
from authbridge.tokens import temporary
from tests.doubles import InlineLedger, now
from tests.issuers.folders import SECRETS, pem, settings, write
from tests.tokens import mint

NOW = 1_800_000_000
ALICE, BOB, ADMIN = (JID(user, "example.org") for user in ("alice", "bob", "admin"))
THERE = JID("alice", "example.net")
ALL = frozenset({"jwt", "compact", "xcauth", "temporary"})
ONCE, REVOCABLE, BOTH, PLAIN = "once", "revocable", "both", "plain"
SETTINGS = {
    ONCE: {"single_use": True},
    REVOCABLE: {"revocable": True},
    BOTH: {"single_use": True, "revocable": True},
    PLAIN: {},
}


class House:
    """A token checker with issuers of each setting, and a state in memory."""

    def __init__(self, folder):
        write(folder / "www.pem", pem("www"))
        write(folder / "compact", SECRETS[0])
        write(folder / "xcauth", SECRETS[1])
        self.wall = float(NOW)
        self.ledger = InlineLedger(MemoryStore(), lambda: self.wall)
        issuers = [
            settings(folder, name=name, keys=["www.pem"], **more) for name, more in SETTINGS.items()
        ]
        issuers += [
            settings(folder, kind, name=kind, keys=None, secret_file=kind, revocable=True)
            for kind in ("compact", "xcauth")
        ]
        self.issuers = Issuers([Issuer(one) for one in issuers], Clock().seconds)
        self.issuers.start()
        self.count = 0

    def checker(self, ledger=None, accept=ALL):
        surroundings = Surroundings(
            Clock(), None, lambda: self.wall, random.random, issuers=self.issuers,
            never_token=lambda jid: jid.local == "admin", ledger=ledger,
        )  # fmt: skip
        return token.make_checker(TokenSettings(accept), surroundings)

    def begin(self, secret, jid=ALICE, trace=None, checker=None):
        checker = checker or self.checker(self.ledger)
        return Deferred.fromCoroutine(checker.check_password(jid, Secret(secret.encode()), trace))

    def login(self, secret, jid=ALICE, trace=None, checker=None):
        return now(self.begin(secret, jid, trace, checker))

    def reason(self, secret, jid=ALICE):
        """Of a refusal; it is the same for who asks to have it explained."""
        trace = Trace()
        explained = self.login(secret, jid, trace)
        outcome = self.login(secret, jid)
        assert outcome == explained
        assert outcome.verdict is Verdict.REJECTED
        return outcome.reason

    def issue(self, jid=ALICE, ttl=60.0, uses=1):
        self.count += 1
        made = temporary.make(self.count.to_bytes(32, "big"))
        now(self.ledger.ask(Issue(temporary.digest(made.encode()), str(jid), ttl, uses, "website")))
        return made

    def left(self, secret):
        return now(self.ledger.ask(Find(id_of(secret)))).uses

    def withdraw(self, subject, before=EVER, ends=EVER):
        now(self.ledger.ask(Withdraw(subject, before, ends, NOW + 1000.0)))


def id_of(secret):
    return temporary.id_of(temporary.digest(secret.encode()))


def jwt(iss=PLAIN, jti="j1", **changes):
    usual = {"iss": iss, "sub": "alice", "aud": "xmpp:example.org", "iat": NOW, "exp": NOW + 60}
    claims = mint.without(usual | {"jti": jti} | changes)
    return mint.jwt(claims, mint.key("ES256", "www"), kid="www")
