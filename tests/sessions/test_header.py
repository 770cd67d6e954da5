"""An identity in a header: from whom it counts, and in which form."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.model import Reason
from authbridge.peers import UNIX
from authbridge.sessions.header import Header
from authbridge.sessions.shown import Nobody, Probed
from tests.doubles import now
from tests.sessions.sites import secret_file, settings, shown

USER, SECRET = b"x-remote-user", b"x-authbridge-secret"
RIGHT = b"a secret of the proxy's"
PROXY, STRANGER = "10.0.0.7", "192.0.2.1"


@pytest.fixture
def session(tmp_path):
    return make(tmp_path)


def make(folder, **given):
    secret_file(folder)
    usual = {"kind": "header", "secret_file": "secret", "peers": ["10.0.0.0/24", "::1"]}
    made = settings(folder, usual | given).make("www", None, None, None, None)
    assert isinstance(made, Header)
    made.start()
    return made


def user(session, *headers, address=PROXY):
    """Whom it takes the request for."""
    evidence = session.evidence(shown(address=address, headers=headers))
    return now(session.user(evidence))


def reason(session, *headers, address=PROXY):
    with pytest.raises(Nobody) as caught:
        user(session, *headers, address=address)
    return caught.value.reason


def test_the_proxys_header_is_the_user(session):
    assert user(session, (SECRET, RIGHT), (USER, b"alice")) == "alice"
    assert user(session, (USER, b"alice"), (b"cookie", b"a=1"), (SECRET, RIGHT)) == "alice"
    assert user(session, (USER, b"alice"), (SECRET, RIGHT), address="::1") == "alice"
    assert (session.of_cookies, isinstance(session, Probed)) == (False, False)
    session.stop()


@pytest.mark.parametrize("value", [b"\xc3\xa4lice", b"Alice B", b" \talice\t ", b"a" * 1023])
def test_the_value_is_utf_8(session, value):
    found = user(session, (USER, value), (SECRET, RIGHT))
    assert found == value.decode().strip(" \t")


def test_the_headers_may_have_other_names(tmp_path):
    session = make(tmp_path, header="Remote-User", secret_header="X-Proof")
    assert user(session, (b"remote-user", b"alice"), (b"x-proof", RIGHT)) == "alice"
    assert reason(session, (USER, b"alice"), (SECRET, RIGHT)) is Reason.SESSION_MISSING


def test_whoever_comes_by_a_unix_socket_is_a_peer_where_that_is_listed(tmp_path):
    headers = (USER, b"alice"), (SECRET, RIGHT)
    assert user(make(tmp_path, peers=["unix"]), *headers, address=UNIX) == "alice"
    assert reason(make(tmp_path), *headers, address=UNIX) is Reason.SESSION_FORGED
    only = make(tmp_path, peers=["unix"])
    assert reason(only, *headers, address="127.0.0.1") is Reason.SESSION_FORGED


def test_the_matrix_of_who_and_what(session):
    """A user's name, a peer's address, the right secret: without one of them nobody is let in, and
    without a name there is nothing forged."""
    addresses = PROXY, STRANGER, UNIX, "2001:db8::1"
    proofs = RIGHT, RIGHT[:-1], RIGHT + b" ", b"", None
    for named, listed, proof in itertools.product((True, False), addresses, proofs):
        headers = [(USER, b"alice")] * named + [(SECRET, proof)] * (proof is not None)
        if named and listed == PROXY and proof == RIGHT:
            assert user(session, *headers, address=listed) == "alice"
            continue
        found = reason(session, *headers, address=listed)
        expected = Reason.SESSION_FORGED if named else Reason.SESSION_MISSING
        assert found is expected, (named, listed, proof)


def test_a_secret_that_is_there_twice_is_none(session):
    for other in (b"wrong", RIGHT):
        headers = (USER, b"alice"), (SECRET, RIGHT), (SECRET, other)
        assert reason(session, *headers) is Reason.SESSION_FORGED


def test_a_user_who_is_there_twice_is_none(session):
    for other in (b"bob", b"alice", b""):
        headers = (USER, b"alice"), (USER, other), (SECRET, RIGHT)
        assert reason(session, *headers) is Reason.SESSION_MALFORMED


LOOK_ALIKES = [
    b"x_remote_user", b"x-remote_user", b"x_remote-user", b"x.remote.user", b"x-remote.user",
    b"X_Remote_User", b"x_authbridge_secret", b"x-authbridge.secret", b"X_AUTHBRIDGE-SECRET",
]  # fmt: skip


@pytest.mark.parametrize("name", LOOK_ALIKES)
@pytest.mark.parametrize("first", [True, False])
def test_a_look_alike_beside_it_spoils_it(session, name, first):
    headers = [(USER, b"alice"), (SECRET, RIGHT)]
    headers.insert(0 if first else 2, (name, b"mallory"))
    assert reason(session, *headers) is Reason.SESSION_MALFORMED


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_alone_is_nobody(session, name):
    assert reason(session, (name, b"mallory"), (SECRET, RIGHT)) is Reason.SESSION_MALFORMED
    assert reason(session, (name, b"mallory"), address=STRANGER) is Reason.SESSION_MALFORMED


def test_a_stranger_with_a_look_alike_too_is_a_forger(session):
    headers = (USER, b"alice"), (b"x_remote_user", b"alice"), (SECRET, RIGHT)
    assert reason(session, *headers, address=STRANGER) is Reason.SESSION_FORGED


def test_other_headers_do_not_matter(session):
    others = [
        b"x-remote-users",
        b"xremote-user",
        b"remote-user",
        b"x_forwarded_user",
        b"x--remote-user",
    ]
    headers = [(name, b"bob") for name in others]
    assert user(session, *headers, (USER, b"alice"), (SECRET, RIGHT)) == "alice"


def test_names_are_the_same_in_any_case(session):
    request = shown(address=PROXY, headers=[(USER, b"alice"), (SECRET, RIGHT)])
    request.names = [b"X-Remote-User", b"X-AUTHBRIDGE-secret"]
    assert session.evidence(request) == b"alice"


@pytest.mark.parametrize("value", [b"", b" ", b"\t \t", b"\xc2\xa0"])
def test_a_blank_one_is_none(session, value):
    assert reason(session, (USER, value), (SECRET, RIGHT)) is Reason.SESSION_MISSING


@pytest.mark.parametrize("value", [b"\xff", b"\xc3", b"a\0", b"a\x1fb", b"a\xc2\x85b", b"a" * 1024])
def test_what_can_be_no_name_is_refused(session, value):
    assert reason(session, (USER, value), (SECRET, RIGHT)) is Reason.SESSION_MALFORMED


@given(st.lists(st.tuples(
    st.sampled_from([USER, SECRET, *LOOK_ALIKES, b"cookie", b"x"]),
    st.one_of(st.just(RIGHT), st.binary(max_size=8), st.just(b"alice")),
), max_size=5), st.sampled_from([PROXY, STRANGER]))  # fmt: skip
def test_nobody_is_let_in_but_by_one_name_and_one_proof(tmp_path_factory, headers, address):
    session = _the_one(tmp_path_factory)
    try:
        evidence = session.evidence(shown(address=address, headers=headers))
    except Nobody:
        return
    assert address == PROXY
    assert [value for name, value in headers if name == SECRET] == [RIGHT]
    (name,) = [value for name, value in headers if name == USER]
    assert evidence == name.strip(b" \t") != b""
    assert not {name for name, _ in headers}.intersection(LOOK_ALIKES)


def _the_one(factory, made=[]):  # noqa: B006 - made once for all examples
    if not made:
        made.append(make(factory.mktemp("header")))
    return made[0]
