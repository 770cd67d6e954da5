"""The settings of kind "sql"."""

from __future__ import annotations

from pathlib import Path

import pytest

from authbridge.sql.address import Dialect
from authbridge.sql.presets import PRESETS
from tests.ldap.certificates import Authority
from tests.sql import tables

URL = "postgresql://bridge@db.example.org/site"
QUERY = "SELECT a AS username, b AS password FROM t WHERE a = :user"
GOOD = {"url": URL, "query": QUERY, "hashes": ["bcrypt"]}


@pytest.fixture
def read(tmp_path):
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("hunter2\n")

    def reading(**data):
        found, mistakes = tables.read(tmp_path, {k: v for k, v in data.items() if v is not None})
        assert "hunter2" not in repr(found)
        return found, mistakes

    return reading


def mistakes(read, **more):
    return read(**{**GOOD, **more})[1]


def test_the_least_there_is_has_its_defaults(read):
    found, wrong = read(**GOOD)
    assert wrong == []
    assert found.address.dialect is Dialect.POSTGRESQL
    assert (found.encrypted, found.ca_file, found.password) == (True, None, None)
    assert (found.timeout, found.at_once, found.salt_encoding) == (4.0, 8, "base64")
    assert found.hashes == ("bcrypt",)


def test_everything_can_be_said(read, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority("tables").pem)
    found, wrong = read(
        **GOOD,
        password_file="secret",
        ca_file="ca.pem",
        salt_encoding="hex",
        timeout="500ms",
        at_once=2,
    )
    assert wrong == []
    assert found.password.reveal() == b"hunter2"
    assert (found.ca_file, found.encrypted) == (ca, True)
    assert (found.salt_encoding, found.timeout, found.at_once) == ("hex", 0.5, 2)


def test_a_preset_brings_a_query_and_its_hashes(read):
    for name, preset in PRESETS.items():
        found, wrong = read(url=URL, preset=name)
        assert wrong == []
        assert found.hashes == preset.hashes
        assert found.salt_encoding == preset.salt_encoding
    found, wrong = read(url=URL, preset="nextcloud", table_prefix="nc1_", hashes=["argon2"])
    assert wrong == []
    assert "nc1_users" in found.query.text
    assert found.hashes == ("argon2",)
    found, wrong = read(url=URL, preset="wordpress", query=QUERY, salt_encoding="text")
    assert wrong == []
    assert found.query.text == QUERY
    assert found.salt_encoding == "text"


def test_encryption_is_needed_where_there_is_a_network(read, tmp_path):
    (tmp_path / "ca.pem").write_bytes(Authority("tables").pem)
    for url, more, encrypted in (
        ("mysql://b@db/s", {}, True),
        ("mysql://b@db/s", {"insecure_clear_text": True}, False),
        ("mysql://b@127.0.0.1/s", {}, False),
        ("mysql://b@localhost/s", {"ca_file": "ca.pem"}, True),
        ("postgresql://b@/s?socket=/run/postgresql", {}, False),
        ("sqlite:///x", {}, False),
    ):
        found, wrong = read(**{**GOOD, "url": url}, **more)
        assert wrong == []
        assert found.encrypted is encrypted, url


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": None}, "url: is missing"),
        ({"url": "mysql://b:hunter2@h/d"}, "url: holds a password"),
        ({"url": "mysql://b:hunter2@h/d", "insecure_clear_text": True}, "url: holds a password"),
        ({"url": "sqlite:///x", "password_file": "secret"}, "password_file: means nothing to SQL"),
        ({"url": "sqlite:///x", "ca_file": "ca.pem"}, "ca_file: means nothing where nothing"),
        (
            {"url": "mysql://b@/d?socket=/x", "insecure_clear_text": True},
            "insecure_clear_text: means nothing where nothing",
        ),
        (
            {"url": "mysql://b@[::1]/d", "insecure_clear_text": True},
            "insecure_clear_text: is for other machines",
        ),
        (
            {"ca_file": "ca.pem", "insecure_clear_text": True},
            "ca_file: verifies nothing beside insecure_clear_text",
        ),
        ({"ca_file": "nowhere"}, "No such file"),
        ({"password_file": "nowhere"}, "No such file"),
        ({"query": None}, "query: is missing; or give a preset: 'django', "),
        ({"query": "SELECT 1"}, "query: asks for nobody"),
        ({"query": ""}, "query: should be a string"),
        ({"preset": "typo3", "query": None, "hashes": None}, 'preset: "typo3" is not known'),
        ({"table_prefix": "x_"}, "for presets with such a prefix: django, wordpress, nextcloud"),
        (
            {"preset": "prosody", "query": None, "table_prefix": "x_"},
            "for presets with such a prefix",
        ),
        (
            {"preset": "django", "query": None, "table_prefix": "x; DROP"},
            "table_prefix: should be letters, digits and _",
        ),
        ({"preset": "django", "query": None, "table_prefix": 7}, "table_prefix: should be letters"),
        ({"preset": "django", "table_prefix": "x_"}, "table_prefix: means nothing beside query"),
        ({"hashes": None}, "hashes: is missing"),
        ({"hashes": []}, "hashes: names none; there is argon2"),
        ({"hashes": ["bcript"]}, 'hashes: "bcript" is not known; did you mean "bcrypt"?'),
        ({"hashes": ["plain"]}, 'hashes: "plain": who reads the table reads every password'),
        ({"insecure_plain_passwords": True}, "insecure_plain_passwords: is for hashes that name"),
        ({"salt_encoding": "base32"}, 'salt_encoding: "base32" is not known'),
        ({"timeout": "26s"}, "timeout: should be between 0.1 and 25 seconds"),
        ({"at_once": 0}, "at_once: should be a whole number between 1 and 200"),
        ({"pool_size": 4}, "pool_size: there is no such setting"),
    ],
)
def test_a_mistake_is_told_with_its_key(read, tmp_path, more, said):
    (tmp_path / "ca.pem").write_bytes(Authority("tables").pem)
    wrong = mistakes(read, **more)
    assert len(wrong) == 1, wrong
    assert said in wrong[0]
    assert "hunter2" not in wrong[0]


def test_plain_text_can_be_allowed(read):
    found, wrong = read(**{**GOOD, "hashes": ["plain"]}, insecure_plain_passwords=True)
    assert wrong == []
    assert found.hashes == ("plain",)


def test_a_preset_that_there_is_not_hides_nothing_else(read):
    wrong = read(url=URL, preset="typo3", table_prefix="x", timeout="x")[1]
    assert [line.partition(":")[0] for line in wrong] == ["preset", "timeout"]


def test_a_file_is_named_absolutely(read):
    assert read(**{**GOOD, "url": "sqlite:///x/y"})[0].address.file == Path("/x/y")
