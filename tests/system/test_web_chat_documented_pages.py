"""The pages of docs/web-chat.md, in Chromium, with the servers that it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from .web_chat_examples import DOMAIN
from .web_chat_pages import PAGES, VERSIONS, Pages, running_chromium, script
from .web_chat_recipes import WebChat, running_web_chat
from .web_site import install_packages

USERS = (*PAGES, "alice", "bob", "carol", "dave", "erin", "first", "second", "third")


@pytest.fixture(scope="module")
def chat(workspace: Path) -> Iterator[WebChat]:
    """All of it, running."""
    install_packages()
    with running_web_chat(workspace / "web-chat-pages", USERS) as started:
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def pages(chat: WebChat, chromium: Chromium) -> Iterator[Pages]:
    """The site's; browsers are closed behind each test."""
    found = Pages(chat, chromium)
    yield found
    found.close()


#: What authbridge is asked for a page that is loaded, and loaded again, but for its passwords.
ASKED = {
    "credentials": ["credentials", "credentials"],
    "prebind": ["prebind"],
    "strophe": ["prebind"],
    "cookie": ["cookie", "cookie"],
}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_in_the_chat_and_is_again_after_a_reload(
    chat: WebChat, pages: Pages, name: str
) -> None:
    """By a login of its own, for which it has fetched a token; or in the session that it had."""

    def asked() -> list[str]:
        operations = [login["operation"] for login in chat.daemon.logins(f"{name}@{DOMAIN}")]
        return [one for one in operations if one != "check_password"]

    way, version = way_of(name)
    pages.put(name, script(way), version, name)
    page = pages.open(pages.person(name), name)
    first = pages.available(page, name)
    goes_on = way in ("prebind", "strophe")
    if goes_on:
        page.wait_for_function("sessionStorage.getItem('strophe-bosh-session')")
    page.reload()
    pages.until(page, lambda: asked() == ASKED[way])
    second = pages.available(page, name)
    if goes_on:
        assert second == first
    assert asked() == ASKED[way]
    assert "abtt1_" not in page.evaluate("JSON.stringify([localStorage, sessionStorage])")


def way_of(name: str) -> tuple[str, str]:
    """Of a page, and the version of Converse."""
    return (name, "") if name == "strophe" else (name[:-2], name[-2:])


@pytest.mark.parametrize("version", VERSIONS)
def test_page_is_in_the_chat_as_soon_as_its_user_is_logged_in(
    chat: WebChat, pages: Pages, version: str
) -> None:
    """Converse asks again, without the page being loaded again."""
    user = "alice" if version == "14" else "bob"
    pages.put("late", script("credentials"), version, user)
    person = pages.person()
    with person.expect_event("response", lambda answer: answer.status == 401):
        page = pages.open(person, "late")
    pages.log_in(person, user)
    assert pages.available(page, user)


@pytest.mark.parametrize("name", ["prebind14", "prebind10", "strophe"])
def test_page_comes_back_after_an_outage(chat: WebChat, pages: Pages, name: str) -> None:
    """Of the site, here, and by its own: what Converse itself asks once, the plugin asks again."""
    way, version = way_of(name)
    user = {"prebind14": "carol", "prebind10": "dave", "strophe": "erin"}[name]
    pages.put("outage", script(way), version, user)
    person = pages.person(user)
    chat.sites["www"].stop()
    try:
        with person.expect_event("response", lambda answer: answer.status == 503):
            page = pages.open(person, "outage")
    finally:
        chat.sites["www"].start()
    pages.log_in(person, user)
    assert pages.available(page, user)


def test_next_user_of_a_tab_finds_nobodys_session_in_it(chat: WebChat, pages: Pages) -> None:
    """Where the site clears what the tab keeps, or names its user; otherwise that of the last
    one."""
    pages.put("mine", script("prebind"), "14", "")
    person = pages.person("first")
    page = pages.open(person, "mine")
    first = pages.available(page, "first")
    page.wait_for_function("sessionStorage.getItem('strophe-bosh-session')")
    pages.log_in(person, "second")
    page.reload()
    page.wait_for_function("sessionStorage.getItem('strophe-bosh-session')")
    assert pages.available(page, "first") == first
    assert chat.prosody.available("second") == []
    # From a page without a chat: one that still comes up would keep its session again at once.
    chat_page = page.url
    page.goto(chat_page.replace("/mine.html", "/mine.js"))
    page.evaluate("fetch('/logout')")  # with Clear-Site-Data
    page.goto(chat_page)
    assert pages.available(page, "second")
    pages.log_in(person, "third")
    named = script("prebind").replace("authentication:", f"jid: 'third@{DOMAIN}', authentication:")
    pages.put("named", named, "14", "")
    page.goto(page.url.replace("/mine.", "/named."))
    assert pages.available(page, "third")
