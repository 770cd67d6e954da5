"""Logins at ejabberd and Prosody with the passwords of a website: the Django example, and one that
is asked as JSXC's app is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import canary
from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret
from .daemon import Daemon
from .test_directory_logins import REFUSED
from .waiting import wait_until
from .website_world import (
    CLOUD,
    CLOUD_USERS,
    HASTY,
    MISNAMED,
    SITE,
    UNKNOWN,
    UNTRUSTED,
    USERS,
    WebsiteWorld,
    running,
)
from .xmpp import SESSION
from .xmpp_servers import XmppServers, running_servers

ALICE = f"alice@{SITE}"
SERVERS = ("ejabberd", "prosody")
HEADERS = [
    "accept", "accept-encoding", "content-length", "content-type", "host", "user-agent",
    "x-jsxc-signature",
]  # fmt: skip


@pytest.fixture(scope="module")
def everything(workspace: Path) -> Iterator[tuple[WebsiteWorld, XmppServers]]:
    with ExitStack() as ends:
        world = ends.enter_context(running(workspace / "website"))
        folder = workspace / "website-servers"
        servers = ends.enter_context(running_servers(folder, (SITE, CLOUD, HASTY), world.daemon))
        yield world, servers


@pytest.fixture
def world(everything: tuple[WebsiteWorld, XmppServers]) -> Iterator[WebsiteWorld]:
    yield everything[0]
    everything[0].restore()


@pytest.fixture
def servers(everything: tuple[WebsiteWorld, XmppServers]) -> XmppServers:
    return everything[1]


@pytest.fixture
def daemon(world: WebsiteWorld) -> Daemon:
    return world.daemon


@pytest.mark.parametrize("name", SERVERS)
def test_password_of_the_website_is_the_password_of_the_chat(
    servers: XmppServers, daemon: Daemon, name: str
) -> None:
    for user in ("alice", "bob"):
        assert servers.login(name, f"{user}@{SITE}", USERS[user]) == SESSION
    assert said(daemon, ALICE) == ("accepted", "password_matches")
    for user, password in (
        ("alice", USERS["bob"]),
        ("alice", secret("wrong")),
        ("alice", USERS["alice"] + b" "),
        ("odd", USERS["Odd"]),
        ("gone", USERS["gone"]),
        ("nobody", USERS["alice"]),
    ):
        assert servers.login(name, f"{user}@{SITE}", password) == REFUSED, user
        assert said(daemon, f"{user}@{SITE}") == ("rejected", "password_mismatch")


@pytest.mark.parametrize("name", SERVERS)
def test_login_by_jsxc_is_signed_and_for_the_account_that_was_asked_about(
    servers: XmppServers, daemon: Daemon, name: str
) -> None:
    for user in ("alice", "bob"):
        assert servers.login(name, f"{user}@{CLOUD}", CLOUD_USERS[user]) == SESSION
    assert servers.login(name, f"bob@{CLOUD}", secret("wrong")) == REFUSED
    assert said(daemon, f"bob@{CLOUD}") == ("rejected", "password_mismatch")
    # Somebody has taken a name there that reads like another's JID, and is found by it.
    impostor = CLOUD_USERS[f"alice@{CLOUD}"]
    assert servers.login(name, f"alice@{CLOUD}", impostor) == REFUSED
    assert said(daemon, f"alice@{CLOUD}") == ("rejected", "not_canonical")


def test_website_tells_who_exists(daemon: Daemon) -> None:
    for domain, users in ((SITE, ("alice", "bob")), (CLOUD, ("alice", "bob"))):
        for user in users:
            assert user_exists(daemon, f"{user}@{domain}") == YES
    for jid in (f"nobody@{SITE}", f"gone@{SITE}", f"odd@{SITE}", f"nobody@{CLOUD}"):
        assert user_exists(daemon, jid) == NO


def forged(bob: bytes) -> dict[str, bytes]:
    """Users, and passwords, by which Bob would be let in, whose password this is, if they became a
    part of what is sent."""
    return {
        "alice": b"x&username=bob&password=" + bob,
        "bob%00": bob,
        "bob%26domain=": bob,
        "bob+": bob,
        "bob#": bob,
        "bob;password=x": bob,
        "bob=bob": bob,
        "bob\\": b'x", "username": "bob", "password": "' + bob,
        # XEP-0106: x&username=bob, and x", "username": "bob
        r"x\26username=bob": bob,
        r"x\22,\20\22username\22\3a\20\22bob": bob,
    }


@pytest.mark.parametrize("name", SERVERS)
def test_names_and_passwords_are_no_parts_of_a_request(
    servers: XmppServers, world: WebsiteWorld, name: str
) -> None:
    """Neither fields nor headers are made of them, and the signature is over what was sent."""
    for domain, users in ((CLOUD, CLOUD_USERS), (SITE, USERS)):
        for user, password in forged(users["bob"]).items():
            jid = f"{user}@{domain}"
            assert servers.login(name, jid, password) == REFUSED, jid
            assert said(world.daemon, jid) == ("rejected", "password_mismatch"), jid
        # Which no XMPP server lets through.
        for password in (
            b"x\r\nX-JSXC-SIGNATURE: sha1=0\r\n\r\n" + users["bob"],
            b"x\noperation=isuser",
        ):
            assert check_password(world.daemon, f"bob@{domain}", password) == NO
    signed = [heard for heard in world.double.heard if heard.line == "POST /jsxc HTTP/1.1"]
    assert signed
    for heard in signed:
        assert sorted(name for name, _ in heard.headers) == HEADERS


OUTAGES: dict[str, tuple[Callable[[WebsiteWorld], object], str, str]] = {
    "nginx stopped": (lambda world: world.django.nginx.stop(), SITE, "website_unreachable"),
    "the site stopped": (lambda world: world.django.django.kill(), SITE, "website_failed"),
    "the site hangs": (lambda world: world.django.django.pause(), HASTY, "website_unreachable"),
}


@pytest.mark.parametrize(("outage", "domain", "reason"), OUTAGES.values(), ids=OUTAGES)
def test_nobodys_password_is_wrong_while_the_website_is_away(
    servers: XmppServers,
    world: WebsiteWorld,
    outage: Callable[[WebsiteWorld], object],
    domain: str,
    reason: str,
) -> None:
    alice = f"alice@{domain}"

    def let_in() -> None:
        """Once: a second, which HASTY has, is little for a machine that is busy."""
        for name in SERVERS:
            wait_until(
                lambda: servers.login(name, alice, USERS["alice"]) == SESSION,  # noqa: B023
                "alice is let in",
            )

    let_in()
    outage(world)
    clients = [servers.connect(name, domain) for name in SERVERS for _ in range(2)]
    passwords = [USERS["alice"], secret("wrong-in-outage")] * 2
    for client, password in zip(clients, passwords, strict=True):
        client.send_plain(b"alice", password)
    # Others are asked meanwhile.
    assert servers.login("ejabberd", f"bob@{CLOUD}", CLOUD_USERS["bob"]) == SESSION
    assert [client.outcome() for client in clients] == [REFUSED] * 4
    lines = world.daemon.logins(alice)[-4:]
    assert [(line["verdict"], line["reason"]) for line in lines] == [("unavailable", reason)] * 4
    assert check_password(world.daemon, alice, USERS["alice"])[0] == CANNOT_TELL
    assert user_exists(world.daemon, alice)[0] == CANNOT_TELL
    assert f"website {world.django.url}/chat/" in world.daemon.log.read_text()
    world.restore()
    let_in()


def test_login_under_way_waits_for_a_website_that_hung_for_a_moment(
    servers: XmppServers, world: WebsiteWorld
) -> None:
    world.django.django.pause()
    client = servers.connect("prosody", SITE)
    client.send_plain(b"alice", USERS["alice"])
    world.django.django.resume()
    assert client.outcome() == SESSION


def test_connection_that_the_website_has_closed_is_not_missed(world: WebsiteWorld) -> None:
    for _ in range(3):
        assert check_password(world.daemon, ALICE, USERS["alice"]) == YES
        world.django.nginx.stop()
        world.django.nginx.start()
    assert check_password(world.daemon, ALICE, USERS["alice"]) == YES


def test_website_that_is_not_the_one_that_was_meant_is_told_nothing(
    world: WebsiteWorld, daemon: Daemon
) -> None:
    """Another authority's certificate, and one for another name."""
    asked = world.django.nginx.folder / "access.log"
    before = asked.read_text()
    for domain, words in (
        (UNTRUSTED, "the certificate is not signed by the authority of that name that is trusted"),
        (MISNAMED, "the certificate is not for localhost, but for www.site.example, 127.0.0.1"),
    ):
        jid = f"alice@{domain}"
        assert check_password(daemon, jid, USERS["alice"])[0] == CANNOT_TELL
        assert said(daemon, jid) == ("unavailable", "website_unreachable")
        explained = explain(daemon, jid, USERS["alice"])
        assert explained.returncode == 3
        assert words in explained.stdout
    assert asked.read_text() == before


