"""Logins by BOSH at real servers: what is handed over is alive, and nothing else is left."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest

from .bosh_logins import Login, Logins, Page, Refusal, running_logins
from .bosh_servers import BoshEjabberd, BoshProsody
from .canary import unguarded
from .pki import Pki, make_pki
from .ports import free_port
from .waiting import wait_until
from .xmpp import SESSION, Client, local

HOST = "bosh.test"
#: Where ejabberd forgets sessions soon; elsewhere later than any machine stalls.
BRIEF = "brief.bosh.test"
PASSWORD = unguarded("bosh-user").decode()  # ejabberd logs it
MANY = 100
USERS = ("romeo", "juliet", *(f"guest{number}" for number in range(MANY)))
INACTIVITY = 6
"""Seconds."""

BoshServer = BoshProsody | BoshEjabberd
S = TypeVar("S", BoshProsody, BoshEjabberd)


@pytest.fixture(scope="module")
def bosh_pki(workspace: Path) -> Pki:
    """For the domain, and the address at which the servers are called."""
    return make_pki(workspace / "bosh-tls", [HOST], ["127.0.0.1"])


@pytest.fixture(scope="module")
def ends() -> Iterator[ExitStack]:
    """What is to be done when the tests of this file are over."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def bosh_prosody(workspace: Path, bosh_pki: Pki, ends: ExitStack) -> BoshProsody:
    """One with accounts of its own."""
    return _with_users(BoshProsody(workspace / "bosh-prosody", bosh_pki, [HOST]), ends)


@pytest.fixture(scope="module")
def bosh_ejabberd(workspace: Path, bosh_pki: Pki, ends: ExitStack) -> BoshEjabberd:
    """One with accounts of its own."""
    modules = f"{{mod_bosh: {{max_inactivity: {INACTIVITY}}}, mod_roster: {{}}}}"
    of_brief = f"host_config: {{{BRIEF}: {{modules: {modules}}}}}"
    hosts = [HOST, BRIEF]
    return _with_users(
        BoshEjabberd(workspace / "bosh-ejabberd", bosh_pki, hosts, inactivity=60, top=of_brief),
        ends,
    )


def _with_users(server: S, ends: ExitStack) -> S:
    server.start()
    ends.callback(server.stop)
    for user in USERS:
        server.add_user(user, HOST, PASSWORD)
    return server


@pytest.fixture(params=["bosh_prosody", "bosh_ejabberd"])
def bosh_server(request: pytest.FixtureRequest) -> BoshServer:
    """Each of them in turn."""
    found: BoshServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def shared_logins() -> Iterator[Logins]:
    """The process that logs in."""
    with running_logins() as logins:
        yield logins


@pytest.fixture
def logins(shared_logins: Logins, bosh_server: BoshServer) -> Logins:
    """The same; "http" and "https" are the server, as it should be called."""
    shared_logins.server("http", bosh_server.bosh_url)
    return shared_logins


# --- what is handed over --------------------------------------------------------------------------


def test_a_session_that_is_handed_over_is_alive(bosh_server: BoshServer, logins: Logins) -> None:
    session = logins.log_in("http", f"romeo@{HOST}", PASSWORD).session
    bare, _, resource = session.jid.partition("/")
    assert bare == f"romeo@{HOST}"
    assert bosh_server.resources("romeo", HOST) == [resource]
    page = Page(bosh_server.bosh_url, session)
    assert page.iq("get", "<query xmlns='jabber:iq:roster'/>").get("type") == "result"
    assert page.is_alive()
    _end(bosh_server, page)


def _end(server: BoshServer, page: Page) -> None:
    before = server.sessions()
    page.terminate()
    wait_until(lambda: server.sessions() < before, "the session is gone")


def test_over_tls_it_is_the_same(bosh_server: BoshServer, logins: Logins, bosh_pki: Pki) -> None:
    logins.server("https", bosh_server.bosh_tls_url, bosh_pki.ca)
    session = logins.log_in("https", f"romeo@{HOST}", PASSWORD).session
    page = Page(bosh_server.bosh_url, session)
    assert page.is_alive()
    _end(bosh_server, page)


def test_the_first_stanza_of_the_page_is_not_lost(
    bosh_server: BoshServer, logins: Logins, bosh_pki: Pki
) -> None:
    with Client(bosh_server.port, HOST, bosh_pki.ca) as juliet:
        assert juliet.login(b"juliet", PASSWORD.encode()) == SESSION
        juliet.bind()
        juliet.presence()
        juliet.synchronise()
        juliet.inbox.clear()
        session = logins.log_in("http", f"romeo@{HOST}", PASSWORD).session
        page = Page(bosh_server.bosh_url, session)
        first = (
            f"<message xmlns='jabber:client' type='chat' to='{juliet.jid}'>"
            "<body>the first</body></message>"
        )
        answer = page.iq("get", "<query xmlns='jabber:iq:roster'/>", beside=first)
        assert answer.get("type") == "result"
        received = juliet.receive()
        assert (local(received), received.get("from")) == ("message", session.jid)
        _end(bosh_server, page)


