"""What is judged for a program that opens no listener, as `authbridge-extauth --standalone`."""

from __future__ import annotations

import pytest

from authbridge import config
from authbridge.settings import ConfigurationError

LISTENERS = """
[listen]
extauth = ["unix:/tmp/x/extauth.sock:mode=660"]
http = ["tcp:9281:interface=127.0.0.1"]
[clients.prosody]
secret_file = "secret"
may = ["check_password"]
domains = ["example.org"]
"""
ALONE = """
[extauth]
users = ["0"]
[domains."example.org"]
check = ["local"]
[domains."example.net"]
check = ["local"]
[checkers.local]
kind = "file"
path = "users"
"""
GOOD = LISTENERS + ALONE
TWO = """
[checkers.corp]
kind = "ldap"
servers = ["ldaps://a.example.org", "ldaps://b.example.org"]
base = "dc=example,dc=org"
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("secret", "users"):
        (tmp_path / name).write_text("through-the-glass\n" if name == "secret" else "")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def load(folder, text, *, listens=True):
    path = folder / "authbridge.toml"
    path.write_text(text)
    return config.load(path, listens=listens)


def alone(folder, text):
    return load(folder, text, listens=False)


def mistakes(folder, text, *, listens):
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text, listens=listens)
    return list(raised.value.mistakes)


def test_without_listeners_there_need_be_no_section_for_them(folder):
    read = alone(folder, ALONE)
    assert load(folder, GOOD).clients.keys() == {"prosody"}
    assert read.checkers.keys() == {"local"}
    assert read.domains.keys() == {"example.org", "example.net"}
    assert (read.listen_extauth, read.listen_http, read.listen_control) == ((), (), ())
    assert read.clients == {}
    assert [line.partition(":")[0] for line in mistakes(folder, ALONE, listens=True)] == ["listen"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"secret"', '"nowhere"'),
        ("may =", "mya ="),
        ('domains = ["example.org"]', 'domains = ["example.com"]'),
        ("extauth =", "extauht ="),
        ("tcp:9281:interface=127.0.0.1", "ssl:9281:privateKey=/nowhere:certKey=/nowhere"),
        ("[extauth]", "[http]\ndeadline = 0\nunknown = 1\n[extauth]"),
        ('users = ["0"]', 'users = ["nobody-of-this-name"]'),
    ],
)
def test_what_is_there_for_listeners_is_not_looked_at_without_them(folder, old, new):
    assert old in GOOD
    text = GOOD.replace(old, new)
    assert mistakes(folder, text, listens=True)
    assert alone(folder, text).domains.keys() == {"example.org", "example.net"}


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("[extauth]", "[extauht]", 'extauht: there is no such setting; did you mean "extauth"?'),
        ("[extauth]", '[extauth]\ndeadline = "1h"', "extauth.deadline: should be between 0.1"),
        ('"users"', '"nowhere"', "checkers.local.path: "),
        ('["local"]\n[domains', '["locl"]\n[domains', "no [checkers.locl]"),
    ],
)  # fmt: skip
def test_all_else_is_judged_without_listeners_too(folder, old, new, mistake):
    assert old in ALONE
    (line,) = mistakes(folder, ALONE.replace(old, new), listens=False)
    assert mistake in line


def test_the_deadline_of_http_is_nobodys_where_http_does_not_listen(folder):
    deadlines = '[authbridge]\ndeadline = "5s"\n[http]\ndeadline = "1s"'
    text = ALONE.replace("[extauth]", f'{deadlines}\n[extauth]\ndeadline = "8s"')
    text = text.replace('check = ["local"]\n[dom', 'check = ["corp"]\n[dom') + TWO
    assert alone(folder, text).extauth.deadline == 8
