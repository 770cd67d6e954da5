"""The control socket: tokens are issued, listed and revoked for root and our own user."""

from __future__ import annotations

import base64
import json

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from authbridge.control.tokens import GRANT
from authbridge.issuers.issuers import KeysUnavailable
from authbridge.model import Reason
from authbridge.settings import LONGEST
from authbridge.stores.operations import MOST_LIVE, Consume, Issue
from authbridge.tokens import temporary
from tests.controls import ALICE, NOW, WANTED, Controls, jwt
from tests.doubles import now
from tests.issuers.folders import NAME

ID = "0123456789abcdef" * 2
UNKNOWN_COMMAND = {"error": "this daemon does not know the command; is it of this version?"}
COMMANDS = {
    "token-issue": WANTED,
    "token-list": {"jid": ALICE},
    "token-revoke": {"jid": ALICE},
}
each_command = pytest.mark.parametrize(("name", "members"), COMMANDS.items())


@pytest.fixture
def controls(tmp_path):
    return Controls(tmp_path)


def encoded(token):
    return base64.b64encode(token.encode()).decode()


def use(controls, token):
    digest = temporary.digest(token.encode())
    return now(controls.ledger.ask(Consume(digest, ALICE)))


def test_a_token_is_issued_for_a_minute_and_one_use(controls):
    told = controls.ask("token-issue", **(WANTED | {"jid": "Alice@Example.org"}))
    assert told == {
        "jid": ALICE,
        "password": told["password"],
        "expires_at": NOW + 60,
        "id": temporary.id_of(temporary.digest(told["password"].encode())),
        "uses": 1,
    }
    assert use(controls, told["password"]) is Reason.TOKEN_VALID
    assert use(controls, told["password"]) is Reason.TOKEN_USED
    (line,) = controls.lines
    assert " verdict=accepted reason=token_issued front_end=control caller=control " in line
    assert " id=boot-1 " in line
    assert told["password"] not in line


def test_the_control_socket_has_no_limits_but_those_of_tokens(controls):
    told = controls.issue(ttl=LONGEST, uses="any", device="phone", note="by mail")
    assert (told["expires_at"], told["uses"]) == (NOW + LONGEST, "any")
    for _ in range(50):
        controls.issue(uses=1_000_000, ttl=1.5)
    refused = controls.ask("token-issue", **(WANTED | {"ttl": LONGEST + 1}))
    assert refused == {
        "error": f"`ttl` is more than control may ask for: {LONGEST:g} seconds",
        "reason": "caller_not_allowed",
        "unavailable": False,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"jid": "alice"}, "user_malformed"),
        ({"jid": "\udcff@example.org"}, "user_malformed"),
        ({"jid": "alice@example.com"}, "domain_unknown"),
        ({"jid": "admin@example.org"}, "token_never"),
        ({"uses": 0}, "request_malformed"),
        ({"uses": 1_000_001}, "request_malformed"),
        ({"ttl": 0}, "request_malformed"),
        ({"ttl": float("nan")}, "request_malformed"),
        ({"ttl": 10**400}, "caller_not_allowed"),
        ({"device": "\x1b[2J"}, "request_malformed"),
        ({"note": "x" * 101}, "request_malformed"),
    ],
)
def test_what_the_office_refuses_is_a_definite_no(controls, changes, reason):
    told = controls.ask("token-issue", **(WANTED | changes))
    assert told.keys() == {"error", "reason", "unavailable"}
    assert (told["reason"], told["unavailable"]) == (reason, False)
    assert f" verdict=rejected reason={reason} " in controls.lines[0]


def test_tokens_are_listed_without_themselves(controls):
    issued = controls.issue(device="phone", note="by mail", uses=2)
    use(controls, issued["password"])
    told = controls.ask("token-list", jid=ALICE)
    assert told == {
        "jid": ALICE,
        "tokens": [
            {
                "id": issued["id"],
                "issued_at": NOW,
                "expires_at": NOW + 60,
                "uses_left": 1,
                "last_used_at": NOW,
                "client": "control",
                "device": "phone",
                "note": "by mail",
            }
        ],
    }
    assert controls.ask("token-list", jid="bob@example.org")["tokens"] == []


