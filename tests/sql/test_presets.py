"""The tables of well-known programs."""

from __future__ import annotations

import sqlite3

import pytest

from authbridge.model import JID
from authbridge.sql import account
from authbridge.sql.address import Dialect
from authbridge.sql.presets import PRESETS
from authbridge.sql.query import NameForm, Query
from tests.sql import tables

ALICE = JID("alice", "example.org")

TABLES = {
    "django": (
        "CREATE TABLE auth_user (id, password, is_active, username, last_login);"
        "INSERT INTO auth_user VALUES (1, 'HASH', 1, 'alice', NULL), (2, 'x', 1, 'bob', NULL)"
    ),
    "wordpress": (
        "CREATE TABLE wp_users (ID, user_login, user_pass, user_email);"
        "INSERT INTO wp_users VALUES (1, 'alice', 'HASH', ''), (2, 'bob', 'x', '')"
    ),
    "nextcloud": (
        "CREATE TABLE oc_users (uid, displayname, password, uid_lower);"
        "INSERT INTO oc_users VALUES ('Alice', '', 'HASH', 'alice'), ('bob', '', 'x', 'bob');"
        "CREATE TABLE oc_preferences (userid, appid, configkey, configvalue);"
        "INSERT INTO oc_preferences VALUES ('bob', 'core', 'enabled', 'false'),"
        " ('Alice', 'files', 'enabled', 'false'), ('Alice', 'core', 'enabled', 'true')"
    ),
    "prosody": (
        'CREATE TABLE prosody (host, "user", store, "key", type, value);'
        "INSERT INTO prosody VALUES ('example.org', 'alice', 'accounts', 'stored_key', '', 'HASH'),"
        " ('example.org', 'alice', 'accounts', 'salt', '', 'SALT'),"
        " ('example.org', 'alice', 'accounts', 'iteration_count', 'number', '4096'),"
        " ('example.org', 'alice', 'roster', 'stored_key', '', 'x'),"
        " ('example.net', 'alice', 'accounts', 'stored_key', '', 'x'),"
        " ('example.org', 'bob', 'accounts', 'password', '', 'x')"
    ),
    "ejabberd": (
        "CREATE TABLE users (username, password, serverkey, salt, iterationcount, created_at);"
        "INSERT INTO users VALUES ('alice', 'sha256:HASH', 'k', 'SALT', 4096, 0),"
        " ('bob', 'x', '', '', 0, 0)"
    ),
    "ejabberd-multihost": (
        "CREATE TABLE users (username, server_host, type, password, serverkey, salt,"
        " iterationcount, created_at);"
        "INSERT INTO users VALUES ('alice', 'example.org', 2, 'HAS', 'k', 'SALT', 4096, 0),"
        " ('alice', 'example.org', 4, 'HASH', 'k', 'SALT', 4096, 0),"
        " ('alice', 'example.net', 4, 'LONGER', 'k', 'SALT', 4096, 0)"
    ),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_finds_one_row_of_its_program(name, tmp_path):
    preset = PRESETS[name]
    path = tables.make(tmp_path, TABLES[name])
    query = Query.parse(preset.query_for(Dialect.SQLITE, preset.prefix or ""))
    connection = sqlite3.connect(path)
    cursor = connection.execute(query.text, query.parameters(ALICE))
    columns = [column[0] for column in cursor.description]
    account.check_columns(columns)
    (row,) = cursor.fetchall()
    connection.close()
    found = account.read(dict(zip(columns, row, strict=True)), 0.0)
    assert query.form.stands_for(found.username, ALICE, found.domain)
    assert found.refusal is None
    if found.keys is None:
        assert found.password == "HASH"
    else:
        assert found.keys in (("HASH", "SALT", 4096), ("HASH", "SALT", "4096"))
        assert found.password is None


def test_xmpp_servers_store_localparts_and_websites_names():
    for name, preset in PRESETS.items():
        form = Query.parse(preset.query_for(Dialect.MYSQL, "")).form
        xmpp = name in ("prosody", "ejabberd", "ejabberd-multihost")
        assert form is (NameForm.LOCALPART if xmpp else NameForm.USER)


def test_names_are_quoted_for_the_dialect():
    prosody = PRESETS["prosody"]
    assert "`user`" in prosody.query_for(Dialect.MYSQL, "")
    assert '"user"' in prosody.query_for(Dialect.POSTGRESQL, "")
