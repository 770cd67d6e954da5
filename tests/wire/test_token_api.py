"""The codec of tokens over HTTP."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.wire import token_api
from authbridge.wire.http import BadRequest
from authbridge.wire.token_api import NewSession, NewToken, OfIssuer, OfUser

JID = "romeo@example.org"
PLAIN = NewToken(JID, None, 1, "", "")
IN_JSON = (token_api.read_new, token_api.read_revoked, token_api.read_prebind)


def new(**members):
    return json.dumps({"jid": JID} | members).encode()


def test_a_token_is_asked_for_by_a_jid_alone():
    assert token_api.read_new(new()) == PLAIN
    assert token_api.read_new(b' {"jid" : "romeo@example.org"}\r\n') == PLAIN


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(1, 1.0), (60, 60.0), (0.5e2, 50.0), (1.5, 1.5), ("60s", 60.0), ("15m", 900.0),
     ("1.5h", 5400.0), ("365d", 31536000.0), ("1000ms", 1.0), (315360000, 315360000.0)],
)  # fmt: skip
def test_a_lifetime_is_seconds_or_a_duration(ttl, seconds):
    assert token_api.read_new(new(ttl=ttl)).ttl == seconds


@pytest.mark.parametrize(
    "ttl",
    [0, 0.999, -1, "0s", "999ms", "60", "60 s", "1e3s", "s", "", None, True, [60], {}, 315360001,
     "3651d", 10**400, "9" * 400 + "s"],
)  # fmt: skip
def test_any_other_lifetime_is_refused(ttl):
    with pytest.raises(BadRequest, match="ttl is not seconds"):
        token_api.read_new(new(ttl=ttl))


@pytest.mark.parametrize(("uses", "read"), [(1, 1), (1_000_000, 1_000_000), ("any", None)])
def test_uses_are_a_number_or_any(uses, read):
    assert token_api.read_new(new(uses=uses)).uses == read
    assert token_api.uses_text(read) == uses


@pytest.mark.parametrize("uses", [0, -1, 1_000_001, 1.0, 1.5, "1", "ANY", "", None, True, [], {}])
def test_any_other_number_of_uses_is_refused(uses):
    with pytest.raises(BadRequest, match="uses is not a number"):
        token_api.read_new(new(uses=uses))


@pytest.mark.parametrize("name", ["device", "note"])
def test_a_device_and_a_note_are_short_and_printable(name):
    for text in ("", "phone", "é" * 100, 'a "b" \\ c', "😀"):
        assert getattr(token_api.read_new(new(**{name: text})), name) == text
    for text in ("x" * 101, "a\nb", "\0", "\x1b[1m", "\u202e", "\ud800", None, 1, True, [], {}):
        with pytest.raises(BadRequest, match=f"{name} is not up to 100 printable characters"):
            token_api.read_new(new(**{name: text}))


@pytest.mark.parametrize("jid", ["", None, 1, True, [JID], {"x": JID}, "\ud800@example.org"])
def test_a_jid_is_a_text(jid):
    for read in IN_JSON:
        with pytest.raises(BadRequest, match="jid is"):
            read(new(jid=jid))


def test_a_session_is_asked_for_by_a_jid_alone_or_with_a_resource():
    assert token_api.read_prebind(new()) == NewSession(JID, None)
    for resource in ("web", "a b/c@d", "é" * 511, "x" * 1023, "😀"):
        assert token_api.read_prebind(new(resource=resource)) == NewSession(JID, resource)


@pytest.mark.parametrize(
    "resource",
    ["", None, 1, True, [], {}, "x" * 1024, "é" * 512, "a\nb", "\0", "\x7f", "\u202e", "\ud800"],
)
def test_any_other_resource_is_refused(resource):
    with pytest.raises(BadRequest, match="resource is"):
        token_api.read_prebind(new(resource=resource))


BROKEN = [
    b"", b"{}", b"[]", b"null", b"1", b'"jid"', b"jid=a", b'{"jid":"a"', b'{"jid":"a",}',
    b'{"jid":"a"}{}', b'{"jid":"a","jid":"a"}', b'{"jid":"a","j\\u0069d":"b"}',
    b'{"jid":"a","x":1}', b'{"jid":"a","Uses":1}', b'{"jid":"a","ttl":NaN}',
    b'{"jid":"a","before":Infinity}', b'{"jid":"\xff"}', b"\xef\xbb\xbf" + new(),
    new().decode().encode("utf-16"), b"[" * 60_000, b'{"a":' * 10_000,
    b'{"jid":"a","ttl":' + b"1" * 5_000 + b"}",
]  # fmt: skip


@pytest.mark.parametrize("read", IN_JSON)
@pytest.mark.parametrize("body", BROKEN)
def test_any_other_body_is_refused_without_a_word_of_it(read, body):
    with pytest.raises(BadRequest) as told:
        read(body)
    assert told.value.__cause__ is None
    assert '"a"' not in str(told.value)


def test_a_member_that_is_not_known_is_told_which_are():
    with pytest.raises(BadRequest, match="a member is none of jid, ttl, uses, device, note"):
        token_api.read_new(new(user="x"))


@pytest.mark.parametrize(
    ("members", "read"),
    [
        ({"jid": JID}, OfUser(JID)),
        ({"issuer": "www", "jti": "1"}, OfIssuer("www", "1", None)),
        ({"issuer": "www"}, OfIssuer("www", None, None)),
        ({"issuer": "www", "before": 0}, OfIssuer("www", None, 0.0)),
        ({"issuer": "www", "before": 1800000000.5}, OfIssuer("www", None, 1800000000.5)),
        ({"issuer": "www", "before": 253402300799}, OfIssuer("www", None, 253402300799.0)),
    ],
)
def test_what_is_revoked_is_a_users_or_an_issuers(members, read):
    assert token_api.read_revoked(json.dumps(members).encode()) == read


@pytest.mark.parametrize(
    "members",
    [
        {"jid": JID, "issuer": "www"},
        {"jid": JID, "jti": "1"},
        {"jid": JID, "before": 1},
        {"jti": "1"},
        {"before": 1},
        {"issuer": "www", "jti": "1", "before": 1},
        {"issuer": ""},
        {"issuer": 1},
        {"issuer": "\ud800"},
        {"issuer": "www", "jti": ""},
        {"issuer": "www", "jti": 1},
        {"issuer": "www", "jti": None},
        {"issuer": "www", "jti": "\udfff"},
        *({"issuer": "www", "before": before}
          for before in (-1, True, "60s", None, 253402300800, 1e300, 10**400, [], {})),
    ],
)  # fmt: skip
def test_anything_else_is_not_revoked(members):
    with pytest.raises(BadRequest):
        token_api.read_revoked(json.dumps(members).encode())


def test_a_number_beyond_all_numbers_is_refused():
    for body in (b'{"jid":"a","ttl":1e999}', b'{"issuer":"a","before":1e999}'):
        for read in IN_JSON:
            with pytest.raises(BadRequest):
                read(body)


def test_the_jid_of_a_list_is_alone_in_the_query():
    assert token_api.read_listed(b"jid=romeo%40example.org") == JID
    assert token_api.read_listed(b"j%69d=romeo@example.org") == JID
    for query in (b"", b"jid", b"jid=", b"jid=a&jid=a", b"jid=a&x=1", b"user=a", b"jid=%ff",
                  b"jid=%ed%a0%80", b"jid=%"):  # fmt: skip
        with pytest.raises(BadRequest):
            token_api.read_listed(query)


def test_a_token_is_shown_in_a_form():
    shown = token_api.read_shown(b"token=abtt1_x%2b&token_type_hint=access_token")
    assert (shown.token, shown.username) == (b"abtt1_x+", None)
    shown = token_api.read_shown(b"username=romeo%40example.org&token=%ff")
    assert (shown.token, shown.username) == (b"\xff", JID)
    assert "abtt1_" not in repr(shown)


@pytest.mark.parametrize(
    "form",
    [b"", b"token", b"token=", b"token_type_hint=x", b"token=a&token=b", b"token=a&x=1",
     b"token=a&username=", b"token=a&username=%ff", b"token=%zz", b"token=a&"],
)  # fmt: skip
def test_any_other_form_is_refused(form):
    with pytest.raises(BadRequest):
        token_api.read_shown(form)


def test_what_is_written_is_ascii_on_one_line():
    assert token_api.write({"jid": "ü\n", "uses": 1}) == b'{"jid": "\\u00fc\\n", "uses": 1}'


def test_a_problem_has_the_words_of_its_status_and_our_reason():
    assert json.loads(token_api.problem(403, "token_never", "no “tokens”")) == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "no “tokens”",
        "reason": "token_never",
    }


def test_an_error_of_oauth_has_printable_ascii_without_quotes():
    octets = token_api.oauth_error("invalid_request", 'a "b" \\ c … é\n')
    assert json.loads(octets) == {
        "error": "invalid_request",
        "error_description": "a 'b' / c ... ??",
    }


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["jid", "ttl", "uses", "issuer", "jti", "before"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_body_is_understood_or_a_bad_request(body):
    for read in IN_JSON:
        try:
            read(body)
        except BadRequest:
            pass


@given(st.binary(min_size=1, max_size=60), st.none() | TEXT)
def test_any_token_and_any_name_come_through_a_form(token, username):
    form = {"token": token} | ({} if username is None else {"username": username.encode()})
    shown = token_api.read_shown(urlencode(form).encode())
    assert (shown.token, shown.username) == (token, username)


@given(st.text())
def test_every_description_is_one_of_oauth(text):
    found = json.loads(token_api.oauth_error("x", text))["error_description"]
    assert all(" " <= one <= "~" and one not in '"\\' for one in found)
