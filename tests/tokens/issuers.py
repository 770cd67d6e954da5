"""Issuers as an administrator sets them up, in files, and the house that takes their tokens.

There is one for each algorithm, some with settings of their own, and two each for the compact form
and for xcauth. The time is always the same.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from authbridge import config, wiring
from authbridge.authenticator import Authenticator
from authbridge.chains import Domain
from authbridge.checkers import Surroundings
from authbridge.checkers.token import TokenChecker
from authbridge.config import Configuration
from authbridge.log import LoginLog, LogSettings
from authbridge.model import JID, Outcome, Trace
from authbridge.secret import Secret
from authbridge.stores.memory import MemoryStore
from authbridge.stores.operations import Issue
from tests.doubles import InlineLedger, ScriptedChecker, named_checker, now
from tests.tokens import mint

NOW = 1_800_000_000
LIFETIME, XCAUTH_LIFETIME = 300, 3600
"""Seconds that a token may live for, where nothing is said."""

COMPACT_SECRET = b"Zm9yIGNvbXBhY3QgdG9rZW5zLCAzMisgb2N0ZXRz"
OTHER_COMPACT_SECRET = b"c29tZWJvZHkgZWxzZSdzLCBmb3Igb3RoZXIuZXhhbXBsZQ"
XCAUTH_SECRET = b"kQ3vX9sT2mZp7Lr0bWcYh4d"
OTHER_XCAUTH_SECRET = b"Jx8nUe5aGf1oVq6RtKs2iDz"

CONFIGURATION = """
[log]
[domains."example.org"]
check = ["tokens", "behind"]
never = ["admin"]
[domains."other.example"]
check = ["tokens", "behind"]
[domains."jwt.example"]
check = ["jwts", "behind"]
[domains."compact.example"]
check = ["compacts", "behind"]
[checkers.tokens]
kind = "token"
accept = ["jwt", "compact", "xcauth", "temporary"]
[checkers.jwts]
kind = "token"
accept = ["jwt"]
[checkers.compacts]
kind = "token"
accept = ["compact"]
[checkers.behind]
kind = "tests.tokens.behind"

