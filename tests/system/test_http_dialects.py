"""What Prosody's mod_auth_http, MongooseIM and ejabberd-contrib ask, by the octet, as their sources
and the wire tell it, and the answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from authbridge.model import Reason

from .canary import secret
from .http_daemon import AWAY, DEMAND, HERE, ODD, OLD, USERS, HttpDaemon
from .raw_http import Answer, Connection, answer, ask, basic

#: How each writes ODD, recorded: util.http of Prosody 0.12; uri_string's compose_query and quote of
#: Erlang/OTP 25; http_uri's encode, which went before.
BY_PROSODY = b"p%c3%a4ssw%c3%b6rd+%e2%9c%93+%e5%af%86%e7%a0%81+a%2bb%25~%2a"
COMPOSED = b"p%C3%A4ssw%C3%B6rd+%E2%9C%93+%E5%AF%86%E7%A0%81+a%2Bb%25%7E*"
QUOTED = b"p%C3%A4ssw%C3%B6rd%20%E2%9C%93%20%E5%AF%86%E7%A0%81%20a%2Bb%25~%2A"
BEFORE_QUOTE = "pässwörd%20✓%20密码%20a%2Bb%25~*".encode()
#: What ejabberd-contrib makes of it with OTP 25: it quotes octets as if they were characters.
TWICE = (
    b"p%C3%83%C2%A4ssw%C3%83%C2%B6rd%20%C3%A2%C2%9C%C2%93%20%C3%A5%C2%AF%C2%86%C3%A7%C2%A0%C2%81"
    b"%20a%2Bb%25~%2A"
)
#: What is behind ODD in the password.
END = USERS["çelik"].removeprefix(ODD.encode())
ALICE = USERS["alice"]

TRUE, FALSE = answer("200 OK", b"true"), answer("200 OK", b"false")
CREATED = answer("201 Created", b"true")
UNAVAILABLE = answer("503 Service Unavailable", b"unavailable", Retry_After="5")
TAKEN = answer("409 Conflict", b"there is such a user already")
UNACCEPTABLE = answer(
    "403 Forbidden",
    f"{Reason.PASSWORD_UNACCEPTABLE.value}: {Reason.PASSWORD_UNACCEPTABLE.words}".encode(),
)
NOT_DONE = answer("501 Not Implemented", b"nobody here can do that")

CHANGES = ("set_password", "register", "remove_user", "remove_user_validate")
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


@dataclass(frozen=True)
class Caller:
    """A program of the family. fusco, which two of them use, sends a Content-Length always."""

    client: str
    #: How it writes what has to be escaped.
    celik: bytes
    odd: bytes
    colon: bytes
    order: tuple[str, ...]
    #: Host, length, credentials and more headers; `{kind}` is that of a form.
    headers: bytes
    #: What it says of a form.
    kind: bytes
    length_always: bool = True
    #: Whether there is a `pass` where no password is needed.
    pass_always: bool = True

    def ask(self, daemon: HttpDaemon, verb: str, user: bytes, domain: str, word: bytes) -> bytes:
        """The octets of a question about a user and a password, both as it writes them."""
        values = {"user": user, "server": domain.encode(), "pass": word}
        if not self.pass_always and verb in ("user_exists", "remove_user"):
            del values["pass"]
        names = [name for name in self.order if name in values]
        form = b"&".join(name.encode() + b"=" + values[name] for name in names)
        change = verb in CHANGES
        line = f"POST /auth/{verb}".encode() if change else b"GET /auth/%b?" % verb.encode() + form
        body = form if change else b""
        length = b"Content-Length: %d\r\n" % len(body) if change or self.length_always else b""
        headers = self.headers % {
            b"host": daemon.host(),
            b"length": length,
            b"credentials": daemon.credentials(self.client),
            b"kind": self.kind if change else b"",
        }
        return line + b" HTTP/1.1\r\n" + headers + b"\r\n" + body


_FUSCO = b"Host: %(host)b\r\n%(length)bAuthorization: %(credentials)b\r\n%(kind)b"
MONGOOSEIM = Caller(
    *("mongooseim", b"%C3%A7elik", COMPOSED, b"%3A"),
    *(("user", "server", "pass"), _FUSCO, b""),  # it does not say that a form is one
)
CONTRIB = Caller(
    *("contrib", b"%C3%A7elik", QUOTED, b"%3A"),
    *(("user", "server", "pass"), _FUSCO, FORM),
)
PROSODY = Caller(
    *("prosody", b"%c3%a7elik", BY_PROSODY, b"%3a"),
    ("pass", "user", "server"),
    b"User-Agent: Prosody XMPP Server\r\n%(kind)bAuthorization: %(credentials)b\r\n%(length)b"
    b"Host: %(host)b\r\n",
    FORM,
    length_always=False,
    pass_always=False,
)
#: Another process of Prosody has another order, and another version another name of a form.
OTHER_PROSODY = Caller(
    *("prosody", b"%c3%a7elik", BY_PROSODY, b"%3a"),
    ("server", "pass", "user"),
    b"Host: %(host)b\r\n%(length)b%(kind)bUser-Agent: Prosody XMPP Server\r\n"
    b"Authorization: %(credentials)b\r\n",
    b"Content-Type: application/x/www-form-urlencoded\r\n",
    length_always=False,
    pass_always=False,
)
CALLERS = {
    "mongooseim": MONGOOSEIM,
    "ejabberd-contrib": CONTRIB,
    "prosody": PROSODY,
    "prosody-again": OTHER_PROSODY,
}


@pytest.fixture(scope="module")
def daemon(workspace: Path) -> Iterator[HttpDaemon]:
    """The daemon that they all ask; no test stops it."""
    running = HttpDaemon(workspace / "dialects")
    running.start()
    yield running
    running.stop()


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest) -> Caller:
    """Each of them in turn."""
    return CALLERS[request.param]


@pytest.fixture
def connection(daemon: HttpDaemon) -> Iterator[Connection]:
    """One to the daemon."""
    with Connection(daemon.http_port) as opened:
        yield opened


def told(connection: Connection, octets: bytes) -> Answer:
    """The answer, but for its id."""
    return connection.ask(octets).any_id()


def test_passwords_are_checked_one_after_the_other_on_one_connection(
    daemon: HttpDaemon, caller: Caller, connection: Connection
) -> None:
    """Right ones, with all that has to be escaped, and wrong ones."""

    def check(user: bytes, word: bytes) -> Answer:
        return told(connection, caller.ask(daemon, "check_password", user, HERE, word))

    bob = USERS["bob"].replace(b":", caller.colon)
    for _ in range(10):
        assert check(b"alice", ALICE) == TRUE
        assert check(b"bob", bob) == TRUE
        assert check(caller.celik, caller.odd + END) == TRUE
        assert check(b"alice", bob) == FALSE
        assert check(caller.celik, caller.odd) == FALSE
        assert check(b"nobody", ALICE) == FALSE


def test_users_are_looked_for(daemon: HttpDaemon, caller: Caller, connection: Connection) -> None:
    """A `pass` that is there and empty is no password."""

    def exists(user: bytes, domain: str) -> Answer:
        return told(connection, caller.ask(daemon, "user_exists", user, domain, b""))

    assert exists(caller.celik, HERE) == TRUE
    assert exists(b"nobody", HERE) == FALSE
    assert exists(b"alice", AWAY) == UNAVAILABLE


def test_empty_password_is_refused(
    daemon: HttpDaemon, caller: Caller, connection: Connection
) -> None:
    """It is there, so that the question is one, and nobody's."""
    found = connection.ask(caller.ask(daemon, "check_password", b"alice", HERE, b""))
    assert found.any_id() == FALSE
    assert "reason=password_blank" in daemon.line(found.id)


