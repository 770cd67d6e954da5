"""Pages with a chat while something behind them is down, slow, refuses or is started again."""

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from .browser import Person, Tab
from .browser_world import HASTY, REFUSED, World, running_world

#: Pages with a way in each; every page comes back by itself.
OPEN = {
    "converse14": {"mode": "credentials", "transport": "websocket"},
    "converse10": {"mode": "credentials", "transport": "websocket"},
    "strophe": {"mode": "credentials", "transport": "websocket"},
}
BOSH = {
    "converse14": {"mode": "credentials", "transport": "bosh"},
    "converse10": {"mode": "prebind"},
    "strophe": {"mode": "prebind"},
}

BOTH = ("prosody", "ejabberd")


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[World]:
    """Everything; tests take `world`."""
    with running_world(workspace / "chromium-outages", patience=HASTY) as running:
        yield running


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """Everything, and nobody there."""
    yield shared_world
    shared_world.restore()


def asked(person: Person) -> list[int]:
    """How authbridge, or nginx instead of it, has answered him."""
    return person.asked("/credentials") + person.asked("/prebind")


def answered(person: Person, status: int, times: int = 1) -> bool:
    """Whether he has had this answer so often."""
    return asked(person).count(status) >= times


def visits(
    world: World, *ways: dict[str, dict[str, str]], servers: tuple[str, ...] = ("prosody",)
) -> list[tuple[Person, Tab]]:
    """A page in each of these ways at each of the servers, everybody connected."""
    found = []
    for server, way in itertools.product(servers, ways):
        for page, query in way.items():
            person = world.somebody(server)
            found.append((person, person.visit(page, **query)))
    for person, tab in found:
        assert tab.connected().startswith(f"{person.jid}/")
        assert asked(person) == [200]
    return found


@pytest.mark.parametrize("ways", [OPEN, BOSH], ids=["websocket", "bosh"])
def test_open_pages_come_back_by_themselves_when_their_xmpp_server_was_restarted(
    world: World, ways: dict[str, dict[str, str]]
) -> None:
    """Each with what it has fetched anew."""
    everybody = visits(world, ways, servers=BOTH)
    for server in BOTH:
        world.servers[server].stop()
        world.servers[server].start()
    for person, tab in everybody:
        tab.wait_until(partial(answered, person, 200, 2), "it has fetched anew")
        tab.comes_back()


def test_open_pages_come_back_with_fresh_tokens_when_the_daemon_was_restarted(
    world: World,
) -> None:
    """Sessions go on meanwhile; a connection that is lost meanwhile comes back afterwards. Where
    all is slow, a page may ask once more; no token is used twice."""
    everybody = visits(world, OPEN)
    world.daemon.stop()
    try:
        for person, tab in everybody:
            tab.ping()
            tab.page.evaluate("() => chat.drop()")
            tab.wait_until(partial(answered, person, 502), "it asks for another token")
    finally:
        world.daemon.start()
    for person, tab in everybody:
        tab.wait_until(partial(answered, person, 200, 2), "it has a token")
        tab.comes_back()
        tokens = person.tokens()
        assert len(set(tokens)) == len(tokens) >= 2


def test_open_pages_come_back_when_the_proxy_was_restarted(world: World) -> None:
    """Every connection of theirs is cut off."""
    everybody = visits(world, OPEN, BOSH)
    world.site.nginx.stop()
    world.site.nginx.start()
    for _, tab in everybody:
        tab.comes_back()


def test_pages_of_bosh_go_on_with_their_sessions_after_a_while_without_a_network(
    world: World,
) -> None:
    """And without another token."""
    everybody = visits(world, BOSH)
    jids = [tab.connected() for _, tab in everybody]
    for person, tab in everybody:
        person.context.set_offline(True)
        with tab.page.expect_event("requestfailed", lambda one: one.url.endswith("/http-bind")):
            tab.page.evaluate("() => { chat.ping(5).catch(() => false); }")
    for person, _ in everybody:
        person.context.set_offline(False)
    for person, tab in everybody:
        tab.comes_back()
        assert asked(person) == [200]
    assert [tab.connected() for _, tab in everybody] == jids


def assert_told(said: tuple[int, dict[str, Any]], *reasons: str) -> None:
    """An answer that any page takes for a "not now"."""
    status, problem = said
    assert (status, problem["status"]) == (503, 503)
    assert problem["reason"] in reasons
    assert problem.keys().isdisjoint(("jid", "password", "sid", "rid"))


def test_pages_that_come_while_the_xmpp_server_is_down_are_connected_once_it_is_up(
    world: World,
) -> None:
    """Prebind is refused meanwhile, and a token is of no use."""
    for server in BOTH:
        world.servers[server].stop()
    tabs = []
    try:
        for server in BOTH:
            person, other = world.somebody(server), world.somebody(server)
            assert_told(person.ask("/prebind"), "bosh_unreachable")
            tabs += [
                person.visit("converse14", mode="prebind"),
                other.visit("converse10", transport="websocket"),
            ]
            tabs[-2].until("noResumeableBOSHSession")
            tabs[-1].wait_until(partial(answered, other, 200, 2), "it tries again")
            tabs[-2].picture(f"converse14-{server}-down")
    finally:
        for server in BOTH:
            world.servers[server].start()
    for tab in tabs:
        tab.comes_back()


def test_pages_that_come_while_the_xmpp_server_hangs_are_told_so_and_connected_later(
    world: World,
) -> None:
    visitors = []
    try:
        for server in BOTH:
            world.process(server).pause()
            person = world.somebody(server)
            visitors.append((person, person.visit("strophe", mode="prebind")))
        for person, tab in visitors:
            tab.until("/prebind 503")
            assert_told(person.told("/prebind"), "bosh_unreachable", "deadline_passed")
    finally:
        for server in BOTH:
            world.process(server).resume()
    for _, tab in visitors:
        tab.comes_back()


def test_a_page_whose_xmpp_server_refuses_is_told_so(world: World) -> None:
    """It knows nothing of the domain."""
    person = world.somebody(REFUSED)
    tab = person.visit("converse14", mode="prebind")
    tab.until("noResumeableBOSHSession")
    assert_told(person.told("/prebind"), "bosh_refused")
    assert tab.status() == "not connected (noResumeableBOSHSession)"


def test_pages_that_come_while_the_site_hangs_are_connected_once_it_goes_on(
    world: World,
) -> None:
    """Nobody can say who is logged in; nobody is taken for logged out."""
    everybody = visits(world, OPEN)
    world.site.program.pause()
    try:
        for _, tab in everybody:
            tab.page.evaluate("() => chat.drop()")
        for person, tab in everybody:
            tab.wait_until(partial(answered, person, 503), "it is told so")
            assert_told(person.told("/credentials"), "site_unreachable")
    finally:
        world.site.program.resume()
    for person, tab in everybody:
        tab.comes_back()
        assert set(asked(person)) == {200, 503}
