"""Whoever is logged in at the website is logged in to the chat of its pages: in Chromium, with
Converse 14 and 10 and with Strophe, at Prosody and ejabberd, over WebSocket and BOSH."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .browser import Person, Tab
from .browser_talk import assert_talk
from .browser_world import World, running_world
from .web_site import IDENTITY, SESSION


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[World]:
    """Everything; tests take `world`."""
    with running_world(workspace / "chromium-matrix") as running:
        yield running


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """Everything, and nobody there."""
    yield shared_world
    shared_world.restore()


@dataclass(frozen=True)
class Way:
    """How a page gets in."""

    mode: str
    transport: str

    @property
    def path(self) -> str:
        """What it asks authbridge."""
        return "/prebind" if self.mode == "prebind" else "/credentials"

    @property
    def asks_at_reload(self) -> bool:
        """Converse goes on with a session of BOSH that its tab has kept."""
        return self.transport == "websocket"


WAYS = {
    "credentials-websocket": Way("credentials", "websocket"),
    "credentials-bosh": Way("credentials", "bosh"),
    "prebind": Way("prebind", "bosh"),
}


def assert_keeps_no_secret(person: Person, tab: Tab) -> None:
    """Neither a token nor a cookie of his is in the page, or in what it keeps."""
    assert {cookie["name"] for cookie in person.context.cookies()} == {SESSION, IDENTITY}
    kept = tab.kept() + tab.page.content()
    assert person.jid in kept
    for octets in [b"abtt1_", *person.tokens(), *person.cookies()]:
        assert octets.decode() not in kept, "a secret is kept"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
@pytest.mark.parametrize("page", ["converse14", "converse10", "strophe"])
def test_who_is_logged_in_at_the_site_chats_on_its_pages_until_the_logout(
    world: World, page: str, server: str, way: str
) -> None:
    person, friend, how = world.somebody(server), world.friend(server), WAYS[way]
    query = {"mode": how.mode, "transport": how.transport}
    tab = person.visit(page, **query)
    jid = tab.connected()
    assert jid.startswith(f"{person.jid}/")
    assert person.asked(how.path) == [200]
    if page == "strophe":
        assert tab.page.evaluate("() => chat.first"), "the first stanza is lost"
    assert_talk(tab, jid, friend)
    tab.picture(f"{page}-{server}-{way}")
    assert_keeps_no_secret(person, tab)

    tab.reload()
    again = tab.connected()
    if page == "strophe" or how.asks_at_reload:
        assert person.asked(how.path) == [200, 200]
    else:
        assert again == jid
        assert person.asked(how.path) == [200]
    other = person.visit(page, **query)
    assert other.connected() not in (jid, again)
    tab.ping()
    other.ping()
    assert set(person.asked(how.path)) == {200}

    person.log_out()
    late = person.visit(page, **query)
    late.wait_until(lambda: 401 in person.asked(how.path), "the page is refused")
    status, said = person.ask(how.path)
    assert (status, said["reason"]) == (401, "session_missing")
    assert late.status().startswith("not connected"), late.status()
    late.picture(f"{page}-{server}-{way}-refused")


@pytest.mark.parametrize("name", ["header", "cookie"])
def test_the_proxy_or_a_signed_cookie_says_who_is_logged_in(world: World, name: str) -> None:
    """Instead of the site itself."""
    person = world.somebody(name)
    tab = person.visit("converse14")
    assert tab.connected().startswith(f"{person.jid}/")
    person.log_out()
    status, said = person.ask("/credentials")
    assert (status, said["reason"]) == (401, "session_missing")
