"""The configuration of who may ask for temporary tokens, and for which."""

from __future__ import annotations

import pytest

from authbridge.frontends.clients import Client
from authbridge.localparts import Localparts
from tests.test_config_state import KEEPING, load, mistakes, one_mistake, secrets
from tests.test_config_tokens import GOOD, folder

__all__ = ["folder", "secrets"]  # fixtures

LISTEN = '\n[listen]\nhttp = ["tcp:9281:interface=127.0.0.1"]\n'
CLIENT = """
[clients.website]
secret_file = "client"
may = ["tokens", "introspect", "revoke"]
domains = ["example.org"]
"""
ASKED = KEEPING + LISTEN + CLIENT


def client(folder, more="", may='"tokens"'):
    """The website's settings."""
    text = ASKED.replace('"tokens", "introspect", "revoke"', may) + more
    found = load(folder, text).clients["website"]
    assert isinstance(found, Client)
    return found


def test_a_client_gets_little_unless_more_is_said(folder):
    grant = client(folder).grant
    assert (grant.name, grant.domains, grant.users) == ("website", {"example.org"}, None)
    assert (grant.max_lifetime, grant.max_uses, grant.rate) == (60.0, 1, (20, 1.0))


def test_or_what_is_said(folder):
    more = 'users = ["member-*", "Alice"]\nmax_lifetime = "90d"\nmax_uses = "any"\nrate = "5/m"\n'
    grant = client(folder, more).grant
    assert grant.users == Localparts(frozenset({"alice"}), (("member-", ""),))
    assert (grant.max_lifetime, grant.max_uses, grant.rate) == (90 * 86400.0, None, (5, 60.0))
    assert client(folder, "max_uses = 1000000\n").max_uses == 1_000_000
    assert client(folder, 'users = "*"\n').users is None
    assert client(folder, 'rate = "999999/h"\n').rate == (999_999, 3600.0)


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ("users = []", "users: names nobody, so that there would be no token for anybody"),
        ('users = ["alice@example.org"]', 'users: "alice@example.org": users stand here without'),
        ('users = "alice"', 'users: should be "*" or a list of names: ["alice", "bot-*"]'),
        ('max_lifetime = "0s"', "max_lifetime: "),
        ('max_lifetime = "1"', "max_lifetime: "),
        ("max_lifetime = true", "max_lifetime: "),
        ("max_uses = 0", "max_uses: "),
        ("max_uses = 1000001", "max_uses: "),
        ("max_uses = true", "max_uses: "),
        ('max_uses = "many"', "max_uses: "),
        ('rate = "20"', 'rate: should be tokens in a second, minute or hour, as in "20/s"'),
        ('rate = "0/s"', "rate: should be tokens in a second"),
        ('rate = "1000000/s"', "rate: should be tokens in a second"),
        ('rate = "20/d"', "rate: should be tokens in a second"),
        ('rate = " 20/s"', "rate: should be tokens in a second"),
        ('rate = "20/s\\n"', "rate: should be tokens in a second"),
        ("rate = 20", "rate: "),
        ('rates = "20/s"', 'rates: there is no such setting; did you mean "rate"?'),
        ('max_use = "any"', 'max_use: there is no such setting; did you mean "max_uses"?'),
    ],
)
def test_a_mistake_of_a_client_is_one_line(folder, more, mistake):
    assert one_mistake(folder, f"{ASKED}{more}\n").startswith(f"clients.website.{mistake}")


@pytest.mark.parametrize(
    "more", ['users = ["alice"]', 'max_lifetime = "1h"', "max_uses = 5", 'rate = "1/s"']
)
def test_limits_of_tokens_are_misplaced_with_who_may_ask_for_none(folder, more):
    text = GOOD + LISTEN + CLIENT.replace('"tokens", "introspect", "revoke"', '"check_password"')
    name = more.partition(" ")[0]
    assert one_mistake(folder, f"{text}{more}\n") == (
        f'clients.website.{name}: is for may = "introspect", "prebind", "revoke", "tokens"'
    )
    mistaken = text.replace('"check_password"', '"tokns"')
    assert one_mistake(folder, f"{mistaken}{more}\n").startswith(
        'clients.website.may: "tokns" is not known; did you mean "tokens"?'
    )


@pytest.mark.parametrize("verb", ["tokens", "introspect", "revoke"])
def test_who_asks_about_tokens_has_a_secret(folder, verb):
    peers = f'[clients.browsers]\nmay = ["basic", "{verb}"]\ndomains = ["example.org"]\n'
    text = KEEPING + LISTEN + peers + 'peers = ["127.0.0.1"]\n'
    assert one_mistake(folder, text) == (
        f'clients.browsers.peers: "{verb}" needs a secret_file; '
        "peers are for basic, cookie, json and oauth"
    )


def test_whoever_may_ask_for_tokens_has_where_they_are_accepted(folder):
    key = 'clients.website.may: "tokens": '
    assert one_mistake(folder, GOOD + LISTEN + CLIENT) == (
        f'{key}no checker of kind "token" accepts "temporary"'
    )
    other = ASKED.replace('["example.org"]', '["example.net"]').replace(
        '[domains."example.org"]',
        '[domains."example.net"]\ncheck = ["local"]\n[domains."example.org"]',
    )
    assert one_mistake(folder, other) == (
        f'{key}no checker of kind "token" is in domains."example.net".check, so that tokens would '
        "be taken for passwords; put tokens there, as the first"
    )


@pytest.mark.parametrize("domains", ['["*"]', '["example.org", "example.net"]'])
def test_one_domain_that_accepts_them_is_enough(folder, domains):
    text = ASKED.replace('["example.org"]', domains)
    text += '[domains."example.net"]\ncheck = ["local"]\n'
    assert mistakes(folder, text) == []


@pytest.mark.parametrize("may", ['"introspect"', '"revoke"', '"introspect", "revoke"'])
def test_who_asks_for_no_tokens_needs_none_to_be_accepted(folder, may):
    text = GOOD + LISTEN + CLIENT.replace('"tokens", "introspect", "revoke"', may)
    assert mistakes(folder, text) == []


def test_of_a_checker_or_a_domain_with_a_mistake_nothing_follows(folder):
    text = ASKED.replace('"token"\n', '"tokn"\n')
    assert [one.split(":")[0] for one in mistakes(folder, text)] == ["checkers.tokens.kind"]
    text = ASKED.replace('"example.org"]\ncheck', '"exa mple"]\ncheck')
    assert not any(one.startswith("clients.website.may") for one in mistakes(folder, text))
