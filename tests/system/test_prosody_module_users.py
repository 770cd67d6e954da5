"""What our module for Prosody says about users: whether they exist, also in an outage, and what is
written when the options allow it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .canary import secret
from .pki import Pki, make_pki
from .prosody_bridge import HANGING, NO, YES, Bridge, Reply, Request, decided
from .prosody_module import HASTY, ModuleProsody
from .waiting import wait_until
from .xmpp import SESSION, Client, condition, local

#: Where nothing may be written, as by default; and where it may.
READS = "reads.example"
WRITES = "writes.example"
#: Whose questions wait for 2 s alone.
BRIEF = "brief.example"
PASSWORD = secret("wonderland")
NEW = secret("looking-glass")
OUTAGES = [Reply(503, b"unavailable"), Reply(200, b"maybe"), Reply(401, b"credentials?"), HANGING]
OUTAGE = "temporary-auth-failure"


@pytest.fixture(scope="module")
def pki(workspace: Path) -> Pki:
    return make_pki(workspace / "module-users-tls", [READS, WRITES, BRIEF])


@pytest.fixture(scope="module")
def shared_bridge() -> Iterator[Bridge]:
    with Bridge() as bridge:
        yield bridge


@pytest.fixture(scope="module")
def prosody(workspace: Path, pki: Pki, shared_bridge: Bridge) -> Iterator[ModuleProsody]:
    hosts = {READS: "", WRITES: "authbridge_writes = true", BRIEF: HASTY}
    server = ModuleProsody(workspace / "module-users", pki, hosts, shared_bridge.url)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bridge(shared_bridge: Bridge) -> Iterator[Bridge]:
    yield shared_bridge
    shared_bridge.reset()


@pytest.fixture
def alice(prosody: ModuleProsody, pki: Pki, bridge: Bridge) -> Iterator[Client]:
    with Client(prosody.port, WRITES, pki.ca) as client:
        assert client.login(b"alice", PASSWORD) == SESSION
        client.bind()
        bridge.requests.clear()
        yield client


@pytest.fixture
def newcomer(prosody: ModuleProsody, pki: Pki) -> Iterator[Client]:
    with Client(prosody.port, WRITES, pki.ca) as client:
        yield client


def core(verb: str, *arguments: str, host: str = WRITES) -> str:
    """Lua for a question to Prosody's core.usermanager."""
    given = ", ".join([*arguments, f'"{host}"'])
    return f'return tostring((require "core.usermanager".{verb}({given})))'


def bounced(client: Client, user: str, host: str = WRITES) -> str:
    """Send a message to him, who is away; the condition of the error, or "" where none comes."""
    client.message(f"{user}@{host}", "hello")
    client.synchronise()
    errors = [
        stanza
        for stanza in client.inbox
        if local(stanza) == "message" and stanza.get("type") == "error"
    ]
    return condition(errors[0]) if errors else ""


def test_a_message_to_nobody_bounces(alice: Client, bridge: Bridge) -> None:
    bridge.answer = lambda request: NO
    assert bounced(alice, "nobody") == "service-unavailable"
    asked = bridge.asked("user_exists", "nobody")
    assert (asked.method, asked.query) == ("POST", {})
    assert asked.form == {"user": "nobody", "server": WRITES}


@pytest.mark.parametrize("outage", OUTAGES, ids=str)
def test_a_message_is_kept_in_an_outage_and_delivered_behind_it(
    prosody: ModuleProsody, pki: Pki, bridge: Bridge, outage: Reply
) -> None:
    user, host = f"away{OUTAGES.index(outage)}", BRIEF if outage.hangs else WRITES
    bridge.answer = lambda request: outage if request.verb == "user_exists" else YES
    with Client(prosody.port, host, pki.ca) as alice, Client(prosody.port, host, pki.ca) as away:
        _enter(alice, "alice")
        assert bounced(alice, user, host) == ""
        assert bridge.asked("user_exists", user)
        _enter(away, user)
        away.presence()
        assert wait_until(lambda: _next_message(away), "the message that was kept") == "hello"


def _enter(client: Client, user: str) -> None:
    assert decided(lambda: client.login(user.encode(), PASSWORD), OUTAGE) == SESSION
    client.bind()


def _next_message(client: Client) -> str:
    stanza = client.receive()
    body = stanza.find("{jabber:client}body")
    return "" if body is None else body.text or ""


def test_where_nobody_can_wait_a_user_exists(prosody: ModuleProsody, bridge: Bridge) -> None:
    bridge.answer = lambda request: NO
    # A timer is run in no runner.
    prosody.run(
        'require "util.timer".add_task(0, function () prosody.log("info", "in a timer: %s", '
        f'tostring(require "core.usermanager".user_exists("nobody", "{WRITES}"))) end) return 1'
    )
    assert "in a timer: true" in prosody.logged("in a timer")
    assert bridge.requests == []