def test_outage_is_neither_yes_nor_no(
    daemon: HttpDaemon, caller: Caller, connection: Connection
) -> None:
    """And the connection stays for the next question."""
    octets = caller.ask(daemon, "check_password", b"alice", AWAY, ALICE)
    assert [told(connection, octets) for _ in range(2)] == [UNAVAILABLE] * 2


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ("done", CREATED),
        ("unacceptable", UNACCEPTABLE),
        ("off", NOT_DONE),
        ("down", UNAVAILABLE),
        ("unsure", UNAVAILABLE),
    ],
)
def test_registration_is_answered(
    *, daemon: HttpDaemon, caller: Caller, connection: Connection, beginning: str, expected: Answer
) -> None:
    """201 alone is a yes; the connection stays whatever is answered."""
    user = f"{beginning}-{caller.order[0]}-{caller.client}".encode()
    octets = caller.ask(daemon, "register", user, DEMAND, caller.odd + END)
    found = connection.ask(octets)
    assert found.any_id() == expected
    assert f" operation=register jid={user.decode()}@{DEMAND} " in daemon.line(found.id)
    # Whoever sends it again, as fusco does when a connection ends without an answer:
    assert told(connection, octets) == (TAKEN if expected is CREATED else expected)
    login = caller.ask(daemon, "check_password", user, DEMAND, caller.odd + END)
    assert told(connection, login) == (TRUE if expected is CREATED else FALSE)


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ("done", TRUE),
        ("unacceptable", UNACCEPTABLE),
        ("off", NOT_DONE),
        ("down", UNAVAILABLE),
    ],
)
def test_password_change_is_answered(
    *, daemon: HttpDaemon, caller: Caller, connection: Connection, beginning: str, expected: Answer
) -> None:
    """No 2xx where nothing was changed; sent again it says the same."""
    user = f"{beginning}-{caller.order[0]}-{caller.client}-old".encode()
    octets = caller.ask(daemon, "set_password", user, DEMAND, caller.odd + END)
    found = connection.ask(octets)
    assert found.any_id() == expected
    assert f" operation=set_password jid={user.decode()}@{DEMAND} " in daemon.line(found.id)
    assert told(connection, octets) == expected
    new = caller.ask(daemon, "check_password", user, DEMAND, caller.odd + END)
    assert told(connection, new) == (TRUE if expected is TRUE else FALSE)
    old = caller.ask(daemon, "check_password", user, DEMAND, OLD)
    assert told(connection, old) == (FALSE if expected is TRUE else TRUE)