@pytest.mark.parametrize("resource", ["chat", 'a room <of> "one\'s" & own', "Ω ß 𝄞"])
def test_a_resource_that_is_asked_for_is_bound(
    bosh_server: BoshServer, logins: Logins, resource: str
) -> None:
    session = logins.log_in("http", f"romeo@{HOST}", PASSWORD, resource).session
    assert session.jid == f"romeo@{HOST}/{resource}"
    _end(bosh_server, Page(bosh_server.bosh_url, session))


def test_a_resource_in_use_goes_to_the_last_who_asks(
    bosh_server: BoshServer, logins: Logins
) -> None:
    old, new = (logins.log_in("http", f"romeo@{HOST}", PASSWORD, "both").session for _ in range(2))
    assert old.jid == new.jid
    assert old.sid != new.sid
    assert not Page(bosh_server.bosh_url, old).is_alive()
    page = Page(bosh_server.bosh_url, new)
    assert page.is_alive()
    _end(bosh_server, page)


def test_without_one_each_login_has_a_resource_of_its_own(
    bosh_server: BoshServer, logins: Logins
) -> None:
    sessions = [logins.log_in("http", f"romeo@{HOST}", PASSWORD).session for _ in range(3)]
    assert len({session.jid for session in sessions}) == 3
    for session in sessions:
        page = Page(bosh_server.bosh_url, session)
        assert page.is_alive()
        _end(bosh_server, page)


def test_a_hundred_log_in_at_once(bosh_server: BoshServer, logins: Logins) -> None:
    """And each page goes on with its session at once."""
    logins.server("hundred", bosh_server.bosh_url, at_once=MANY)
    users = [f"guest{number}@{HOST}" for number in range(MANY)]
    begun = [logins.log_in("hundred", user, PASSWORD) for user in users]

    def goes_on(login: Login) -> tuple[str, bool]:
        session = login.session
        page = Page(bosh_server.bosh_url, session)
        alive = page.is_alive()
        page.terminate()
        return session.jid.partition("/")[0], alive

    with ThreadPoolExecutor(MANY) as at_once:
        assert list(at_once.map(goes_on, begun)) == [(user, True) for user in users]
    _settled(bosh_server)


def test_a_page_that_comes_after_twice_the_inactivity_finds_its_session(
    bosh_ejabberd: BoshEjabberd, shared_logins: Logins
) -> None:
    """Since the session was paused; without, it would be gone."""
    _settled(bosh_ejabberd)
    bosh_ejabberd.add_user("romeo", BRIEF, PASSWORD)
    shared_logins.server("http", bosh_ejabberd.bosh_url)
    session = shared_logins.log_in("http", f"romeo@{BRIEF}", PASSWORD).session
    time.sleep(2 * INACTIVITY)
    page = Page(bosh_ejabberd.bosh_url, session)
    assert page.is_alive()
    _settled(bosh_ejabberd)  # this time nobody has paused it
    assert not page.is_alive()


# --- what is not ----------------------------------------------------------------------------------


def test_a_wrong_password_is_refused_and_leaves_no_session(
    bosh_server: BoshServer, logins: Logins
) -> None:
    _settled(bosh_server)
    outcome = logins.log_in("http", f"romeo@{HOST}", "wrong").outcome
    assert outcome == Refusal("BoshRefused", "the server refuses the login: not-authorized")
    _settled(bosh_server)


def _settled(server: BoshServer) -> None:
    wait_until(lambda: server.sessions() == 0, "there is no session")


def test_a_user_who_is_not_there_is_refused(bosh_server: BoshServer, logins: Logins) -> None:
    outcome = logins.log_in("http", f"nobody@{HOST}", PASSWORD).outcome
    assert outcome == Refusal("BoshRefused", "the server refuses the login: not-authorized")


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        (
            "bosh_prosody",
            Refusal("BoshRefused", "the server ends the session: improper-addressing"),
        ),
        (
            "bosh_ejabberd",  # which says nothing better
            Refusal("BoshUnreachable", "the server ends the session: internal-server-error"),
        ),
    ],
)
def test_a_domain_that_the_server_does_not_have_is_none(
    request: pytest.FixtureRequest, shared_logins: Logins, name: str, outcome: Refusal
) -> None:
    shared_logins.server("http", request.getfixturevalue(name).bosh_url)
    assert shared_logins.log_in("http", "romeo@elsewhere.test", PASSWORD).outcome == outcome


def test_a_server_that_is_down_is_said_to_be(shared_logins: Logins) -> None:
    shared_logins.server("down", f"http://127.0.0.1:{free_port()}/bosh")
    outcome = shared_logins.log_in("down", f"romeo@{HOST}", PASSWORD).outcome
    assert outcome == Refusal("BoshUnreachable", "connection refused")


