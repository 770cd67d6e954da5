"""Chromium without a screen, and pages with a web chat in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import (
    BrowserContext,
    Error,
    Page,
    Playwright,
    Response,
    sync_playwright,
)

from .canary import watched
from .waiting import wait_until
from .web_site import WebSite

#: Seconds; every wait is cut there.
LIMIT = 180.0
#: Seconds without a request.
QUIET = 0.5
_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Chromium itself takes names that end in .localhost to 127.0.0.1; no other is asked for.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE *.localhost , EXCLUDE 127.0.0.1",
]

# What a browser keeps for an origin: its databases are walked, key and value.
_KEPT = """async () => {
    const found = [JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie];
    for (const { name } of await indexedDB.databases()) {
        const base = await new Promise((resolve, reject) => {
            const opening = indexedDB.open(name);
            opening.onsuccess = () => resolve(opening.result);
            opening.onerror = () => reject(opening.error);
        });
        for (const store of base.objectStoreNames) {
            const all = base.transaction(store).objectStore(store);
            for (const what of ['getAllKeys', 'getAll']) {
                found.push(JSON.stringify(await new Promise((resolve, reject) => {
                    const asking = all[what]();
                    asking.onsuccess = () => resolve(asking.result);
                    asking.onerror = () => reject(asking.error);
                })));
            }
        }
        base.close();
    }
    return found.join('\\n');
}"""


def screenshots() -> Path:
    """Where pictures of the pages are kept."""
    folder = Path(os.environ.get("AUTHBRIDGE_SCREENSHOTS", "build/screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def running_browser() -> Iterator[Chromium]:
    """One Chromium."""
    with sync_playwright() as playwright:
        browser = _launch(playwright)
        try:
            yield browser
        finally:
            browser.close()


def _launch(playwright: Playwright) -> Chromium:
    return playwright.chromium.launch(
        executable_path="/usr/bin/chromium", headless=True, args=_FLAGS, timeout=LIMIT * 1000
    )


class Person:
    """Somebody with a browser of his own: its cookies and storage, and any number of tabs."""

    def __init__(self, browser: Chromium, site: WebSite, host: str, name: str, domain: str) -> None:
        """`host` is that name of the site by which he finds it."""
        self.name, self.jid = name, f"{name}@{domain}"
        self.host = host
        self.origin = site.origin(host)
        self.context: BrowserContext = browser.new_context(viewport={"width": 900, "height": 600})
        self.context.set_default_timeout(LIMIT * 1000)
        self._responses: list[Response] = []
        self.context.on("response", self._hear)

    def _hear(self, response: Response) -> None:
        self._responses.append(response)

    def close(self) -> None:
        """Close the browser's windows, and forget all that it kept."""
        self.context.close()

    def log_in(self) -> None:
        """As a user does, on the site's own page."""
        page = self.context.new_page()
        page.goto(f"{self.origin}/")
        page.get_by_label("Name").fill(self.name)
        page.get_by_role("button", name="Log in").click()
        page.get_by_text(f"You are {self.name}.").wait_for()
        page.close()
        for octets in self.cookies():
            watched(octets)

    def cookies(self) -> list[bytes]:
        """The values of all that his browser has."""
        return [cookie["value"].encode() for cookie in self.context.cookies()]

    def log_out(self) -> None:
        """The same; no tab with the chat is told."""
        page = self.context.new_page()
        page.goto(f"{self.origin}/")
        page.get_by_role("button", name="Log out").click()
        page.get_by_text("You are nobody.").wait_for()
        page.close()

    def visit(self, page: str, origin: str = "", **query: str) -> Tab:
        """A new tab with one of the pages of the site, or of another origin."""
        tab = Tab(self.context.new_page())
        settings = "&".join(f"{key}={value}" for key, value in query.items())
        tab.page.goto(f"{origin or self.origin}/chat/{page}?{settings}")
        return tab

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of what this browser is told there, as a script of the site asks."""
        page = self.context.new_page()
        page.goto(f"{self.origin}/")
        status, found = page.evaluate(
            "async (path) => { const a = await fetch(path); return [a.status, await a.json()]; }",
            path,
        )
        page.close()
        if "password" in found:
            watched(found["password"].encode())
        return status, found

    def asked(self, path: str) -> list[int]:
        """How all his tabs' questions of this path were answered, oldest first."""
        return [one.status for one in self._of(path)]

    def told(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the last answer to his tabs there."""
        last = self._of(path)[-1]
        return last.status, last.json()

    def tokens(self) -> list[bytes]:
        """All that his tabs were given, and can still tell."""
        found = []
        for response in self._of("/credentials"):
            if response.status == 200:
                found.append(watched(response.json()["password"].encode()))
        return found

    def _of(self, path: str) -> list[Response]:
        return [one for one in self._responses if urlsplit(one.url).path == path]


class Tab:
    """A page with a web chat; see tests/browser/pages/shared.js."""

    def __init__(self, page: Page) -> None:
        self.page = page
        #: What the page has written to its console.
        self.console: list[str] = []
        self._asked_at = time.monotonic()
        page.on("request", lambda _: self._note())
        # Requests of BOSH of this page by their number: what is in those that were built, and which
        # have left the browser. Of one that is held Playwright itself tells the latter much later.
        self._loader = ""
        self._built: dict[str, str] = {}
        self._sent: set[str] = set()
        devtools = page.context.new_cdp_session(page)
        devtools.on("Network.requestWillBeSent", self._note_built)
        devtools.on("Network.requestWillBeSentExtraInfo", self._note_sent)
        devtools.send("Network.enable")
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))

    def wait_for(self, condition: str, what: str) -> None:
        """Until this is true in the page."""
        try:
            self.page.wait_for_function(condition, timeout=LIMIT * 1000)
        except Error as error:
            self.picture("failed")
            said = "\n".join(line[:300] for line in self.console[-20:])
            raise AssertionError(f"never: {what}; {self.events()}\n{said}") from error

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Until this is true here; what the browser tells meanwhile is heard."""

        def come() -> bool:
            self.page.wait_for_timeout(20)
            return condition()

        wait_until(come, what, LIMIT)

    def connected(self) -> str:
        """Until it is, and an iq has been answered, which alone proves a session; the full JID."""
        self.wait_for("() => window.chat?.connected", "connected")
        self.ping()
        jid: str = self.page.evaluate("() => chat.jid")
        return jid

    def comes_back(self) -> None:
        """Until an iq is answered. One that is asked in the wrong moment is lost with the session
        that it was asked in."""
        self.wait_until(
            lambda: self.page.evaluate("() => chat.ping(5).catch(() => false)"),
            f"it is connected again; {self.events()}",
        )

    def ping(self) -> None:
        """An iq to the server, which is answered."""
        assert self.page.evaluate("() => chat.ping(80)") is True

    def events(self) -> list[str]:
        """What has happened to the connection, oldest first."""
        found: list[str] = self.page.evaluate("() => window.chat?.events ?? []")
        return found

    def until(self, event: str) -> None:
        """Until this has happened, once at least."""
        self.wait_for(f"() => window.chat?.events.includes({event!r})", event)

    def status(self) -> str:
        """What the page shows of it."""
        return self.page.inner_text("#status")

    def say(self, to: str, text: str) -> None:
        """A message, by hand."""
        if self.page.locator("form#message").count():
            self.page.get_by_label("To").fill(to)
            self.page.get_by_label("Text").fill(text)
            self.page.get_by_role("button", name="Send").click()
        else:
            self.page.evaluate("(jid) => chat.open(jid)", to)
            line = self.page.locator("textarea.chat-textarea")
            line.fill(text)
            line.press("Enter")

    def shows(self, text: str) -> None:
        """Until it does."""
        self.page.get_by_text(text).first.wait_for()

    def _note(self) -> None:
        self._asked_at = time.monotonic()

    def _note_built(self, event: dict[str, Any]) -> None:
        if event["requestId"] == event["loaderId"]:  # the next page; none has frames
            self._loader = event["loaderId"]
            self._built.clear()
        # What the page before has still built is cut off with it.
        if (
            event["loaderId"] == self._loader
            and urlsplit(event["request"]["url"]).path == "/http-bind"
        ):
            self._built[event["requestId"]] = event["request"].get("postData", "")

    def _note_sent(self, event: dict[str, Any]) -> None:
        self._sent.add(event["requestId"])

    def has_sent(self, text: str = "") -> bool:
        """Whether all requests of BOSH have left the browser, and this was in one of them."""
        bodies = self._built.values()
        return self._built.keys() <= self._sent and (not text or any(text in one for one in bodies))

    def reload(self) -> None:
        """As the browser's button does, in a quiet moment: a request of BOSH that is built and cut
        off before it is sent leaves a gap behind, at which the session of the next page hangs."""

        def quiet() -> bool:
            return time.monotonic() - self._asked_at > QUIET and self.has_sent()

        self.ping()  # with which the server has answered all that came before
        self.wait_until(quiet, "the page is quiet")
        self.page.reload()

    def kept(self) -> str:
        """All that the page's origin keeps in this browser, and its scripts can read."""
        found: str = self.page.evaluate(_KEPT)
        return found

    def picture(self, name: str) -> None:
        """Keep a picture of it."""
        self.page.screenshot(path=screenshots() / f"{name}.png")

    def close(self) -> None:
        """Close it."""
        self.page.close()
