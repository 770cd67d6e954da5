"""examples/django as `make demo` starts it, and people who use it with a browser."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from .browser import LIMIT, Tab
from .canary import watched
from .processes import Process, all_pids, command_line, is_running, is_stopped, parent
from .waiting import wait_until

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "django"
#: Of the site; `demo/web` prints them.
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
PROGRAMS = {
    "django": b"manage.py\0runserver",
    "prosody": b"prosody.cfg.lua",
    "authbridge": b"authbridge\0run",
    "nginx": b"nginx: master",
}


def begin(folder: Path, log: Path) -> Process:
    """`demo/web`, with all of its files in that folder, on ports that are free."""
    environment = {**os.environ, "DEMO": str(folder), "PORT": "0"}
    return Process([str(ROOT / "demo" / "web")], log, environment=environment)


class DjangoSite:
    """The site, running."""

    def __init__(self, folder: Path) -> None:
        """`folder` is nobody's yet."""
        self.folder = folder / "demo"
        self.output = folder / "demo.out"
        folder.mkdir()
        self.process = begin(self.folder, self.output)
        self.process.wait_until_up(lambda: "Ctrl-C ends it" in self.said(), "the site is up")
        found = re.search(r"The site is at (http://127\.0\.0\.1:\d+)/", self.said())
        assert found
        self.origin = found[1]
        for name in ("clients/django", "clients/prosody", "site/secret-key"):
            watched((self.folder / name).read_bytes().strip())

    def said(self) -> str:
        """What it has printed."""
        return self.output.read_text()

    def log(self, program: str) -> str:
        """What one of its programs has written; authbridge, of all that it has answered."""
        if program == "authbridge":
            self._catch_up()
        return (self.folder / f"{program}.log").read_text(errors="replace")

    def _catch_up(self) -> None:
        """authbridge writes a line a moment after the answer, and answers this one after that."""
        configuration = (self.folder / "authbridge.toml").read_text()
        found = re.search(r'^http = \["tcp:(\d+):', configuration, re.MULTILINE)
        assert found
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=LIMIT)
        connection.request("GET", "/")
        assert connection.getresponse().status == 404
        connection.close()

    def pid(self, program: str) -> int:
        """That of one of its programs."""
        (found,) = (
            pid
            for pid in all_pids()
            if parent(pid) == self.process.pid and PROGRAMS[program] in command_line(pid)
        )
        return found

    @contextmanager
    def stopped(self, program: str) -> Iterator[None]:
        """It answers nothing meanwhile."""
        pid = self.pid(program)
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: is_stopped(pid), f"{program} has stopped")
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def prebinds(self) -> int:
        """How many sessions authbridge has handed over so far."""
        return self.log("authbridge").count("reason=prebind_done")

    def stop(self) -> int:
        """End it, and all of it: its exit status."""
        pids = [self.pid(program) for program in PROGRAMS]
        status = self.process.stop()
        assert not [pid for pid in pids if is_running(pid)]
        return status


# A page waits for 1.5 s until the one before it in its tab has let its session go.
_PATIENT = """{
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = (ms) => timeout(40 * ms);
}"""