def test_another_path_of_the_server_is_no_bosh(bosh_server: BoshServer, logins: Logins) -> None:
    logins.server("astray", bosh_server.bosh_url + "-not")
    outcome = logins.log_in("astray", f"romeo@{HOST}", PASSWORD).outcome
    assert outcome == Refusal("BoshUnreachable", "the server answers 404: is bosh_url right?")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bosh_prosody", "TLS failed (tlsv1 unrecognized name)"),  # as the server has it
        ("bosh_ejabberd", f"the certificate is not for localhost, but for {HOST}, 127.0.0.1"),
    ],
)
def test_a_server_that_is_not_the_one_of_the_name_is_told_nothing(
    request: pytest.FixtureRequest, shared_logins: Logins, bosh_pki: Pki, name: str, words: str
) -> None:
    server: BoshServer = request.getfixturevalue(name)
    url = server.bosh_tls_url.replace("127.0.0.1", "localhost")
    shared_logins.server("another", url, bosh_pki.ca)
    outcome = shared_logins.log_in("another", f"romeo@{HOST}", PASSWORD).outcome
    assert outcome == Refusal("BoshUnreachable", words)
    _settled(server)


def test_a_server_of_an_authority_that_is_not_trusted_is_told_nothing(
    bosh_server: BoshServer, logins: Logins, pki: Pki
) -> None:
    logins.server("stranger", bosh_server.bosh_tls_url, pki.ca)
    outcome = logins.log_in("stranger", f"romeo@{HOST}", PASSWORD).outcome
    assert isinstance(outcome, Refusal)
    assert outcome.error == "BoshUnreachable"
    assert "certificate" in outcome.words
    _settled(bosh_server)


def test_a_server_that_hangs_can_be_given_up(bosh_server: BoshServer, logins: Logins) -> None:
    _settled(bosh_server)
    bosh_server.process.pause()
    try:
        login = logins.log_in("http", f"romeo@{HOST}", PASSWORD)
        login.cancel()
        assert login.outcome == Refusal("CancelledError", "")
    finally:
        bosh_server.process.resume()
    page = Page(bosh_server.bosh_url, logins.log_in("http", f"romeo@{HOST}", PASSWORD).session)
    assert page.is_alive()
    _end(bosh_server, page)


def test_a_session_that_nobody_wants_is_ended(bosh_server: BoshServer, logins: Logins) -> None:
    _settled(bosh_server)
    login = logins.log_in("http", f"romeo@{HOST}", PASSWORD)
    session = login.session
    login.end()
    _settled(bosh_server)
    assert not Page(bosh_server.bosh_url, session).is_alive()


def test_without_plain_nobody_is_let_in(
    workspace: Path, bosh_pki: Pki, shared_logins: Logins
) -> None:
    server = BoshProsody(workspace / "bosh-insecure", bosh_pki, [HOST], secure=False)
    server.start()
    try:
        server.add_user("romeo", HOST, PASSWORD)
        shared_logins.server("insecure", server.bosh_url)
        outcome = shared_logins.log_in("insecure", f"romeo@{HOST}", PASSWORD).outcome
        words = "the server offers no PLAIN: is consider_bosh_secure set?"
        assert outcome == Refusal("BoshRefused", words)
        _settled(server)
    finally:
        server.stop()


def test_a_login_that_is_given_up_while_prosody_asks_for_the_password_leaves_no_session(
    workspace: Path, bosh_pki: Pki, shared_logins: Logins
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, ExitStack() as ends:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/auth"
        server = BoshProsody(workspace / "bosh-asking", bosh_pki, [HOST], url, "a:b")
        server.start()
        ends.callback(server.stop)
        _give_up(server, shared_logins, lambda: ends.enter_context(mute.accept()[0]))


def test_a_login_that_is_given_up_while_ejabberd_asks_for_the_password_leaves_no_session(
    workspace: Path, bosh_pki: Pki, shared_logins: Logins
) -> None:
    asked = workspace / "bosh-asked"
    asked.touch()
    program = workspace / "bosh-mute"
    # With its stdout open: without, ejabberd takes it for dead.
    program.write_text(f"#!/bin/sh\nexec cat 3>&1 >>{asked}\n")
    program.chmod(0o700)
    server = BoshEjabberd(workspace / "bosh-asking-e", bosh_pki, [HOST], str(program))
    server.start()
    try:
        _give_up(server, shared_logins, lambda: b"auth:romeo" in asked.read_bytes())
    finally:
        server.kill()


def _give_up(server: BoshServer, logins: Logins, asked: Callable[[], object]) -> None:
    """Begin a login, and give it up when the server is asking."""
    logins.server("asking", server.bosh_url)
    login = logins.log_in("asking", f"romeo@{HOST}", PASSWORD)
    wait_until(asked, "the server asks for the password")
    assert server.sessions() == 1
    login.cancel()
    assert login.outcome == Refusal("CancelledError", "")
    _settled(server)
