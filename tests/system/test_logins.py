"""Who gets in, through a real ejabberd and a real Prosody, and who does not."""

import pytest

from . import people
from .canary import secret
from .daemon import Daemon
from .ejabberd import Ejabberd
from .prosody import Prosody
from .visitors import Server, Visitors
from .xmpp import CLOSED, SESSION

ALICE = "alice@example.org"
LENA = "lena@example.org"
REFUSED = "not-authorized"


@pytest.mark.parametrize("jid", [jid for jid in people.jids() if jid != LENA])
def test_right_password_gets_a_session(server: Server, visitors: Visitors, jid: str) -> None:
    """Plain, with colons, in UTF-8, not yet prepared, with all that URLs escape, 1023 octets."""
    assert visitors.enter(server, jid).jid == f"{jid}/tests"


def test_password_of_forty_thousand_octets_gets_a_session_through_ejabberd(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """Neither ejabberd nor the program between it and the daemon cuts it."""
    assert len(people.password(LENA)) == 40_000
    assert visitors.login(ejabberd, LENA) == SESSION
    assert visitors.login(ejabberd, LENA, people.password(LENA)[:-1]) == REFUSED


def test_prosody_asks_about_passwords_of_1023_octets_at_most(
    prosody: Prosody, visitors: Visitors, daemon: Daemon
) -> None:
    """What its SASLprep does not take is malformed; above 10,000 octets it ends the stream."""
    asked = len(daemon.logins())
    mila = "mila@example.org"
    assert len(people.password(mila)) == 1023
    assert visitors.login(prosody, mila, people.password(mila) + b"!") == "malformed-request"
    assert visitors.login(prosody, LENA) == CLOSED
    assert daemon.logins()[asked:] == []
    assert visitors.login(prosody, mila) == SESSION


@pytest.mark.parametrize(
    "wrong",
    [
        secret("wrong-password"),
        people.password(ALICE)[:-1],
        people.password(ALICE) + b"!",
        people.password(ALICE).upper(),
        people.password("alice@example.net"),
        b":" + people.password(ALICE),
        b"wrong:" + people.password(ALICE),
    ],
    ids=["other", "shorter", "longer", "upper", "other-domain", "colon", "prefixed"],
)
def test_wrong_password_is_refused(
    server: Server, visitors: Visitors, daemon: Daemon, wrong: bytes
) -> None:
    """As a wrong password, and the log says so."""
    assert visitors.login(server, ALICE, wrong) == REFUSED
    login = daemon.logins()[-1]
    assert (login["jid"], login["verdict"], login["reason"]) == (
        ALICE,
        "rejected",
        "password_mismatch",
    )


def test_unknown_user_is_refused(server: Server, visitors: Visitors, daemon: Daemon) -> None:
    """In the same words as a wrong password; only the log knows the difference."""
    nobody = visitors.connect(server, people.ORG)
    assert nobody.login(b"nobody", secret("nobody")) == REFUSED
    unknown = nobody.failure_text
    assert nobody.login(b"alice", secret("nobody")) == REFUSED
    assert nobody.failure_text == unknown
    assert [login["reason"] for login in daemon.logins()[-2:]] == [
        "user_unknown",
        "password_mismatch",
    ]


def test_refused_client_may_try_again_on_the_same_connection(
    server: Server, visitors: Visitors
) -> None:
    """A refusal ends nothing."""
    client = visitors.connect(server, people.ORG)
    assert client.login(b"alice", secret("typo")) == REFUSED
    assert client.login(b"alice", people.password(ALICE)) == SESSION


def test_empty_password_is_refused_by_ejabberd_without_asking(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """It never reaches the program."""
    asked = len(daemon.logins())
    assert visitors.login(ejabberd, ALICE, b"") == REFUSED
    assert visitors.login(ejabberd, "juliet@example.org") == SESSION
    assert [login["jid"] for login in daemon.logins()[asked:]] == ["juliet@example.org"]


def test_empty_password_is_malformed_to_prosody(
    prosody: Prosody, visitors: Visitors, daemon: Daemon
) -> None:
    """It never reaches authbridge."""
    asked = len(daemon.logins())
    assert visitors.login(prosody, ALICE, b"") == "malformed-request"
    assert visitors.login(prosody, "juliet@example.org") == SESSION
    assert [login["jid"] for login in daemon.logins()[asked:]] == ["juliet@example.org"]


@pytest.mark.parametrize("password", [b" ", b"   ", "\N{NO-BREAK SPACE}".encode()])
def test_blank_password_is_refused(server: Server, visitors: Visitors, password: bytes) -> None:
    """A space is no password."""
    assert visitors.login(server, ALICE, password) == REFUSED


@pytest.mark.parametrize(
    "password",
    [b"\xff\xfe:" + secret(b"\x80octets"), secret("two\nlines"), secret("auth:alice:example.org:")],
    ids=["not-utf-8", "newline", "a-request"],
)
def test_odd_password_is_refused_and_harms_nobody(
    ejabberd: Ejabberd, visitors: Visitors, password: bytes
) -> None:
    """The program that has read it answers, and goes on."""
    programs = ejabberd.programs()
    assert visitors.login(ejabberd, ALICE, password) == REFUSED
    assert visitors.login(ejabberd, ALICE) == SESSION
    assert ejabberd.programs() == programs


def test_password_too_long_for_a_frame_never_reaches_the_program(
    ejabberd: Ejabberd, visitors: Visitors
) -> None:
    """With max_stanza_size at 65536 the stream of who sends 70,000 octets ends, and no more.

    Without it ejabberd closes the program's pipe, and with it the requests of others.
    """
    programs = ejabberd.programs()
    for _ in programs:
        client = visitors.connect(ejabberd, people.ORG)
        assert client.login(b"alice", secret("x" * 70_000)) == CLOSED
        assert client.failure_text == "policy-violation"
    assert [visitors.login(ejabberd, ALICE) for _ in programs] == [SESSION for _ in programs]
    assert ejabberd.programs() == programs


def test_domains_have_users_of_their_own(server: Server, visitors: Visitors) -> None:
    """The two alices have a password each; nemo is known in one domain alone."""
    other = "alice@example.net"
    assert visitors.login(server, other) == SESSION
    assert visitors.login(server, other, people.password(ALICE)) == REFUSED
    assert visitors.login(server, ALICE, people.password(other)) == REFUSED
    nemo = people.password("nemo@example.net")
    assert visitors.login(server, "nemo@example.org", nemo) == REFUSED


def test_domain_not_configured_is_refused(server: Server, visitors: Visitors) -> None:
    """The server serves it, authbridge does not."""
    jid = f"alice@{people.FOREIGN}"
    assert visitors.login(server, jid, people.password(ALICE)) == REFUSED


def test_user_name_in_capitals_is_the_same_user(server: Server, visitors: Visitors) -> None:
    """The servers prepare names before they ask."""
    assert visitors.login(server, "ALICE@example.org", people.password(ALICE)) == SESSION


def test_ejabberd_without_cache_refuses_to_act_for_another(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """An authzid that is not the user's is refused before the program is asked."""
    asked = len(daemon.logins())
    assert visitors.login(ejabberd, ALICE, authzid="juliet@example.org") == REFUSED
    assert visitors.login(ejabberd, ALICE, authzid=ALICE) == SESSION
    assert len(daemon.logins()[asked:]) == 1


def test_changed_file_counts_at_the_next_login(
    server: Server, visitors: Visitors, daemon: Daemon
) -> None:
    """Nothing is restarted, and no server remembers."""
    fresh = secret("fresh")
    assert visitors.login(server, ALICE) == SESSION
    daemon.write_users(people.ORG, {**people.PASSWORDS[people.ORG], "alice": fresh})
    assert visitors.login(server, ALICE) == REFUSED
    assert visitors.login(server, ALICE, fresh) == SESSION
    daemon.write_users(people.ORG, {"bob": people.password("bob@example.org")})
    assert visitors.login(server, ALICE, fresh) == REFUSED