def test_secret_that_the_website_does_not_know_is_nobodys_wrong_password(daemon: Daemon) -> None:
    jid = f"alice@{UNKNOWN}"
    assert check_password(daemon, jid, USERS["alice"])[0] == CANNOT_TELL
    assert said(daemon, jid) == ("unavailable", "website_failed")
    assert user_exists(daemon, jid)[0] == CANNOT_TELL
    assert "answers 401: is secret_file right?" in explain(daemon, jid, USERS["alice"]).stdout


def test_explain_and_probe_say_what_was_asked_and_answered(
    world: WebsiteWorld, daemon: Daemon
) -> None:
    found = explain(daemon, ALICE, USERS["alice"])
    assert found.returncode == 0
    for words in (
        f"POST {world.django.url}/chat/check-password, json",
        "200, application/json",
        "accepted: yes",
    ):
        assert words in found.stdout
    assert explain(daemon, ALICE, secret("wrong-explained")).returncode == 1
    probed = probe(daemon)
    assert probed.returncode == 3
    for words in (
        f"[checkers.{SITE}] answers",
        "[checkers.cloud] answers",
        "[checkers.page] answers",
        f"[checkers.{UNTRUSTED}] fails: the website could not be asked",
        "[checkers.open] fails: the website answered what says neither yes nor no",
        "says yes to a made-up user with a made-up password",
    ):
        assert words in probed.stdout, probed.stdout
    shown = canary.Search(canary.registered()).places((found.stdout + probed.stdout).encode())
    assert list(shown) == []
