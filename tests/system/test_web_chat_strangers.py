"""What the chat of a website gives to nobody else: other origins, old tokens, other people's
sessions."""

import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest

from .browser import Person, Tab
from .browser_talk import body_of
from .browser_world import BRIEF, DOMAINS, HOSTS, World, running_world
from .canary import secret
from .raw_http import ask
from .waiting import wait_until

HTTPBIND = "http://jabber.org/protocol/httpbind"


@pytest.fixture(scope="module")
def shared_world(workspace: Path) -> Iterator[World]:
    """Everything; tests take `world`."""
    with running_world(workspace / "chromium-strangers", inactivity=6) as running:
        yield running


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """Everything, and nobody there."""
    yield shared_world
    shared_world.restore()


def minted(world: World, person: Person) -> int:
    """How many tokens were made for him."""
    return world.daemon.count("operation=issue_token", "verdict=accepted", f"jid={person.jid} ")


def refusals(world: World, path: str) -> int:
    """How often nginx has passed on a "no" to a question of this path."""
    log = (world.site.folder / "nginx" / "access.log").read_text()
    return len(re.findall(rf'"GET {path} HTTP/1.1" 403 ', log))


def is_refused(world: World, path: str, many: int) -> bool:
    """So often at least."""
    return refusals(world, path) >= many


@pytest.mark.parametrize("path", ["/credentials", "/prebind"])
@pytest.mark.parametrize("host", [HOSTS["prosody"], "stranger.localhost"])
def test_a_page_of_another_origin_reads_nothing_and_has_nothing_made(
    world: World, host: str, path: str
) -> None:
    """Be it another port of the same host, whose requests have the cookie, or another site."""
    person = world.somebody("prosody")
    page = person.visit("foreign", origin=world.site.foreign_origin(host)).page
    tries = page.evaluate("() => Object.keys(tries)")
    assert len(tries) == 7
    for one in tries:
        many = refusals(world, path) + 1
        learnt = page.evaluate("([one, url]) => attempt(one, url)", [one, person.origin + path])
        assert "jid" not in learnt, one
        assert "reason" not in learnt, one
        wait_until(partial(is_refused, world, path, many), f"{one} is refused")
    assert minted(world, person) == 0
    assert person.ask(path)[0] == 200
    assert minted(world, person) == 1


def test_an_address_that_is_opened_has_nothing_made(world: World) -> None:
    """By a link of anybody's, a form, or by hand: the cookie goes along."""
    person = world.somebody("prosody")
    page = person.visit("foreign", origin=world.site.foreign_origin(HOSTS["prosody"])).page
    for path in ("/credentials", "/prebind"):
        by_hand = page.goto(person.origin + path)
        assert by_hand is not None
        assert (by_hand.status, by_hand.json()["reason"]) == (403, "origin_foreign")
        page.go_back()
        with page.expect_navigation() as link:
            page.evaluate("(url) => { location.href = url; }", person.origin + path)
        assert link.value.status == 403
        page.go_back()
    assert minted(world, person) == 0


def test_who_says_himself_that_the_proxy_knows_him_is_nobody(world: World) -> None:
    """Through the proxy he is who he is, and past it he has not its secret."""
    person = world.somebody("header")
    page = person.visit("foreign", origin=person.origin).page
    forged = """async () => {
        const headers = { 'X-Remote-User': 'mallory', 'X-Authbridge-Secret': 'guessed' };
        return (await (await fetch('/credentials', { headers })).json()).jid;
    }"""
    assert page.evaluate(forged) == person.jid
    host = HOSTS["header"]
    for guess in (b"", b"X-Authbridge-Secret: guessed\r\n"):
        answer = ask(
            world.site.web_port,
            b"GET /credentials HTTP/1.1\r\nHost: %b\r\nX-Remote-User: mallory\r\n%b\r\n"
            % (host.encode(), guess),
        )
        assert answer.status == 403
        assert b"session_forged" in answer.body


def test_a_foreign_page_gets_no_login_by_cookie_through_its_own_websocket(world: World) -> None:
    """The browser sends the cookie along, and Prosody takes the connection."""
    person = world.somebody("module")
    url = person.origin.replace("http:", "ws:") + "/xmpp-websocket"
    said = {}
    for origin in (
        person.origin,
        world.site.foreign_origin(person.host),
        world.site.foreign_origin("stranger.localhost"),
    ):
        page = person.visit("foreign", origin=origin).page
        said[origin] = page.evaluate("([url, jid]) => logIn(url, jid)", [url, person.jid])
    own, *foreign = said.values()
    assert "EXTERNAL" in own
    assert "<success" in own
    for one in foreign:
        assert "features" in one
        assert "EXTERNAL" not in one
        assert "<success" not in one


def test_converse_logs_in_by_the_sites_cookie_alone(world: World) -> None:
    """Our module for Prosody asks authbridge whose it is."""
    person = world.somebody("module")
    for transport in ("websocket", "bosh"):
        tab = person.visit("converse14", mode="external", transport=transport)
        assert tab.connected().startswith(f"{person.jid}/")
        tab.picture(f"converse14-module-external-{transport}")
        tab.close()
    assert person.asked("/credentials") == []
    assert minted(world, person) == 0
    person.log_out()
    late = person.visit("converse14", mode="external")
    late.until("disconnected")
    assert not late.status().startswith("connected")


