"""A hundred back ends, or a hundred pages, at once: each gets a session of its own."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .bosh_logins import Page, Session
from .browser_world import DOMAINS, HOSTS, World, running_world
from .raw_http import basic

MANY = 100


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[World]:
    """Everything."""
    with running_world(workspace / "web-prebind") as running:
        yield running


def ask(world: World, path: str, headers: dict[str, str], body: str = "") -> tuple[int, Session]:
    """The answer of the daemon, on a connection of its own."""
    port = world.daemon.http_port if body else world.site.web_port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    try:
        connection.request("POST" if body else "GET", path, body or None, headers)
        response = connection.getresponse()
        found = json.loads(response.read())
        assert response.status == 200, found
        return response.status, Session(found["jid"], found["sid"], found["rid"])
    finally:
        connection.close()


def assert_each_has_his_own(world: World, server: str, sessions: list[Session]) -> None:
    """Sessions that all go on, and of which no two are one."""
    bosh_url = world.servers[server].bosh_url
    assert len({session.sid for session in sessions}) == MANY
    pages = [Page(bosh_url, session) for session in sessions]
    with ThreadPoolExecutor(4) as at_once:
        assert all(at_once.map(Page.is_alive, pages))


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_a_hundred_back_ends_at_once_get_a_session_each(world: World, server: str) -> None:
    users = [f"member{number}@{DOMAINS[server]}" for number in range(MANY)]
    credentials = basic(b"website", world.daemon.website_secret)
    headers = {"Authorization": credentials, "Content-Type": "application/json"}

    def prebind(jid: str) -> Session:
        return ask(world, "/prebind", headers, json.dumps({"jid": jid}))[1]

    with ThreadPoolExecutor(MANY) as at_once:
        sessions = list(at_once.map(prebind, users))
    assert [session.jid.partition("/")[0] for session in sessions] == users
    assert_each_has_his_own(world, server, sessions)


@pytest.mark.parametrize("server", ["prosody", "ejabberd"])
def test_a_hundred_pages_at_once_get_a_session_each(world: World, server: str) -> None:
    """Four tabs of each of 25 users: within the rate of each."""
    people = [world.somebody(server) for _ in range(MANY // 4)]
    asking = [
        {"Host": HOSTS[server], "Cookie": f"sessionid={cookie}", "Sec-Fetch-Site": "same-origin"}
        for person in people
        for cookie in [
            one["value"] for one in person.context.cookies() if one["name"] == "sessionid"
        ]
        for _ in range(4)
    ]
    assert len(asking) == MANY
    with ThreadPoolExecutor(MANY) as at_once:
        sessions = [one for _, one in at_once.map(lambda who: ask(world, "/prebind", who), asking)]
    bare = [session.jid.partition("/")[0] for session in sessions]
    assert bare == [person.jid for person in people for _ in range(4)]
    assert_each_has_his_own(world, server, sessions)