def test_one_token_is_revoked_by_its_id(controls):
    first, second = controls.issue(), controls.issue()
    assert controls.ask("token-revoke", id=first["id"]) == {"revoked": 1}
    assert use(controls, first["password"]) is Reason.TOKEN_REVOKED
    assert use(controls, second["password"]) is Reason.TOKEN_VALID
    told = controls.ask("token-revoke", id=ID)
    assert told == {
        "error": "there is no such token",
        "reason": "token_unknown",
        "unavailable": False,
    }


def test_all_tokens_of_a_user_are_revoked_and_counted(controls):
    issued = [controls.issue() for _ in range(3)]
    assert controls.ask("token-revoke", jid=ALICE) == {"revoked": 3}
    assert {use(controls, one["password"]) for one in issued} == {Reason.TOKEN_REVOKED}
    assert controls.ask("token-revoke", jid=ALICE) == {"revoked": 0}


def test_a_token_is_revoked_by_being_shown(controls):
    issued = controls.issue()
    token = encoded(issued["password"])
    for jid in ("bob@example.org", "\udcff"):
        assert controls.ask("token-revoke", token=token, jid=jid)["reason"] == "token_unknown"
    assert controls.ask("token-revoke", token=token, jid=None) == {"revoked": 1}
    assert use(controls, issued["password"]) is Reason.TOKEN_REVOKED


def test_a_signed_token_is_revoked_by_being_shown_or_by_its_jti(controls):
    controls.clock.advance(10)
    assert active(controls, jwt())
    assert controls.ask("token-revoke", token=encoded(jwt()), jid=None) == {"revoked": 1}
    assert not active(controls, jwt())
    assert active(controls, jwt(jti="two"))
    assert controls.ask("token-revoke", issuer=NAME, jti="two") == {"revoked": 1}
    assert not active(controls, jwt(jti="two"))
    assert active(controls, jwt(jti="three"))


@pytest.mark.parametrize(("before", "still"), [(NOW - 1000, True), (None, False)])
def test_all_that_an_issuer_has_signed_before_a_moment_is_revoked(controls, before, still):
    controls.clock.advance(10)
    told = controls.ask("token-revoke", issuer=NAME, before=before)
    assert told == {"revoked": None}
    assert active(controls, jwt()) is still


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"issuer": "shop", "jti": "one"}, "not_supported"),
        ({"issuer": "nobody", "before": None}, "caller_not_allowed"),
        ({"issuer": "\udcff", "before": None}, "caller_not_allowed"),
        ({"issuer": NAME, "before": NOW + 60}, "request_malformed"),
        ({"issuer": NAME, "before": float("inf")}, "request_malformed"),
        ({"token": encoded("wonderland"), "jid": None}, "token_unknown"),
        ({"token": encoded(jwt(jti="")), "jid": None}, "not_supported"),
        ({"jid": "alice"}, "user_malformed"),
    ],
)
def test_what_cannot_be_revoked_is_a_definite_no(controls, members, reason):
    told = controls.ask("token-revoke", **members)
    assert (told["reason"], told["unavailable"]) == (reason, False)


def active(controls, token):
    """Whether it would be accepted."""
    return now(controls.office.lookup.introspect(GRANT, token.encode(), None)) is not None


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("token-flush", {}),
        (["token-list"], {}),
        (None, {}),
        ("token-issue", {"jid": ALICE}),
        ("token-issue", WANTED | {"more": 1}),
        ("token-issue", WANTED | {"jid": 1}),
        ("token-issue", WANTED | {"ttl": "60s"}),
        ("token-issue", WANTED | {"ttl": True}),
        ("token-issue", WANTED | {"uses": None}),
        ("token-issue", WANTED | {"uses": True}),
        ("token-issue", WANTED | {"uses": 1.5}),
        ("token-issue", WANTED | {"uses": "all"}),
        ("token-issue", WANTED | {"device": None}),
        ("token-list", {}),
        ("token-list", {"jid": None}),
        ("token-list", {"jid": ALICE, "all": True}),
        ("token-revoke", {}),
        ("token-revoke", {"id": 1}),
        ("token-revoke", {"id": ID.upper()}),
        ("token-revoke", {"id": f"{ID}\n"}),
        ("token-revoke", {"id": ID, "jid": ALICE}),
        ("token-revoke", {"issuer": NAME}),
        ("token-revoke", {"issuer": NAME, "jti": None}),
        ("token-revoke", {"issuer": NAME, "before": "now"}),
        ("token-revoke", {"issuer": NAME, "jti": "one", "before": None}),
        ("token-revoke", {"token": "!", "jid": None}),
        ("token-revoke", {"token": "ä", "jid": None}),
        ("token-revoke", {"token": None, "jid": None}),
        ("token-revoke", {"token": "", "jid": 1}),
        ("explain", {"jid": ALICE, "password": None, "more": 1}),
    ],
)
def test_what_is_no_command_of_this_version_is_told_so_and_not_done(controls, name, members):
    assert controls.ask(name, **members) == UNKNOWN_COMMAND
    assert controls.ledger.asked == []
    assert controls.lines == []