@pytest.mark.parametrize(
    ("reply", "answer"), [(YES, "true"), (NO, "nil"), (Reply(503, b""), "nil")], ids=str
)
def test_other_modules_of_prosody_may_check_passwords(
    prosody: ModuleProsody, bridge: Bridge, reply: Reply, answer: str
) -> None:
    bridge.answer = lambda request: reply
    # user, host, password: in this order.
    code = f'require "core.usermanager".test_password("alice", "{READS}", "guess")'
    assert prosody.run(f"return tostring(({code}))") == answer
    assert bridge.asked("check_password").form["pass"] == "guess"


def test_a_password_is_changed(alice: Client, bridge: Bridge) -> None:
    assert alice.register("set", username="alice", password=NEW.decode()) == "result"
    asked = bridge.asked("set_password")
    assert asked.form == {"user": "alice", "server": WRITES, "pass": NEW.decode()}


@pytest.mark.parametrize("status", [403, 501, 503, 401, 302])
def test_a_change_that_was_refused_is_no_success(
    alice: Client, bridge: Bridge, status: int
) -> None:
    bridge.answer = lambda request: Reply(status, b"true")
    assert alice.register("set", username="alice", password=NEW.decode()) != "result"


def test_a_user_is_registered(newcomer: Client, bridge: Bridge) -> None:
    def answer(request: Request) -> Reply:
        return NO if request.verb == "user_exists" else Reply(201, b"true")

    bridge.answer = answer
    assert newcomer.register("set", username="newone", password=NEW.decode()) == "result"
    asked = bridge.asked("register")
    assert asked.form == {"user": "newone", "server": WRITES, "pass": NEW.decode()}


@pytest.mark.parametrize("status", [200, 204, 403, 409, 501, 503])
def test_a_registration_is_done_with_201_alone(
    newcomer: Client, bridge: Bridge, status: int
) -> None:
    bridge.answer = lambda request: NO if request.verb == "user_exists" else Reply(status, b"true")
    assert newcomer.register("set", username="newone", password=NEW.decode()) != "result"


def test_nobody_is_registered_in_an_outage(newcomer: Client, bridge: Bridge) -> None:
    bridge.answer = lambda request: Reply(503, b"")
    assert newcomer.register("set", username="newone", password=NEW.decode()) == "conflict"
    assert {request.verb for request in bridge.requests} == {"user_exists"}


@pytest.mark.parametrize(
    ("status", "done"), [(200, True), (204, True), (403, False), (501, False), (503, False)]
)
def test_a_user_is_removed_where_authbridge_does_it(
    prosody: ModuleProsody, bridge: Bridge, status: int, done: bool
) -> None:
    bridge.answer = lambda request: Reply(status, b"")
    assert prosody.run(core("delete_user", '"bob"')) == ("true" if done else "nil")
    assert bridge.asked("remove_user").form == {"user": "bob", "server": WRITES}


def test_a_user_whose_password_comes_later_is_registered_with_it(
    prosody: ModuleProsody, bridge: Bridge
) -> None:
    # As Prosody 13 registers: it makes the user, gives him his role, and then the password.
    bridge.answer = lambda request: Reply(201, b"true")
    assert prosody.run(core("create_user", '"later"', "nil")) == "true"
    assert bridge.requests == []
    code = f'require "core.usermanager".set_password("later", "secret", "{WRITES}")'
    assert prosody.run(f"return tostring(({code}))") == "true"
    assert [request.verb for request in bridge.requests] == ["register"]
    assert prosody.run(f"return tostring(({code}))") == "true"
    assert bridge.requests[-1].verb == "set_password"


def test_one_that_is_given_up_before_that_was_never_there(
    prosody: ModuleProsody, bridge: Bridge
) -> None:
    assert prosody.run(core("create_user", '"given-up"', "nil")) == "true"
    assert prosody.run(core("delete_user", '"given-up"')) == "true"
    assert bridge.requests == []


def test_nothing_is_written_by_default(prosody: ModuleProsody, pki: Pki, bridge: Bridge) -> None:
    with Client(prosody.port, READS, pki.ca) as client:
        assert client.login(b"alice", PASSWORD) == SESSION
        client.bind()
        assert client.register("set", username="alice", password=NEW.decode()) != "result"
    for call in (
        core("create_user", '"new"', '"secret"', host=READS),
        core("create_user", '"new"', "nil", host=READS),
        core("delete_user", '"alice"', host=READS),
    ):
        assert prosody.run(call) == "nil"
    assert {request.verb for request in bridge.requests} <= {"check_password", "user_exists"}


def test_prosody_13_finds_every_user_enabled(prosody: ModuleProsody, bridge: Bridge) -> None:
    provider = f'require "core.usermanager".get_provider("{READS}")'
    assert prosody.run(f'return tostring({provider}.is_enabled("alice"))') == "true"
    assert prosody.run(f'return tostring({provider}.get_account_info("alice").enabled)') == "true"
    bridge.answer = lambda request: NO
    assert prosody.run(f'return tostring(({provider}.get_account_info("alice")))') == "nil"