@pytest.mark.parametrize(
    "verb", ["remove_user", "remove_user_validate", "get_password", "get_certs"]
)
def test_what_nobody_does_is_answered_with_501(
    daemon: HttpDaemon, caller: Caller, verb: str
) -> None:
    """With a length, which MongooseIM insists on."""
    found = ask(daemon.http_port, caller.ask(daemon, verb, b"alice", HERE, ALICE))
    assert found.line == NOT_DONE.line
    assert found.body == NOT_DONE.body
    assert "reason=not_supported" in daemon.line(found.id)


@pytest.mark.parametrize(
    ("user", "word", "expected"),
    [
        (b"\xc3\xa7elik", BEFORE_QUOTE, TRUE),
        (b"%C3%83%C2%A7elik", TWICE, FALSE),
        (b"%C3%A7elik", TWICE, FALSE),
    ],
    ids=["before-otp-25", "otp-25", "otp-25-password"],
)
def test_ejabberd_contrib_writes_what_is_not_ascii_in_its_own_ways(
    *, daemon: HttpDaemon, connection: Connection, user: bytes, word: bytes, expected: Answer
) -> None:
    """Raw with an old Erlang, which is right; twice over with a new one, which is somebody else's
    name and password: nothing is guessed."""
    octets = CONTRIB.ask(daemon, "check_password", user, HERE, word + END)
    assert told(connection, octets) == expected


@pytest.mark.parametrize(
    "credentials",
    [b"Basic ", basic(b"", b""), basic(b"contrib", b""), basic(b"contrib", b"wrong")],
    ids=["nothing", "empty", "no-secret", "wrong-secret"],
)
def test_caller_without_its_secret_learns_nothing(daemon: HttpDaemon, credentials: bytes) -> None:
    """401, and the connection ends. ejabberd-contrib sends empty credentials where it has none."""
    octets = CONTRIB.ask(daemon, "check_password", b"alice", HERE, ALICE)
    octets = octets.replace(daemon.credentials("contrib"), credentials)
    with Connection(daemon.http_port) as connection:
        found = connection.ask(octets + octets)
        assert found.line == "HTTP/1.1 401 Unauthorized"
        assert found.headers["WWW-Authenticate"].startswith('Basic realm="authbridge"')
        assert found.headers["Connection"] == "close"
        assert found.body not in (b"true", b"")
        assert "reason=caller_unknown" in daemon.line(found.id)
        assert connection.at_end()


def test_derived_password_of_scram_is_refused(daemon: HttpDaemon, connection: Connection) -> None:
    """What MongooseIM and ejabberd-contrib make of one unless their format is plain."""
    derived = b"==SCRAM==%2Ctmi5IE" + secret("derived")
    found = connection.ask(
        MONGOOSEIM.ask(daemon, "set_password", b"done-scram-old", DEMAND, derived)
    )
    assert found.line == "HTTP/1.1 400 Bad Request"
    assert b"SCRAM" in found.body
    assert derived not in found.body
