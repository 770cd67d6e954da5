"""A daemon that keeps temporary tokens, in a file or in Redis, and a website that gets them from it
over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import shlex
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .calls import form_of
from .canary import secret, watched
from .daemon import Daemon, write_private

#: Of tokens alone: temporary ones, and what an issuer in `more` signs. Everybody exists.
DOMAIN = "temporary.example"
#: The same; a wrong domain for the others' tokens.
ELSEWHERE = "elsewhere.example"

#: The name of the one client that gets tokens.
WEBSITE = "website"
#: What is in front of a token's 43 characters.
PREFIX = b"abtt1_"

_CONFIGURATION = """
[authbridge]
state = "{state}"
deadline = "25s"  # as long as it may be: a machine that stands still for a moment is no outage
{state_lines}

[clients.{website}]
secret_file = "{folder}/clients/{website}"
may = ["tokens", "introspect", "revoke", "check_password", "user_exists"]
domains = {domains}
max_lifetime = "1h"
max_uses = "any"
rate = "10000/s"

[domains."{domain}"]
check = ["tokens"]
exists = "always"

[domains."{elsewhere}"]
check = ["tokens"]
exists = "always"

[checkers.tokens]
kind = "token"
accept = {accept}
"""


@dataclass(frozen=True)
class Token:
    """A temporary token, as the website gets it."""

    jid: str
    octets: bytes
    id: str
    #: Seconds since the epoch.
    expires_at: int
    uses: int | str

    def __repr__(self) -> str:
        return f"<Token {self.id}>"


@dataclass(frozen=True)
class Reply:
    """What a call is answered with."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """The JSON in the body."""
        return json.loads(self.body)


class TokenSite(Daemon):
    """The daemon. Several may have one Redis; a file is one daemon's alone."""

    def __init__(
        self,
        folder: Path,
        state: str | None = None,
        *,
        state_lines: str = "",
        accept: tuple[str, ...] = ("temporary",),
        more: str = "",
        log_format: str = "text",
        extauth: str = "",
    ) -> None:
        """`state`: a URL, or a path; None: a file in a folder of its own. `state_lines`: more of
        [authbridge]. `more`: tables behind all others. `extauth`: more of [extauth]."""
        self.state_file = folder / "state" / "state.sqlite3"
        if state is not None and "://" not in state:
            self.state_file = Path(state)
        self.website_secret = secret(WEBSITE)
        tables = _CONFIGURATION.format(
            folder=folder,
            state=self.state_file if state is None else state,
            state_lines=state_lines,
            website=WEBSITE,
            domain=DOMAIN,
            elsewhere=ELSEWHERE,
            domains=json.dumps([DOMAIN, ELSEWHERE]),
            accept=json.dumps(accept),
        )
        super().__init__(
            folder,
            (),
            extauth=extauth,
            log_format=log_format,
            others={DOMAIN: tables, ELSEWHERE: more},
        )
        write_private(folder / "clients" / WEBSITE, self.website_secret + b"\n")

    @property
    def state_files(self) -> list[Path]:
        """The file with the state, and what SQLite puts beside it."""
        return sorted(self.state_file.parent.glob(self.state_file.name + "*"))

    @property
    def website(self) -> Website:
        """The website with a connection of its own for this one call."""
        return Website(self, keep=False)

    def issue(self, jid: str, **wanted: object) -> Token:
        """A new token for a user; `wanted` are further members of the request."""
        return self.website.issue(jid, **wanted)

    def use(self, jid: str, token: Token | bytes) -> Reply:
        """A login with it, over HTTP."""
        return self.website.use(jid, token)

    def accepts(self, token: Token) -> bool:
        """A login with it: a yes or a no, and nothing else."""
        return self.website.accepts(token)

    def listed(self, jid: str) -> list[dict[str, Any]]:
        """The tokens of a user that can still be used."""
        return self.website.listed(jid)

    def revoke(self, token: Token) -> None:
        """Revoke it."""
        self.website.revoke(token)

    def introspect(self, token: Token) -> dict[str, Any]:
        """What RFC 7662 says of it."""
        return self.website.introspect(token)

    def connector(self) -> list[str]:
        """The command of a program as ejabberd starts it."""
        return shlex.split(self.extauth_program)


class Website:
    """Calls the daemon with its credentials: over one connection that is kept, or one for each."""

    def __init__(self, site: TokenSite, *, keep: bool = True) -> None:
        credentials = f"{WEBSITE}:{site.website_secret.decode()}".encode()
        self._authorization = f"Basic {base64.b64encode(credentials).decode()}"
        self._connection = http.client.HTTPConnection("127.0.0.1", site.http_port, timeout=90)
        self._keep = keep

    def call(self, method: str, path: str, body: bytes | None = None, kind: str = "") -> Reply:
        """One call. Raises OSError, http.client.HTTPException where there is no answer."""
        headers = {"Authorization": self._authorization}
        if kind:
            headers["Content-Type"] = kind
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return Reply(answer.status, dict(answer.headers), answer.read())
        except BaseException:
            self.close()
            raise
        finally:
            if not self._keep:
                self.close()

    def close(self) -> None:
        """End the connection; the next call makes another."""
        self._connection.close()

    def post(self, path: str, **members: object) -> Reply:
        """One call with JSON."""
        return self.call("POST", path, json.dumps(members).encode(), "application/json")

    def send_form(self, path: str, form: Mapping[str, bytes]) -> Reply:
        """One call with a form."""
        body = urllib.parse.urlencode(form).encode()
        return self.call("POST", path, body, "application/x-www-form-urlencoded")

    def try_to_issue(self, jid: str, **wanted: object) -> Token | Reply:
        """A new token, or what is answered instead."""
        reply = self.post("/tokens", jid=jid, **wanted)
        if reply.status != 201:
            return reply
        said = reply.said
        octets = said["password"].encode()
        watched(octets.removeprefix(PREFIX))
        return Token(said["jid"], octets, said["id"], said["expires_at"], said["uses"])

    def issue(self, jid: str, **wanted: object) -> Token:
        """A new token."""
        token = self.try_to_issue(jid, **wanted)
        assert isinstance(token, Token), token
        return token

    def use(self, jid: str, token: Token | bytes) -> Reply:
        """A login."""
        octets = token.octets if isinstance(token, Token) else token
        form = "application/x-www-form-urlencoded"
        return self.call("POST", "/auth/check_password", form_of(jid, octets), form)

    def accepts(self, token: Token) -> bool:
        """A login of whom it is for: a yes or a no, and nothing else."""
        reply = self.use(token.jid, token)
        assert reply.status == 200, reply
        assert reply.body in (b"true", b"false")
        return reply.body == b"true"

    def listed(self, jid: str) -> list[dict[str, Any]]:
        """The tokens of a user that can still be used."""
        reply = self.call("GET", "/tokens?" + urllib.parse.urlencode({"jid": jid}))
        assert reply.status == 200, reply
        found: list[dict[str, Any]] = reply.said["tokens"]
        return found

    def revoke(self, token: Token) -> None:
        """Revoke it."""
        reply = self.call("DELETE", f"/tokens/{token.id}")
        assert reply.status == 204, reply

    def introspect(self, token: Token) -> dict[str, Any]:
        """What RFC 7662 says of it."""
        reply = self.send_form("/introspect", {"token": token.octets})
        assert reply.status == 200, reply
        found: dict[str, Any] = reply.said
        return found
