"""What a row says of a user."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from authbridge.model import Reason
from authbridge.sql import account, hashes
from authbridge.sql.faults import Fault

NOW = 1_700_000_000.0
KEY = "00" * 20


def read(**row):
    return account.read({"username": "alice", "password": "x", **row}, NOW)


def refused(**row):
    return read(**row).refusal


def fault(work, *arguments, **named):
    with pytest.raises(Fault) as raised:
        work(*arguments, **named)
    return raised.value


def test_columns_are_those_that_mean_something():
    for good in (
        ["username", "password"],
        ["password", "username", "enabled", "disabled", "locked", "expires"],
        ["username", "stored_key", "salt", "iterations"],
        ["username", "password", "stored_key", "salt", "iterations"],
    ):
        account.check_columns(good)
    for wrong, words in (
        (["username", "password", "enabeld"], 'did you mean "enabled"?'),
        (["username", "password", "password"], "two columns password"),
        (["password"], "without a column username"),
        (["username"], "neither password nor stored_key"),
        (["username", "salt", "iterations"], "neither password nor stored_key"),
        (["username", "stored_key", "salt"], "stored_key and without iterations"),
        (["username", "stored_key", "iterations"], "stored_key and without salt"),
    ):
        found = fault(account.check_columns, wrong)
        assert found.reason is Reason.DATABASE_FAILED
        assert words in found.words


def test_who_is_asked_for_by_domain_is_known_by_it_too():
    account.check_columns(["username", "domain", "password"], by_domain=True)
    words = fault(account.check_columns, ["username", "password"], by_domain=True).words
    assert words == "the query asks by :domain, and answers without a column domain"
    assert "domain of a row is NULL" in fault(read, domain=None).words
    assert read(domain=b"example.org").domain == "example.org"
    assert read().domain is None


def test_flags_are_true_or_false_in_each_databases_way():
    for yes in (True, 1, b"\1"):
        assert refused(enabled=yes) is None
        assert refused(disabled=yes) is Reason.ACCOUNT_DISABLED
        assert refused(locked=yes) is Reason.ACCOUNT_LOCKED
    for no in (False, 0, b"\0"):
        assert refused(enabled=no) is Reason.ACCOUNT_DISABLED
        assert refused(disabled=no) is None
        assert refused(locked=no) is None


def test_a_flag_that_is_not_known_refuses():
    assert refused(enabled=None) is Reason.ACCOUNT_DISABLED
    assert refused(disabled=None) is Reason.ACCOUNT_DISABLED
    assert refused(locked=None) is Reason.ACCOUNT_LOCKED


def test_a_flag_that_is_neither_is_a_fault():
    for value in ("Y", "true", 2, -1, 1.5, b"x", dt.date(2020, 1, 1)):
        assert "compare it in the query" in fault(read, enabled=value).words


def test_an_account_expires_at_a_second_of_utc():
    then = dt.datetime.fromtimestamp(NOW, dt.UTC)
    second = dt.timedelta(seconds=1)
    zone = dt.timezone(dt.timedelta(hours=5))
    for over, lasts in (
        (NOW, NOW + 1),
        (int(NOW), int(NOW) + 1),
        (Decimal(int(NOW)), Decimal(int(NOW) + 1)),
        (then, then + second),
        (then.replace(tzinfo=None), (then + second).replace(tzinfo=None)),
        (then.astimezone(zone), (then + second).astimezone(zone)),
        (then.date(), then.date() + dt.timedelta(days=1)),
        (f"{then:%Y-%m-%d %H:%M:%S}", f"{then + second:%Y-%m-%dT%H:%M:%S}"),
        (f"{then:%Y-%m-%d}", f"{then + dt.timedelta(days=1):%Y-%m-%d}"),
    ):
        assert refused(expires=over) is Reason.ACCOUNT_EXPIRED, over
        assert refused(expires=lasts) is None, lasts
    assert refused(expires=None) is None


def test_an_end_that_cannot_be_read_is_a_fault():
    values = ("never", "0000-00-00", True, b"x", float("nan"), Decimal("sNaN"), 10**400)
    # Milliseconds would be some fifty thousand years.
    values += (NOW * 1000, int(NOW) * 1000, float("inf"), Decimal("Infinity"))
    for value in values:
        assert "expires of a row is n" in fault(read, expires=value).words


def test_texts_may_be_octets():
    found = read(username="älice".encode(), password=b"hash")
    assert (found.username, found.password) == ("älice", "hash")
    assert "is not UTF-8" in fault(read, username=b"\xff").words
    assert "username of a row is NULL" in fault(read, username=None).words
    assert "CAST" in fault(read, username=7).words


def test_keys_go_before_a_password():
    found = read(stored_key=KEY, salt="QUI=", iterations=1)
    stored = found.stored(["scram-sha-1", "plain"], "base64")
    assert stored.described == "scram-sha-1, 1 iterations"
    for nothing in (None, "", b""):
        found = read(stored_key=nothing, salt=None, iterations=None)
        assert isinstance(found.stored(["scram-sha-1", "plain"], "base64"), hashes.Plain)


def test_what_is_stored_of_another_kind_is_told_apart():
    found = fault(read(stored_key=KEY, salt="QUI=", iterations=1).stored, ["scram-sha-256"], "hex")
    assert found.reason is Reason.HASH_UNKNOWN
    found = fault(
        read(stored_key=KEY, salt="QUI=", iterations=1).stored, ["scram-sha-256"], "base64"
    )
    assert found.words == "a stored password is scram-sha-1, which is none of `hashes`"
    assert (
        "salt is not in hex"
        in fault(
            read(stored_key=KEY, salt="QUI=", iterations=1).stored, ["scram-sha-1"], "hex"
        ).words
    )
    assert fault(read(password="hunter2").stored, ["bcrypt"], "hex").reason is Reason.HASH_UNKNOWN


def test_marks_and_blanks_are_of_hashes_and_not_of_plain_text():
    for text in ("!x", "*"):
        assert read(password=text).stored(["django"], "") is None
        assert read(password=text).stored(["django", "plain"], "") is None
        assert read(password=text).stored(["scram-sha-1", "plain"], "").verify(text.encode())
    assert read(password=" ").stored(["django"], "") is None
    assert read(password=" x").stored(["plain"], "").verify(b" x")
    assert read(password=None).stored(["plain"], "") is None


def test_nothing_of_a_row_is_shown():
    assert "hunter2" not in repr(
        read(password="hunter2", stored_key="hunter2", salt=1, iterations=1)
    )