[issuers."https://second.example"]
keys = ["second"]
algorithms = ["ES256"]
domains = ["*"]
[issuers."https://typ.example"]
keys = ["typ.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
typ = "session+jwt"
[issuers."https://bots.example"]
keys = ["bots.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
users = ["bot-*"]
[issuers."https://jid.example"]
keys = ["jid.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
subject = "jid"
[issuers."https://aud.example"]
keys = ["aud.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
audience = ["https://chat.example", "urn:xmpp:{domain}"]
[issuers."https://short.example"]
keys = ["short.pem"]
algorithms = ["ES256"]
domains = ["example.org"]
max_lifetime = "1m"
leeway = "0s"
[issuers.website]
kind = "compact"
secret_file = "compact.secret"
domains = ["example.org", "compact.example"]
[issuers.elsewhere]
kind = "compact"
keys = ["compact-other.jwk"]
domains = ["other.example"]
[issuers.nextcloud]
kind = "xcauth"
secret_file = "xcauth.secret"
domains = ["example.org"]
[issuers."other nextcloud"]
kind = "xcauth"
secret_file = "xcauth-other.secret"
domains = ["other.example"]
"""


def temporary(name: str) -> str:
    """A temporary token."""
    return "abtt1_" + mint.b64(hashlib.sha256(name.encode()).digest())


def _issue(name: str, jid: str, ttl: float = 60.0) -> Issue:
    digest = hashlib.sha256(temporary(name).encode()).digest()
    return Issue(digest, jid, ttl, None, "website")


TEMPORARY = (
    _issue("alice's", "alice@example.org"),
    _issue("bob's", "bob@example.org"),
    _issue("alice's elsewhere", "alice@other.example"),
    _issue("the administrator's", "admin@example.org"),
    _issue("alice's where they are not accepted", "alice@jwt.example"),
    _issue("over", "alice@example.org", 0.0),
)
"""The temporary tokens that there are; all can be used again and again, while they can be used."""


def issuer(algorithm: str) -> str:
    """The issuer that has a key for this algorithm."""
    return f"https://{algorithm.lower()}.example"


def kid(algorithm: str) -> str:
    """What it calls the key."""
    return algorithm.lower()


def claims(algorithm: str, **changes: Any) -> dict[str, Any]:
    """What its token for alice says, with changes."""
    usual = {
        "iss": issuer(algorithm), "sub": "alice@example.org", "aud": "xmpp:example.org", "iat": NOW,
        "exp": NOW + 60,
    }  # fmt: skip
    return mint.without(usual | changes)


def good(algorithm: str, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token that it would sign, with changes in what it says and in the header."""
    members = {"kid": kid(algorithm)} | (header or {})
    return mint.jwt(claims(algorithm, **changes), mint.key(algorithm), **members)


def write(path: Path, content: bytes | dict[str, Any], mode: int) -> None:
    path.write_bytes(json.dumps(content).encode() if isinstance(content, dict) else content)
    path.chmod(mode)


def configuration(folder: Path) -> Path:
    """The file, and the files with keys that it names. Their formats take turns."""
    folder.chmod(0o700)
    (folder / "keys").mkdir(mode=0o755)
    (folder / "second").mkdir(mode=0o755)
    text = CONFIGURATION
    for number, algorithm in enumerate(mint.ALGORITHMS):
        key, name = mint.key(algorithm), kid(algorithm)
        source = f'keys = ["keys/{name}.pem"]'
        if algorithm.startswith("HS"):
            source = f'secret_file = "keys/{name}.secret"'
            write(folder / "keys" / f"{name}.secret", key.secret + b"\n", 0o600)
        elif number % 3 == 0:
            write(folder / "keys" / f"{name}.pem", key.public_pem(), 0o644)
        elif number % 3 == 1:
            write(folder / "keys" / f"{name}.pem", key.jwk(kid=name), 0o644)
        else:
            write(folder / "keys" / f"{name}.pem", mint.jwks(key.jwk(kid=name)), 0o644)
        text += f"""
[issuers."{issuer(algorithm)}"]
{source}
algorithms = ["{algorithm}"]
domains = ["example.org"]
"""
    for name in ("second", "newer"):
        write(folder / "second" / f"{name}.pem", mint.key("ES256", name).public_pem(), 0o644)
    for name in ("typ", "bots", "jid", "aud", "short"):
        write(folder / f"{name}.pem", mint.key("ES256", name).private_pem(), 0o600)
    write(folder / "compact.secret", COMPACT_SECRET, 0o600)
    other = mint.Key("HS256", OTHER_COMPACT_SECRET)
    write(folder / "compact-other.jwk", other.jwk(kid="other"), 0o600)
    write(folder / "xcauth.secret", XCAUTH_SECRET + b"\n", 0o600)
    write(folder / "xcauth-other.secret", OTHER_XCAUTH_SECRET, 0o640)
    write(folder / "authbridge.toml", text.encode(), 0o600)
    return folder / "authbridge.toml"


class Nobody:
    """Workers with nothing to do."""


@dataclass(repr=False)
class TokenHouse:
    """As `house.build` wires it, with the time in the test's hands."""

    configuration: Configuration
    wall: float = NOW
    line: str = ""
    """The last of the log of logins."""

    def __post_init__(self) -> None:
        self.clock = clock = Clock()
        self.ledger = InlineLedger(MemoryStore(), lambda: self.wall)
        for issue in TEMPORARY:
            now(self.ledger.ask(issue))
        surroundings = Surroundings(
            clock, Nobody(), lambda: self.wall, random.random,
            issuers=wiring.make_issuers(self.configuration, clock),
            never_token=wiring.never_token(self.configuration), ledger=self.ledger,
        )  # type: ignore[arg-type]  # fmt: skip
        self.checkers = {
            name: named_checker(name, settings.make(surroundings))
            for name, settings in self.configuration.checkers.items()
        }
        domains = {
            name: Domain(tuple(self.checkers[checker] for checker in domain.check), exists=True)
            for name, domain in self.configuration.domains.items()
        }
        login_log = LoginLog(LogSettings(), self._write, lambda: self.wall)
        self.authenticator = Authenticator(domains, login_log, clock, "boot")

    def _write(self, line: str) -> None:
        self.line = line

    @property
    def behind(self) -> ScriptedChecker:
        """Who is asked about what is no token."""
        found = self.checkers["behind"].checker
        assert isinstance(found, ScriptedChecker)
        return found

    def tokens_of(self, domain: str) -> TokenChecker:
        """The token checker of a domain."""
        found = self.checkers[self.configuration.domains[domain].check[0]].checker
        assert isinstance(found, TokenChecker)
        return found

    def judge(
        self, token: bytes, user: str = "alice", domain: str = "example.org",
        trace: Trace | None = None,
    ) -> Outcome:  # fmt: skip
        """What the token checker says. `user` is prepared."""
        checker = self.tokens_of(domain)
        return now(checker.check_password(JID(user, domain), Secret(token), trace))

    def login(self, token: bytes, user: str = "alice", domain: str = "example.org") -> Outcome:
        """What becomes of a login."""
        return now(
            self.authenticator.check_password(
                "test", user.encode(), domain.encode(), Secret(token), 8.0
            )
        )


def house(folder: Path) -> TokenHouse:
    """A new one, of files in this folder."""
    return TokenHouse(config.load(configuration(folder), listens=False))
