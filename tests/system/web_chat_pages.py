"""The pages of docs/web-chat.md, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.recipes.document import write

from .waiting import LIMIT
from .web_chat_examples import COOKIES, DOMAIN, WWW, example
from .web_chat_recipes import WebChat

#: What only one of the examples has in it, by the way that it takes.
WAYS = {
    "credentials": "credentials_url: ",
    "prebind": "prebind_url: ",
    "cookie": "SASLExternal",
    "strophe": "strophe.esm",
}
VERSIONS = ("14", "10")
#: The tested ones: each way of Converse with both of its versions.
PAGES = [f"{way}{version}" for way in WAYS if way != "strophe" for version in VERSIONS]
PAGES.append("strophe")


def script(way: str) -> str:
    """An example in JavaScript, as it is."""
    return example("js", WAYS[way])


class Pages:
    """The site's pages, and people who look at them."""

    def __init__(self, chat: WebChat, browser: Chromium) -> None:
        self._chat = chat
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    def put(self, name: str, text: str, version: str, user: str) -> None:
        """Make a page with this script, and this version of Converse, or none; for one user."""
        origin = self._chat.origin
        text = text.replace("/converse/", f"/converse{version}/")
        text = text.replace(f"wss://{WWW}", origin.replace("https:", "wss:"))
        text = text.replace(f"alice@{DOMAIN}", f"{user}@{DOMAIN}")
        html = example("html", "<script")
        html = html.replace("/converse/", f"/converse{version}/")
        html = html.replace("/chat.js", f"/pages/{name}.js")
        if version == "10":  # as the document says: it is no module
            html = html.replace('type="module" src="/converse10', 'src="/converse10')
        if not version:
            html = re.sub(r"(?m)^.*/converse/.*\n", "", html)
        write(self._chat.proxy.pages / f"{name}.html", html, {})
        write(self._chat.proxy.pages / f"{name}.js", text, {})

    def person(self, user: str = "") -> BrowserContext:
        """A browser of somebody's own; without a name, of somebody who is not logged in."""
        context = self._browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(LIMIT * 1000)
        self._contexts.append(context)
        if user:
            self.log_in(context, user)
        return context

    def log_in(self, context: BrowserContext, user: str) -> None:
        """At the site, without a page of the chat being told."""
        value = self._chat.sites["www"].cookie(user)
        context.add_cookies(
            [
                {
                    "name": COOKIES["www"],
                    "value": value,
                    "domain": WWW,
                    "path": "/",
                    "secure": True,
                    "httpOnly": True,
                    "sameSite": "Lax",
                }
            ]
        )

    def open(self, context: BrowserContext, name: str) -> Page:
        """One of the pages that were put there, in a tab of its own."""
        page = context.new_page()
        page.goto(f"{self._chat.origin}/pages/{name}.html")
        return page

    def until(self, page: Page, condition: Callable[[], bool]) -> None:
        """Wait for it, while the page goes on."""
        for _ in range(int(2 * LIMIT)):
            if condition():
                return
            page.wait_for_timeout(500)
        raise AssertionError("it never was")

    def available(self, page: Page, user: str) -> str:
        """Wait until the user's page is; its resource."""
        found: list[str] = []

        def there() -> bool:
            found.extend(self._chat.prosody.available(user))
            return bool(found)

        self.until(page, there)
        return found[0]

    def close(self) -> None:
        """Close all browsers of people."""
        while self._contexts:
            self._contexts.pop().close()


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """One to whom the site's name leads here, and no other name anywhere."""
    rules = f"MAP {WWW} 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            headless=True,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                f"--host-resolver-rules={rules}",
            ],
            timeout=LIMIT * 1000,
        )
        try:
            yield browser
        finally:
            browser.close()