class Visitor:
    """Somebody with a browser of his own, who is logged in to the site."""

    def __init__(
        self, chromium: Chromium, site: DjangoSite, name: str, *, patient: bool = True
    ) -> None:
        """`patient`: his pages wait longer for the ones before them, which may take their time on a
        busy machine; otherwise a page finds out soon that another one keeps its session."""
        self.site = site
        self.name = name
        self.context = chromium.new_context(viewport={"width": 1000, "height": 640})
        self.context.set_default_timeout(LIMIT * 1000)
        if patient:
            self.context.add_init_script(_PATIENT)
        #: What the pages have complained of.
        self.complaints: list[str] = []
        #: The HTML of all pages.
        self.pages: list[str] = []
        self.log_in(self.context.new_page())

    def log_in(self, page: Page) -> None:
        """As anybody does."""
        page.goto(f"{self.site.origin}/login")
        page.get_by_label("Name").fill(self.name)
        page.get_by_label("Password").fill(PASSWORDS[self.name])
        page.get_by_role("button", name="Log in").click()
        page.get_by_text(f"Hello {self.name}").wait_for()

    def open(self, path: str) -> Chat:
        """A new tab with that page of the site."""
        page = self.context.new_page()
        page.on("console", lambda message: self._complain(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(error.stack or str(error)))
        chat = Chat(page, self.site.origin, self)
        chat.go(path)
        return chat

    def _complain(self, kind: str, text: str) -> None:
        # The browser notes each answer that is a refusal.
        refused = re.search(r"Failed to load resource: .* status of (401|429|503) ", text)
        if (kind == "error" and not refused) or "Content Security Policy" in text:
            self.complaints.append(text)

    def cookie(self) -> str:
        """The site's session."""
        (found,) = (c for c in self.context.cookies() if c.get("name") == "sessionid")
        return str(found.get("value"))

    def close(self) -> None:
        """Close all tabs, and forget everything."""
        self.context.close()


class Chat:
    """A tab with a page of the site."""

    def __init__(self, page: Page, origin: str, visitor: Visitor) -> None:
        self.page = page
        self.origin = origin
        self._visitor = visitor
        self.tab = Tab(page)

    def go(self, path: str) -> None:
        """To another page, in the same tab."""
        answer = self.page.goto(f"{self.origin}{path}")
        assert answer is not None
        self._visitor.pages.append(answer.text())

    def follow(self, link: str) -> None:
        """The same, by a link, of a Strophe page that is connected."""
        self._leave()
        self.page.get_by_role("link", name=link, exact=True).click()
        self.page.get_by_role("heading", name=link).wait_for()

    def reload(self) -> None:
        """The same, by the browser's buttons."""
        self._leave()
        self.page.reload()

    def go_back(self) -> None:
        """The same."""
        self._leave()
        self.page.go_back()

    def _leave(self) -> None:
        """The presence is the last that such a page sends. If it was cut off, the next page would
        begin with a gap, and so with another session."""
        self.tab.wait_until(lambda: self.tab.has_sent("<presence"), "it has said hello")

    def until(self, state: str) -> str:
        """Until the page says so: its words."""
        self.page.wait_for_selector(f"#status[data-state={state}]", timeout=LIMIT * 1000)
        return self.page.inner_text("#status")

    def connected(self) -> str:
        """Until it is: the full JID. The Strophe pages say so when an iq has been answered."""
        self.until("connected")
        return self.page.inner_text("#jid")

    def has_contacts(self) -> None:
        """Until Converse shows somebody in the list of contacts: an iq has been answered."""
        self.page.locator("converse-roster").get_by_text("Bob", exact=True).wait_for()

    def session(self) -> dict[str, Any]:
        """What Strophe keeps of its session in this tab."""
        text: str | None = self.page.evaluate("sessionStorage.getItem('strophe-bosh-session')")
        found: dict[str, Any] = json.loads(text or "{}")
        return found

    def spoil(self, change: str) -> None:
        """Have the next page find the session of the tab with this change."""
        self.page.evaluate(
            """(change) => addEventListener('pagehide', () => {
                const found = JSON.parse(sessionStorage.getItem('strophe-bosh-session'));
                Object.assign(found, JSON.parse(change));
                sessionStorage.setItem('strophe-bosh-session', JSON.stringify(found));
            })""",
            change,
        )

    def send(self, to: str, text: str) -> None:
        """A message, as the form sends it."""
        self.page.get_by_label("To").fill(to)
        self.page.get_by_label("Message").fill(text)
        self.page.get_by_role("button", name="Send").click()

    def receives(self, who: str, text: str) -> None:
        """Until the message is there."""
        self.page.locator("#messages li").filter(has_text=f"{who}{text}").wait_for()

    def log_out(self) -> None:
        """By the page's button."""
        self.page.get_by_role("button", name="Log out").click()
        self.page.get_by_role("heading", name="Log in").wait_for()

    def asks_later(self, method: str, path: str) -> int:
        """The same after a while: users have a rate."""
        self.page.wait_for_timeout(1000)
        return self.asks(method, path)

    def asks(self, method: str, path: str) -> int:
        """The status of what a script of the page asks for."""
        status: int = self.page.evaluate(
            """async ([method, path]) => {
                const [, token] = document.cookie.match(/csrftoken=([^;]*)/) ?? [];
                const headers = method === 'POST' ? { 'X-CSRFToken': token } : {};
                return (await fetch(path, { method, headers })).status;
            }""",
            [method, path],
        )
        return status
