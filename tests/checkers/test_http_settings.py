"""The settings of a website: what they come to, and what is a mistake in them."""

from __future__ import annotations

import pytest

from authbridge.checkers import CheckerSettings
from authbridge.outbound.web_settings import WebSettings
from authbridge.settings import Mistakes, Table
from authbridge.tokens.shapes import Shape
from authbridge.wire.website import OF_SIGNATURE, Manner, Rules
from tests.checkers.website import (
    BASIC,
    EXISTS_URL,
    JSON_RULES,
    URL,
    read,
    secret_file,
    settings,
)
from tests.ldap.certificates import OURS

XCAUTH = {"url": URL, "request": "xcauth", "secret_file": "secret", "answer_member": "result"}
OK = frozenset({200})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ca.pem").write_bytes(OURS.pem)
    secret_file(tmp_path)
    return tmp_path


def test_there_are_defaults(folder):
    found = settings(folder, {"url": URL, "user_member": "user"})
    assert found.manner == Manner("form")
    assert found.rules == Rules(
        OK, refused=frozenset({401}), accepted_values=(True,), refused_values=(False,), user="user"
    )
    assert found.web == WebSettings(False, None, 5.0)
    assert (found.url, found.exists_url, found.host, found.at_once) == (URL, "", "", 64)
    assert (found.shape, found.passwords) == (None, True)
    assert (found.knows_users, found.own_tokens) == (False, False)


def test_everything_may_be_given(folder):
    given = {
        "url": URL, "request": "json", "user": "jid", "user_field": "login",
        "password_field": "pass", "domain_field": "host", "fields": {"app": "xmpp", "n": 1.5},
        "accepted": [200, 202], "refused": [401, 422], "unknown": [404],
        "answer_member": "data.state", "accepted_value": ["in", True], "refused_value": 0,
        "unknown_value": ["?", 1], "user_member": "data.user", "exists_url": EXISTS_URL,
        "exists_member": "data.there", "exists_value": ["y", 1], "missing_value": "n",
        "token_prefix": "sess_", "token_length": 40, "passwords": False, "host": "www:8443",
        "timeout": "2s", "at_once": 7, "ca_file": "ca.pem", "insecure_clear_text": False,
    }  # fmt: skip
    found = settings(folder, given)
    assert found.manner == Manner(
        "json", user="login", password="pass", domain="host", whole=True,
        fields={"app": "xmpp", "n": 1.5},
    )  # fmt: skip
    assert found.rules == Rules(
        frozenset({200, 202}), frozenset({401, 422}), frozenset({404}), "data.state",
        ("in", True), (0,), ("?", 1), "data.user",
    )  # fmt: skip
    assert found.exists_rules == Rules(
        OK, unknown=frozenset({404}), member="data.there", accepted_values=("y", 1),
        unknown_values=("n",),
    )  # fmt: skip
    assert found.web == WebSettings(False, folder / "ca.pem", 2.0)
    assert (found.exists_url, found.host, found.at_once) == (EXISTS_URL, "www:8443", 7)
    assert (found.shape, found.passwords) == (Shape(b"sess_", 40, 40), False)
    assert (found.knows_users, found.own_tokens) == (True, True)


def test_secret_is_shown_and_then_a_refusal_may_be_meant_for_it(folder):
    for request in ("form", "json"):
        rules = {**JSON_RULES, "request": request, "secret_file": "secret"}
        found = settings(folder, rules)
        assert found.manner.secret.reveal() == b"between-us"
        assert found.rules.refused == frozenset()
        assert settings(folder, {**rules, "refused": [401]}).rules.refused == frozenset({401})


def test_basic_asks_by_a_status(folder):
    assert settings(folder, BASIC).manner == Manner("basic", "GET")
    for method in ("POST", "HEAD"):
        assert settings(folder, {**BASIC, "method": method}).manner.method == method
    assert not settings(folder, BASIC).rules.looks_closer
    assert settings(folder, {**BASIC, "user_member": "id"}).rules.looks_closer