def log_in(tab: Tab, jid: str, token: str) -> str:
    """How a login ends that a page of Strophe tries."""
    outcome: str = tab.page.evaluate("([jid, token]) => chat.logIn(jid, token, 80)", [jid, token])
    return outcome


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_a_token_that_was_used_or_is_anothers_logs_nobody_in(world: World, server: str) -> None:
    """Nor one that its own user has not yet used, as anybody else."""
    person, thief = world.somebody(server), world.somebody(server)
    tab, his = person.visit("strophe", mode="none"), thief.visit("strophe", mode="none")
    token = person.ask("/credentials")[1]["password"]
    assert log_in(his, thief.jid, token) == "authfail"
    assert log_in(his, f"admin@{DOMAINS[server]}", token) == "authfail"
    assert log_in(tab, person.jid, token) == "connected"
    assert log_in(his, person.jid, token) == "authfail"
    assert log_in(tab, person.jid, token) == "authfail"
    assert log_in(tab, person.jid, secret("no-token").decode()) == "authfail"


def test_a_token_counts_at_its_own_domain_alone_and_for_its_time(world: World) -> None:
    person, elsewhere = world.somebody("brief"), world.somebody("ejabberd")
    at_ejabberd = elsewhere.visit("strophe", mode="none")
    foreign = person.ask("/credentials")[1]["password"]
    assert log_in(at_ejabberd, f"{person.name}@{DOMAINS['ejabberd']}", foreign) == "authfail"
    token = person.ask("/credentials")[1]["password"]
    over = time.time() + BRIEF + 1
    wait_until(lambda: time.time() > over, "its time is over")
    assert log_in(person.visit("strophe", mode="none"), person.jid, token) == "authfail"
    assert world.daemon.count(f"jid={person.jid} ", "reason=token_expired") == 1


def body(sid: str, rid: int, content: str = "", attributes: str = "") -> str:
    """One request of BOSH."""
    return (
        f"<body xmlns='{HTTPBIND}' sid={quoteattr(sid)} rid='{rid}' {attributes}>{content}</body>"
    )


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
@pytest.mark.parametrize("shift", [0, -1, 20, None])
def test_a_stale_rid_one_too_high_and_an_ended_session_move_no_stanza(
    world: World, server: str, shift: int | None
) -> None:
    """None: the session was ended. 0: the right one, which does."""
    person, friend = world.somebody(server), world.friend(server)
    tab = person.visit("strophe", mode="none")
    session = person.ask("/prebind")[1]
    sid, rid = session["sid"], session["rid"]
    if shift is None:
        end = body(sid, rid, "", "type='terminate'")
        assert "terminate" in tab.page.evaluate("(end) => chat.post(end, 80)", end)
        rid += 1
    message = f"<message xmlns='jabber:client' type='chat' to={quoteattr(friend.jid)}>"
    message += "<body>stolen</body></message>"
    tab.page.evaluate("(text) => chat.post(text, 5)", body(sid, rid + (shift or 0), message))
    if shift == 0:
        assert body_of(friend) == (session["jid"], "stolen")
    other = world.friend(server)
    other.message(friend.jid, "the first")
    assert body_of(friend) == (other.jid, "the first")


def test_a_page_that_attaches_at_twice_the_inactivity_finds_its_session(world: World) -> None:
    """ejabberd's is 6 s here, and authbridge has paused it; Prosody's is a minute."""
    visits = []
    for server in ("prosody", "ejabberd"):
        person, friend = world.somebody(server), world.friend(server)
        visits.append((person, friend, person.visit("strophe", mode="prebind", delay="12")))
    for person, friend, tab in visits:
        jid = tab.connected()
        assert tab.page.evaluate("() => chat.first"), "the first stanza is lost"
        assert tab.events() == ["initialize", "attached"]
        assert person.asked("/prebind") == [200]
        tab.say(friend.jid, "here I am")
        assert body_of(friend) == (jid, "here I am")


@pytest.mark.parametrize("page", ["converse14", "strophe"])
def test_a_page_that_has_outlived_its_token_comes_back_with_another(
    world: World, page: str
) -> None:
    """The token counted for its login alone, and would have been of no use any more. A page that
    takes longer for its login asks once more."""
    person = world.somebody("brief")
    tab = person.visit(page, mode="credentials", transport="websocket")
    tab.connected()
    time.sleep(BRIEF + 1)
    tab.ping()
    before = len(person.asked("/credentials"))
    tab.page.evaluate("() => chat.drop()")
    tab.wait_until(lambda: len(person.asked("/credentials")) > before, "it has another token")
    tab.comes_back()
    asked = person.asked("/credentials")
    assert set(asked) == {200}
    assert len(set(person.tokens())) == len(asked)
    expired = world.daemon.count(f"jid={person.jid} ", "reason=token_expired")
    assert len(asked) == 2 + expired