@each_command
def test_what_cannot_be_told_is_no_refusal(controls, name, members):
    controls.ledger.down = "was lost"
    words = Reason.STATE_UNAVAILABLE.words
    assert controls.ask(name, **members) == {
        "error": f"{words}: was lost",
        "reason": "state_unavailable",
        "unavailable": True,
    }


def test_without_the_keys_of_its_issuer_a_token_cannot_be_told_either(controls, monkeypatch):
    def judge(*_asked):
        raise KeysUnavailable("its keys are being fetched", Deferred)

    monkeypatch.setattr(controls.office.lookup._signed, "judge", judge)
    words = Reason.KEYS_UNAVAILABLE.words
    assert controls.ask("token-revoke", token=encoded(jwt()), jid=None) == {
        "error": f"{words}: its keys are being fetched",
        "reason": "keys_unavailable",
        "unavailable": True,
    }
    (line,) = controls.lines
    assert "operation=revoke_token verdict=unavailable reason=keys_unavailable front_end=contr" in (
        line
    )
    assert controls.ledger.asked == []


def test_a_user_who_has_too_many_gets_no_other(controls):
    """Also of who may have whatever he likes."""
    numbers = (number.to_bytes(16, "big") for number in range(MOST_LIVE))
    kept = [Issue(one * 2, ALICE, 60.0, 1, "website") for one in numbers]
    controls.ledger.store.run(kept, controls.wall())
    assert controls.ask("token-issue", **WANTED) == {
        "error": f"{ALICE} has 1000 tokens already; revoke some",
        "reason": "tokens_too_many",
        "unavailable": False,
    }
    assert len(controls.ask("token-list", jid=ALICE)["tokens"]) == MOST_LIVE
    assert controls.ask("token-revoke", jid=ALICE) == {"revoked": MOST_LIVE}
    controls.issue()


def test_the_control_socket_revokes_as_often_as_it_likes(controls):
    for _ in range(50):
        assert controls.ask("token-revoke", jid=ALICE) == {"revoked": 0}
        assert controls.ask("token-revoke", issuer=NAME, jti="one") == {"revoked": 1}


@each_command
def test_a_configuration_that_keeps_no_tokens_says_so(controls, name, members):
    controls.office = None
    assert controls.ask(name, **members) == {
        "error": 'nothing in the configuration keeps tokens: see accept = ["temporary"]',
        "reason": "not_supported",
        "unavailable": False,
    }


def test_each_request_has_an_id_of_its_own_in_the_log(controls):
    controls.issue()
    controls.ask("token-revoke", jid=ALICE)
    ids = [line.partition(" id=")[2].partition(" ")[0] for line in controls.lines]
    assert len(ids) == len(set(ids)) == 2


def test_a_fault_of_ours_tells_no_token(controls):
    class Broken:
        async def revoke_token(self, grant, token, *_, **__):
            raise ValueError(token)

    controls.office = Broken()
    events = []
    globalLogPublisher.addObserver(events.append)
    told = controls.ask("token-revoke", token=encoded("abtt1_x"), jid=None)
    globalLogPublisher.removeObserver(events.append)
    assert told == {"error": "the command failed; the daemon's log says where"}
    assert any("log_failure" in event for event in events)


def test_lines_of_other_protocols_are_no_commands(controls):
    for line in (b"GET / HTTP/1.1", b"1", b'"token-list"', json.dumps([WANTED]).encode()):
        assert controls.say(line) == UNKNOWN_COMMAND