def test_form_without_a_body_rule_has_another_status(folder):
    found = settings(folder, {"url": URL, "accepted": [204]})
    assert not found.rules.looks_closer
    (mistake,) = read(folder, {"url": URL})[1]
    assert mistake.startswith("accepted: takes 200 for a yes, which a page with a login form has")


def test_xcauth_knows_users_at_the_same_url(folder):
    found = settings(folder, XCAUTH)
    assert found.exists_url == URL
    assert found.exists_rules == Rules(
        OK, member="data.isUser", accepted_values=(True,), unknown_values=(False,)
    )
    assert found.manner.domain == "domain"
    assert settings(folder, {**XCAUTH, "send_domain": False}).manner.domain == ""


def test_presets_can_be_overridden(folder):
    found = settings(folder, {"preset": "xcauth", "url": URL, "secret_file": "secret"})
    assert found.rules == Rules(
        OK, member="result", accepted_values=("success",), refused_values=("noauth",),
        user="data.uid", of_secret=OF_SIGNATURE,
    )  # fmt: skip
    found = settings(
        folder,
        {"preset": "xcauth", "url": URL, "secret_file": "secret", "unknown_value": "nobody"},
    )
    assert found.rules.unknown_values == ("nobody",)
    found = settings(folder, {"preset": "nextcloud", "url": URL})
    assert found.manner == Manner("basic", "GET", headers={"OCS-APIRequest": "true"})
    assert found.rules.user == "ocs.data.id"
    found = settings(folder, {"preset": "django", "url": URL, "secret_file": "secret"})
    assert (found.manner.request, found.rules.member, found.rules.user) == (
        "json", "accepted", "user",
    )  # fmt: skip


