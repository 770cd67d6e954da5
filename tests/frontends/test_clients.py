"""Who may call listen.http."""

from __future__ import annotations

import pytest

from authbridge.frontends import clients
from authbridge.frontends.clients import ANONYMOUS, Client
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table


def read(data, tmp_path, name="prosody"):
    secret = tmp_path / "secret"
    secret.write_text("wonderland\n")
    secret.chmod(0o600)
    mistakes = Mistakes()
    client = Client.read(
        name, Table({"secret_file": "secret", **data}, f"clients.{name}", mistakes, tmp_path)
    )
    return client, list(mistakes)


def test_a_client_may_ask_what_is_named_and_nothing_else(tmp_path):
    client, mistakes = read({"may": ["check_password"], "domains": ["Example.ORG"]}, tmp_path)
    assert mistakes == []
    assert client.may_ask("check_password", b"example.org")
    assert client.may_ask("check_password", b"EXAMPLE.org.")
    assert not client.may_ask("user_exists", b"example.org")
    assert not client.may_ask("check_password", b"sub.example.org")
    assert not client.may_ask("check_password", b"a b")


def test_a_star_is_every_domain(tmp_path):
    client, _ = read({"may": ["user_exists"], "domains": ["*"]}, tmp_path)
    assert client.may_ask("user_exists", b"anywhere.test")
    assert not client.may_ask("check_password", b"anywhere.test")


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ({"domains": ["e.org"]}, "clients.prosody.may: is missing"),
        ({"may": ["user_exists"]}, "clients.prosody.domains: is missing"),
        ({"may": ["user_exist"], "domains": ["e.org"]}, 'did you mean "user_exists"?'),
        ({"may": [], "domains": ["a b"]}, 'clients.prosody.domains: "a b": the domain is not'),
        ({"may": [], "domains": [], "pears": 1}, "clients.prosody.pears: there is no such setting"),
    ],
)
def test_mistakes_have_their_key(tmp_path, data, mistake):
    _, mistakes = read(data, tmp_path)
    assert len(mistakes) == 1
    assert mistake in mistakes[0]


def test_a_name_that_needs_quoting_is_a_mistake(tmp_path):
    _, mistakes = read({"may": [], "domains": []}, tmp_path, name="pro:sody")
    assert "a client's name" in mistakes[0]


def test_a_client_is_found_by_name_and_secret_together():
    client = Client("prosody", Secret(b"wonderland"), frozenset(), frozenset())
    without = Client("nginx", None, frozenset(), frozenset())
    known = {"prosody": client, "nginx": without}
    assert clients.find(known, b"prosody", b"wonderland") is client
    for name, secret in [
        (b"prosody", b"wonderlanD"), (b"prosody", b""), (b"Prosody", b"wonderland"),
        (b"nobody", b"wonderland"), (b"nobody", b"\0" * 32), (b"nginx", b"\0" * 32), (b"\xff", b""),
    ]:  # fmt: skip
        assert clients.find(known, name, secret) is None


def test_anonymous_callers_may_read_and_never_write():
    assert ANONYMOUS.may_ask("check_password", b"any.test")
    assert not ANONYMOUS.may_ask("set_password", b"any.test")
