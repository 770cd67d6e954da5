"""What a website is asked, octet by octet, and what its answers say by the rules."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authbridge.secret import Secret
from authbridge.wire.website import (
    OF_SIGNATURE,
    REQUESTS,
    SIGNATURE,
    Manner,
    Rules,
    Says,
    SaysNothing,
    Unaskable,
)

ALICE = ("alice", "example.org")
SECRET = b"between us"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


def manner(request, **given):
    return Manner(request, secret=Secret(SECRET) if request == "xcauth" else None, **given)


def nothing(call, *about, **more):
    with pytest.raises(SaysNothing) as caught:
        call(*about, **more)
    return str(caught.value)


# --- what is asked --------------------------------------------------------------------------------


def test_form_and_json_have_the_name_and_the_password_in_the_body_alone():
    asked = manner("form").ask_password(*ALICE, "wonder land&x=ü")
    assert (asked.method, asked.headers) == (b"POST", {"Accept": JSON, "Content-Type": FORM})
    assert asked.body == b"username=alice&password=wonder+land%26x%3D%C3%BC"
    asked = manner("json").ask_password(*ALICE, 'quo"te')
    assert asked.headers == {"Accept": JSON, "Content-Type": JSON}
    assert json.loads(asked.body) == {"username": "alice", "password": 'quo"te'}


def test_fields_have_other_names_and_company():
    usual = {
        "user": "login", "password": "pass", "domain": "host", "whole": True,
        "fields": {"app": "xmpp", "n": 7, "yes": True},
    }  # fmt: skip
    expected = {"app": "xmpp", "n": 7, "yes": True, "login": "alice@example.org",
                "host": "example.org"}  # fmt: skip
    made = manner("json", **usual)
    assert json.loads(made.ask_password(*ALICE, "x").body) == {**expected, "pass": "x"}
    assert json.loads(made.ask_user(*ALICE).body) == expected
    usual["fields"] = {"app": "xmpp"}
    assert dict(parse_qsl(manner("form", **usual).ask_user(*ALICE).body.decode())) == {
        "app": "xmpp", "login": "alice@example.org", "host": "example.org",
    }  # fmt: skip


def test_secret_goes_behind_bearer():
    for request in ("form", "json"):
        made = Manner(request, secret=Secret(b"abc"))
        for asked in (made.ask_password(*ALICE, "x"), made.ask_user(*ALICE)):
            assert asked.headers["Authorization"] == "Bearer abc"


def test_basic_has_the_credentials_in_utf_8():
    made = manner("basic", method="GET", headers={"OCS-APIRequest": "true"})
    asked = made.ask_password("älice", "example.org", "wonder:länd")
    assert (asked.method, asked.body) == (b"GET", b"")
    credentials = base64.b64encode("älice:wonder:länd".encode()).decode()
    assert asked.headers == {
        "Accept": JSON, "OCS-APIRequest": "true", "Authorization": f"Basic {credentials}",
    }  # fmt: skip


def test_colon_in_a_name_has_no_place_in_basic():
    with pytest.raises(Unaskable, match="colon"):
        manner("basic", whole=True).ask_password("alice", "[::1]", "x")


def test_xcauth_is_signed_over_the_very_body():
    made = manner("xcauth", domain="domain")
    for asked, operation, rest in (
        (made.ask_password(*ALICE, "p w"), "auth", "&password=p+w"),
        (made.ask_user(*ALICE), "isuser", ""),
    ):
        body = f"operation={operation}&username=alice&domain=example.org{rest}"
        assert asked.body == body.encode()
        mac = hmac.new(SECRET, asked.body, hashlib.sha1).hexdigest()
        assert asked.headers == {"Accept": JSON, "Content-Type": FORM, SIGNATURE: f"sha1={mac}"}
    assert b"domain" not in manner("xcauth").ask_user(*ALICE).body


def test_signature_is_the_one_that_others_compute():
    # echo -n BODY | openssl dgst -sha1 -hmac "between us"
    asked = manner("xcauth", domain="domain").ask_password(*ALICE, "wonderland")
    assert asked.body == b"operation=auth&username=alice&domain=example.org&password=wonderland"
    assert asked.headers[SIGNATURE] == "sha1=c9d8b6759222365113050bed48a4794dcd879b77"


@given(st.text().filter(lambda text: ":" not in text and text.isprintable()), st.text())
def test_name_and_password_never_leave_their_place(name, password):
    try:
        name.encode(), password.encode()
    except UnicodeEncodeError:
        return
    for request in REQUESTS:
        asked = manner(request).ask_password(name, "example.org", password)
        for value in asked.headers.values():
            assert value.isascii()
            assert value.isprintable()
        if request == "basic":
            credentials = base64.b64decode(asked.headers["Authorization"].split()[1]).decode()
            assert credentials == f"{name}:{password}"
        elif request == "json":
            assert json.loads(asked.body) == {"username": name, "password": password}
        else:
            pairs = parse_qsl(asked.body.decode("ascii"), keep_blank_values=True)
            assert pairs[-1] == ("password", password)
            assert ("username", name) in pairs
            assert len(pairs) == (3 if request == "xcauth" else 2)


def test_no_repr_holds_a_secret():
    for request in REQUESTS:
        made = manner(request)
        text = repr((made, made.ask_password(*ALICE, "wonderland")))
        assert "wonderland" not in text
        assert SECRET.decode() not in text
        assert "Basic" not in text


# --- what is answered -----------------------------------------------------------------------------


def test_statuses_say_what_the_rules_have():
    rules = Rules(frozenset({200, 204}), frozenset({401}), frozenset({404}))
    said = [rules.by_status(status) for status in (200, 204, 401, 404)]
    assert said == [Says.YES, Says.YES, Says.NO, Says.UNKNOWN]
    for status in (100, 201, 400, 403, 407, 429):
        words = f"answers {status}, which neither accepted nor refused nor unknown names"
        assert nothing(rules.by_status, status) == words
    for status in (500, 502, 503, 599):
        assert nothing(rules.by_status, status) == f"answers {status}"


def test_redirect_is_no_answer():
    for status in (300, 301, 302, 303, 304, 307, 308):
        assert "it points elsewhere" in nothing(Rules().by_status, status)


def test_refusal_may_be_meant_for_our_secret():
    signed = Rules(of_secret=OF_SIGNATURE)
    for rules, status in ((Rules(), 401), (Rules(), 403), (signed, 401), (signed, 500)):
        words = nothing(rules.by_status, status, secret=True)
        assert words == f"answers {status}: is secret_file right?"
    for rules, status in ((Rules(), 500), (signed, 502)):
        assert nothing(rules.by_status, status, secret=True) == f"answers {status}"


def test_member_has_the_last_word_its_type_included():
    rules = Rules(
        member="data.ok", accepted_values=(True, "yes"), refused_values=(False, 1),
        unknown_values=("", 0.5),
    )  # fmt: skip
    for value, says in (
        (True, Says.YES), ("yes", Says.YES), (False, Says.NO), (1, Says.NO), ("", Says.UNKNOWN),
        (0.5, Says.UNKNOWN),
    ):  # fmt: skip
        assert rules.by_members({"data": {"ok": value}}) is says
    for value in (0, 1.0, "true", "True", None, [], {}, ["yes"], {"ok": True}):
        words = nothing(rules.by_members, {"data": {"ok": value}})
        assert words == "answers a `data.ok` that is none of the values of the settings"
    for members in ({}, {"data": {}}, {"data": None}, {"data": [True]}, {"data.ok": True}):
        words = nothing(rules.by_members, members)
        assert words == "answers an object without the member `data.ok`"


def test_name_is_a_string():
    rules = Rules(user="data.uid")
    assert rules.by_members({}) is Says.YES
    assert rules.name_in({"data": {"uid": "alice"}}) == "alice"
    for value in (None, 7, True, ["alice"], {"uid": "alice"}):
        assert "no string" in nothing(rules.name_in, {"data": {"uid": value}})
    assert "without the member" in nothing(rules.name_in, {"uid": "alice"})


def test_rules_look_closer_where_a_member_tells():
    assert not Rules().looks_closer
    assert Rules(member="ok").looks_closer
    assert Rules(user="user").looks_closer


def test_what_it_says_is_no_bool():
    for says in Says:
        with pytest.raises(TypeError):
            bool(says)
