"""A daemon with temporary tokens, and what its website and its XMPP servers ask it.

Its one domain takes three things as a password: a temporary token, a token that a website has
signed, and what is in a file. The first alone needs the state.
"""

import http.client
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import signers
from .calls import NO, YES, check_password, extauth
from .canary import secret, watched
from .daemon import Daemon, hash_password, write_private
from .ports import accepts
from .processes import Process
from .raw_http import basic
from .waiting import wait_until

DOMAIN = "chat.example"
ALICE = f"alice@{DOMAIN}"
WEBSITE = "website"
PASSWORD = secret("from-the-file")
#: What a connector is told, without its length.
EXTAUTH_YES, EXTAUTH_NO, EXTAUTH_ERROR = b"\0\1", b"\0\0", b"\0\2"
#: What is answered over HTTP where it cannot be told.
UNAVAILABLE = (503, b"unavailable")

_TABLES = """
[domains."{domain}"]
check = ["tokens", "people"]
exists = "always"

[checkers.tokens]
kind = "token"
accept = ["jwt", "temporary"]

[checkers.people]
kind = "file"
path = "{folder}/people"

[issuers."{issuer}"]
keys = ["{folder}/ES256.pem"]
algorithms = ["ES256"]
domains = ["{domain}"]

[clients.{website}]
secret_file = "{folder}/clients/{website}"
may = ["tokens"]
domains = ["{domain}"]
max_lifetime = "1h"
rate = "10000/s"
"""


@dataclass(frozen=True)
class Told:
    """An answer to the website."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, object] = field(repr=False)

    @property
    def token(self) -> bytes:
        """The token that was issued; looked for in the logs from now on."""
        assert self.status == 201, self.body
        octets = str(self.body["password"]).encode()
        watched(octets[len("abtt1_") :])
        return watched(octets)


def ask_for_token(
    connection: http.client.HTTPConnection, credentials: bytes, jid: str, ttl: str = "10m"
) -> Told:
    """POST /tokens over this connection."""
    headers = {"Authorization": credentials.decode(), "Content-Type": "application/json"}
    connection.request("POST", "/tokens", json.dumps({"jid": jid, "ttl": ttl}), headers)
    answer = connection.getresponse()
    body = answer.read()
    # Not ours is what a HAProxy says where no daemon has answered.
    ours = "json" in answer.headers["Content-Type"]
    return Told(answer.status, dict(answer.headers), json.loads(body) if ours else {})


class TokenNode(Daemon):
    """The daemon. Not started."""

    def __init__(
        self,
        folder: Path,
        state: str,
        *,
        more: str = "",
        extauth: str = "",
        website_secret: bytes | None = None,
    ) -> None:
        """`state` is what it is in the configuration; `more` is more lines of [authbridge]. Nodes
        that stand for each other know their website by the same secret."""
        names = {"domain": DOMAIN, "issuer": signers.WEBSITE, "website": WEBSITE}
        tables = _TABLES.format(folder=folder, **names)
        super().__init__(folder, (), extauth=extauth, others={DOMAIN: tables})
        self.website_secret = website_secret or secret("website")
        write_private(folder / "clients" / WEBSITE, self.website_secret + b"\n")
        write_private(folder / "ES256.pem", signers.key("ES256").public_pem())
        # A deadline as long as may be: a machine that stands still for a moment is no outage.
        state = f'\n[authbridge]\nstate = "{state}"\ndeadline = "25s"\n'
        text = self.configuration.read_text() + state + more
        write_private(self.configuration, text.encode())
        self._write_people()

    def _write_people(self) -> None:
        line = f"{ALICE}:{hash_password(PASSWORD)}\n"
        write_private(self.folder / "people", line.encode())

    @property
    def command(self) -> list[str]:
        """What is started."""
        return [sys.executable, "-m", "authbridge", "run", "--config", str(self.configuration)]

    def start(self) -> None:
        """See Daemon."""
        self._process = Process(self.command, self.log, folder=self.folder)
        self._process.wait_until_up(
            lambda: self._listens(self.extauth_socket) and accepts(self.http_port),
            "the daemon accepts connections",
        )

    def try_to_start(self) -> subprocess.CompletedProcess[str]:
        """Run what is refused at its start."""
        return subprocess.run(
            self.command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )

    @property
    def website_credentials(self) -> bytes:
        """The value of the website's Authorization header."""
        return basic(WEBSITE.encode(), self.website_secret)

    def ask_for_token(self, jid: str = ALICE) -> Told:
        """A token for a user, or why there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=90)
        try:
            return ask_for_token(connection, self.website_credentials, jid)
        finally:
            connection.close()

    def issue(self, count: int) -> list[bytes]:
        """So many new tokens of alice."""
        return [self.ask_for_token().token for _ in range(count)]

    def log_in(self, password: bytes) -> tuple[int, bytes]:
        """Status and body of alice's login over HTTP."""
        return check_password(self, ALICE, password)

    def log_in_by_extauth(self, password: bytes) -> bytes:
        """What a connector says of it."""
        user, _, domain = ALICE.encode().partition(b"@")
        return extauth(self, b"auth", user, domain, password)

    def lines(self, text: str) -> list[str]:
        """The lines of its log that have this in them."""
        return [line for line in self.log.read_text(errors="replace").splitlines() if text in line]

    def wait_for(self, text: str) -> None:
        """Until the log says so."""
        wait_until(lambda: self.lines(text), f"the log says: {text}")


def assert_others_go_on(node: TokenNode) -> None:
    """A password and a signed token need no state."""
    assert node.log_in(PASSWORD) == YES
    assert node.log_in(secret("wrong")) == NO
    assert node.log_in_by_extauth(PASSWORD) == EXTAUTH_YES
    assert node.log_in(signers.jwt(ALICE)) == YES
    assert node.log_in_by_extauth(signers.jwt(ALICE)) == EXTAUTH_YES


def assert_outage(node: TokenNode, *tokens: bytes) -> None:
    """None of these tokens is accepted, no other is issued, both in the words for it; everything
    else goes on."""
    for token in tokens:
        assert node.log_in(token) == UNAVAILABLE
        assert node.log_in_by_extauth(token) == EXTAUTH_ERROR
    assert_no_issue(node)
    assert_others_go_on(node)


def assert_no_issue(node: TokenNode) -> None:
    """Issuing cannot be done now, and may be tried again."""
    told = node.ask_for_token()
    assert (told.status, told.headers["Content-Type"]) == (503, "application/problem+json")
    assert told.headers["Retry-After"] == "5"
    assert told.body["reason"] == "state_unavailable"


def wait_until_healed(node: TokenNode) -> bytes:
    """Until tokens are issued again; one of them."""

    def issue() -> bytes | None:
        told = node.ask_for_token()
        return told.token if told.status == 201 else None

    token = wait_until(issue, "tokens are issued again")
    assert token is not None
    return token


def accepted(node: TokenNode, token: bytes) -> int:
    """How often a token is accepted, of three times."""
    answers = [node.log_in(token) for _ in range(3)]
    assert set(answers) <= {YES, NO}
    return answers.count(YES)