def test_mistakes_say_what_would_be_right(folder):
    for given, mistake in (
        ({**JSON_RULES, "preset": "drupal"}, 'preset: "drupal" is not known'),
        ({**JSON_RULES, "preset": 7}, "preset: should be a string"),
        ({**JSON_RULES, "request": "xml"}, 'request: "xml" is not known'),
        ({"request": "json", "answer_member": "ok"}, "url: is missing"),
        ({**JSON_RULES, "url": "http://www.example.org/"}, "url: it should begin with https://"),
        ({**JSON_RULES, "exists_url": "http://www.example.org/"},
         "exists_url: it should begin with https://"),
        ({**JSON_RULES, "insecure_clear_text": True}, "insecure_clear_text: is for http:// URLs"),
        ({**JSON_RULES, "host": "a b"}, "host: should be the Host header"),
        ({**JSON_RULES, "method": "GET"}, 'method: is POST with request = "json"'),
        ({**BASIC, "method": "PUT"}, 'method: "PUT" is not known'),
        ({**BASIC, "method": "HEAD", "user_member": "id"}, "method: HEAD gets no body"),
        ({**JSON_RULES, "user": "mail"}, 'user: "mail" is not known'),
        ({**JSON_RULES, "user_field": ""}, "user_field: should be a string"),
        ({**JSON_RULES, "user_field": "password"},
         'password_field: there is another field "password"'),
        ({**JSON_RULES, "domain_field": "username"},
         'domain_field: there is another field "username"'),
        ({**JSON_RULES, "fields": {"username": "x"}},
         'user_field: there is another field "username"'),
        ({**JSON_RULES, "fields": {"x": ["y"]}},
         "fields: x should be a string, a number, true or false"),
        ({**JSON_RULES, "request": "form", "fields": {"a b": 1}},
         'fields: "a b" should be a string'),
        ({**JSON_RULES, "fields": {"": "y"}}, 'fields: "" should be'),
        ({**JSON_RULES, "fields": "x"}, "fields: should be a table"),
        ({**BASIC, "user_field": "x"}, 'user_field: means nothing with request = "basic"'),
        ({**XCAUTH, "fields": {"x": "y"}}, 'fields: means nothing with request = "xcauth"'),
        ({**JSON_RULES, "send_domain": True}, 'send_domain: is about request = "xcauth"'),
        ({**BASIC, "secret_file": "secret"}, "secret_file: has no place beside the user's own"),
        ({**XCAUTH, "secret_file": "none"}, "secret_file: "),
        ({key: XCAUTH[key] for key in XCAUTH if key != "secret_file"}, "secret_file: is missing"),
        ({**JSON_RULES, "secret_file": "none"}, "secret_file: "),
        ({**JSON_RULES, "secret_file": "odd"}, 'secret_file: holds what cannot stand behind "Be'),
        ({**JSON_RULES, "accepted": []}, "accepted: names no status"),
        ({**JSON_RULES, "accepted": 200}, "accepted: should be a list of statuses, of 200 to 299;"),
        ({**JSON_RULES, "accepted": [302]}, "accepted: should be a list of statuses"),
        ({**JSON_RULES, "accepted": [True]}, "accepted: should be a list of statuses"),
        ({**JSON_RULES, "accepted": [204]}, "accepted: holds a status without a body"),
        ({**JSON_RULES, "refused": [302]},
         "refused: should be a list of statuses, of 200 to 299 and 400 to 499; a redirect is no"),
        ({**JSON_RULES, "unknown": [500]}, "unknown: should be a list of statuses"),
        ({**JSON_RULES, "refused": [200]}, "refused: 200 has another meaning already"),
        ({**JSON_RULES, "unknown": [401]}, "unknown: 401 has another meaning already"),
        ({**JSON_RULES, "answer_member": "a..b"}, "answer_member: should be the name of a member"),
        ({**JSON_RULES, "user_member": 7}, "user_member: should be a string"),
        ({**JSON_RULES, "accepted_value": []}, "accepted_value: should be a string, a number"),
        ({**JSON_RULES, "accepted_value": [["x"]]}, "accepted_value: should be a string"),
        ({**JSON_RULES, "accepted_value": float("inf")}, "accepted_value: should be a string"),
        ({**JSON_RULES, "fields": {"x": float("nan")}}, "fields: x should be a string, a number"),
        ({**JSON_RULES, "accepted_value": [False]},
         "refused_value: false has another meaning already"),
        ({**JSON_RULES, "unknown_value": [1, True]},
         "unknown_value: true has another meaning already"),
        ({**BASIC, "refused_value": "no"}, "refused_value: is about answer_member, and there is"),
        ({**BASIC, "exists_url": EXISTS_URL}, 'exists_url: means nothing with request = "basic"'),
        ({**XCAUTH, "exists_url": EXISTS_URL}, "exists_url: is the same as `url` with"),
        ({**XCAUTH, "exists_member": "x"}, "exists_member: is data.isUser with request"),
        ({**JSON_RULES, "exists_member": "x"}, "exists_member: is about exists_url, and there is"),
        ({**JSON_RULES, "missing_value": 0}, "missing_value: is about exists_url, and there is"),
        ({**JSON_RULES, "token_length": 7}, "token_length: should be a number of characters"),
        ({**JSON_RULES, "passwords": False}, "passwords: leaves nothing to ask about"),
        ({**JSON_RULES, "at_once": 0}, "at_once: should be a whole number"),
        ({**JSON_RULES, "timeout": 0}, "timeout: should be"),
        ({**JSON_RULES, "ca_file": "none.pem"}, "ca_file: "),
        ({**JSON_RULES, "headers": {"a": "b"}}, "headers: there is no such setting"),
    ):  # fmt: skip
        secret_file(folder)
        odd = folder / "odd"
        odd.write_bytes(b"between us\r\nX-Evil: 1")
        odd.chmod(0o600)
        found = read(folder, given)[1]
        assert len(found) == 1, (given, found)
        assert found[0].startswith(mistake), (given, found)


def test_table_of_the_configuration_is_read(folder):
    mistakes = Mistakes()
    table = Table({"kind": "http", **JSON_RULES}, "checkers.c", mistakes, folder)
    found = CheckerSettings.read(table)
    assert list(mistakes) == []
    assert (found.knows_users, found.recognises, found.takes_all) == (False, False, False)
    assert (found.own_tokens, found.own_issuer, found.at_once) == (False, "", 64)


def test_the_examples_view_answers_nobody_without_a_secret(folder):
    (mistake,) = read(folder, {"preset": "django", "url": URL})[1]
    assert "secret_file: is missing" in mistake
