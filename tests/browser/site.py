"""The website of the browser tests: logins of its own, `/whoami`, and pages with a web chat.

    site.py SETTINGS

SETTINGS is a JSON file: the port to listen on, who gets what, where the packages from npm are (see
tests/system/web_site.py, which writes it). A site of a real user would be made with a framework;
what matters here is what its browsers see. The standard library alone.
"""

import base64
import hashlib
import hmac
import html
import json
import mimetypes
import secrets
import sys
import threading
import time
import urllib.parse
from http import HTTPStatus
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

#: The cookie of a login here, and the one that tells authbridge who it is.
SESSION, IDENTITY = "sessionid", "identity"
PAGES = Path(__file__).parent / "pages"


class Site(ThreadingHTTPServer):
    """The website under all its names; a session is valid under each."""

    daemon_threads = True
    #: A hundred pages may come at once; of the library's own five, the next one waits for seconds.
    request_queue_size = 1024

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(("127.0.0.1", settings["port"]), Visit)
        self.settings = settings
        self._sessions = Path(settings["sessions"])
        self._remembering = threading.Lock()
        if not self._sessions.exists():
            self._sessions.write_text("{}")
        self.folders = {name: Path(folder) for name, folder in settings["folders"].items()}

    @property
    def users(self) -> dict[str, str]:
        """Whose each session is; who is logged in stays so when the site is started again."""
        users: dict[str, str] = json.loads(self._sessions.read_text())
        return users

    def remember(self, session: str, user: str | None) -> None:
        """Whose a session is from now on; None: nobody's."""
        with self._remembering:  # each visit has a thread
            users = {**self.users, session: user}
            fresh = self._sessions.with_suffix(".new")
            fresh.write_text(json.dumps({one: user for one, user in users.items() if user}))
            fresh.replace(self._sessions)

    def identity(self, user: str) -> str:
        """A JSON Web Token about the user, of a kind of its own (RFC 7515, HS256)."""
        jwt = self.settings["jwt"]
        now = int(time.time())
        claims = {
            "iss": jwt["issuer"],
            "aud": jwt["audience"],
            "sub": user,
            "iat": now,
            "exp": now + 600,
        }
        signed = ".".join(
            _base64url(json.dumps(part).encode())
            for part in ({"alg": "HS256", "typ": jwt["typ"]}, claims)
        )
        key = base64.urlsafe_b64decode(jwt["key"])
        return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


class Visit(BaseHTTPRequestHandler):
    """One request after the other of a browser, or of authbridge that asks who somebody is."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        path = urllib.parse.urlsplit(self.path).path
        if path == "/whoami":
            self._say_who()
        elif path == "/who":
            self._tell_the_proxy()
        elif path == "/":
            self._front_page()
        elif path.startswith("/chat/"):
            self._page(path.removeprefix("/chat/"))
        else:
            self._file(path)

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(
            self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        )
        if self.path == "/login":
            self._login(form["user"][0])
        elif self.path == "/logout":
            self.server.remember(self._cookie(SESSION), None)
            self._see_front_page(f"{SESSION}=; Max-Age=0", f"{IDENTITY}=; Max-Age=0")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found")

    def _cookie(self, name: str) -> str:
        found = SimpleCookie(self.headers.get("Cookie", "")).get(name)
        return "" if found is None else found.value

    @property
    def _user(self) -> str:
        return self.server.users.get(self._cookie(SESSION), "")

    def _say_who(self) -> None:
        """What authbridge asks."""
        user = self._user
        status = HTTPStatus.OK if user else HTTPStatus.UNAUTHORIZED
        self._answer(status, "application/json", json.dumps({"user": user or None}).encode())

    def _tell_the_proxy(self) -> None:
        """What nginx asks: a "no" would be its own answer to the browser, and a page of HTML."""
        self.send_response(HTTPStatus.NO_CONTENT)
        if self._user:
            self.send_header("X-User", self._user)
        self.end_headers()

    def _login(self, user: str) -> None:
        session = secrets.token_urlsafe(24)
        self.server.remember(session, user)
        self._see_front_page(
            f"{SESSION}={session}; SameSite=Lax; HttpOnly",
            f"{IDENTITY}={self.server.identity(user)}; SameSite=Lax; HttpOnly",
        )

    def _see_front_page(self, *cookies: str) -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/")
        for cookie in cookies:
            self.send_header("Set-Cookie", f"{cookie}; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _front_page(self) -> None:
        user = html.escape(self._user)
        greeting = f"You are {user}." if user else "You are nobody."
        text = (PAGES / "front.html").read_text().replace("{greeting}", greeting)
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", text.encode())

    def _page(self, name: str) -> None:
        """A page with a web chat; it is told the domain of the name that it was asked by, and in
        no page is anything secret."""
        host = (self.headers.get("Host") or "").partition(":")[0]
        path = PAGES / f"{Path(name).name}.html"
        if not path.is_file():
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found")
            return
        text = path.read_text().replace("{domain}", self.server.settings["domains"].get(host, ""))
        text = text.replace("{user}", html.escape(self._user))
        self._answer(HTTPStatus.OK, "text/html; charset=utf-8", text.encode())

    def _file(self, path: str) -> None:
        """Of a package, or what belongs to the pages."""
        _, name, *rest = path.split("/")
        folder = self.server.folders.get(name)
        file = folder.joinpath(*rest) if folder is not None else None
        if file is None or ".." in rest or not file.is_file():
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found")
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self._answer(
            HTTPStatus.OK, kind, file.read_bytes(), {"Cache-Control": "public, max-age=600"}
        )

    def _answer(
        self, status: int, kind: str, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Cache-Control": "no-store", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with Site(json.loads(Path(sys.argv[1]).read_text())) as site:
        site.serve_forever()
