"""The account that searches: its password, who refuses it, and how it is kept from being locked."""

from __future__ import annotations

import os

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge.ldap.discovery import Service
from authbridge.ldap.faults import Fault
from authbridge.ldap.ppolicy import Policy
from authbridge.ldap.server import Server
from authbridge.ldap.service_account import REFUSED_REST, ServiceAccount
from authbridge.model import Reason
from tests.ldap.asking import rewrite

SECRET = b"through-the-glass"
SERVICE = "cn=service,dc=example,dc=org"
FIRST, SECOND, THIRD = (Server(name, 636, True) for name in ("a", "b", "c"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(tmp_path, clock):
    path = tmp_path / "password"
    rewrite(path, SECRET + b"\n")
    account = ServiceAccount(SERVICE, path, clock)
    account.places.update((FIRST, SECOND, THIRD))
    return account


def change(account, content, mode=0o600):
    rewrite(account.file, content, mode)


def password(account, server=FIRST):
    return account.password(server)


def trouble(account, server=FIRST):
    with pytest.raises(Fault) as raised:
        account.password(server)
    assert raised.value.reason is Reason.SERVICE_ACCOUNT_REFUSED
    return raised.value.words


def accept(account, *servers):
    for server in servers:
        account.accept(server, account.password(server))


def refuse(account, *servers):
    """The words of the last refusal."""
    for server in servers:
        fault = account.refuse(server, account.password(server), "49 invalidCredentials")
    assert fault.reason is Reason.SERVICE_ACCOUNT_REFUSED
    return fault.words


# --- its password ---------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_its_password_is_what_is_in_the_file_without_the_lines_end(account, end):
    change(account, b" p\xc3\xa4ss \n x" + end)
    assert password(account).reveal() == b" p\xc3\xa4ss \n x"


def test_a_change_of_the_file_counts_at_the_next_connection(account):
    assert password(account).matches(SECRET)
    change(account, b"looking-glass")
    assert password(account).matches(b"looking-glass")


@pytest.mark.parametrize("content", [b"", b"\n", b"  \n"])
def test_a_file_without_a_password_is_refused_by_us(account, content):
    change(account, content)
    assert "is empty" in trouble(account)


def test_a_file_that_is_gone_or_open_to_others_is_refused_by_us(account, monkeypatch):
    change(account, SECRET, 0o644)
    assert "is open to others" in trouble(account)
    change(account, SECRET)
    monkeypatch.setattr(type(account.file), "read_bytes", lambda path: (_ for _ in ()).throw(
        PermissionError(13, "Permission denied")))  # fmt: skip
    assert "Permission denied" in trouble(account)
    account.file.unlink()
    assert "No such file" in trouble(account)


# --- refused before it was ever accepted ----------------------------------------------------------


def test_a_password_that_was_refused_is_not_given_again_before_the_file_changes(account, clock):
    said = refuse(account, FIRST)
    assert said == (
        "ldaps://a:636 refuses bind_dn and its password: 49 invalidCredentials; the service "
        f"account {SERVICE} is not tried again before {account.file} changes or the daemon is "
        "restarted"
    )
    for server in (FIRST, SECOND, THIRD):
        assert trouble(account, server) == said
        clock.advance(10 * REFUSED_REST)
    change(account, SECRET)  # touched is not changed
    assert trouble(account) == said
    change(account, b"looking-glass")
    assert password(account).matches(b"looking-glass")


def test_a_password_in_the_same_file_is_another_where_the_file_was_rewritten(account):
    refuse(account, FIRST)
    before = account.file.stat()
    account.file.write_bytes(SECRET[::-1])
    os.utime(account.file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert password(account).matches(SECRET[::-1])


def test_a_refusal_of_the_old_password_does_not_stand_against_a_new_one(account):
    old = password(account)  # one connection reads the old one and binds with it,
    change(account, b"looking-glass")
    password(account, SECOND)  # a second one reads the new one,
    account.refuse(FIRST, old, "no")  # the first one is refused
    assert password(account).matches(b"looking-glass")


def test_a_new_password_is_about_nothing_that_was_said_of_the_old_one(account):
    refuse(account, FIRST)
    change(account, b"looking-glass")
    accept(account, FIRST)
    assert "is left out" in refuse(account, SECOND)  # not the second refusal: the first
    assert password(account).matches(b"looking-glass")
    change(account, b"third")
    accept(account, FIRST)
    assert password(account, SECOND).matches(b"third")  # it does not rest any more


def test_a_new_password_that_is_refused_at_once_is_tried_nowhere_though_the_old_one_was_accepted(
    account,
):
    accept(account, FIRST)
    change(account, b"looking-glass")
    said = refuse(account, FIRST)
    assert [trouble(account, server) for server in (FIRST, SECOND)] == [said, said]


# --- refused by one server, accepted by others ----------------------------------------------------


def test_who_alone_refuses_what_others_accept_is_not_asked_for_half_an_hour(account, clock):
    accept(account, FIRST)
    said = refuse(account, SECOND)
    assert said == (
        "ldaps://b:636 refuses bind_dn and its password: 49 invalidCredentials; they have been "
        "accepted before, so that it is left out for 30 minutes"
    )
    for server in (FIRST, THIRD):
        assert password(account, server).matches(SECRET)
    clock.advance(REFUSED_REST - 1)
    assert trouble(account, SECOND) == said
    clock.advance(1)
    assert password(account, SECOND).matches(SECRET)
    accept(account, SECOND)
    clock.advance(1)
    assert password(account, SECOND).matches(SECRET)


def test_who_accepts_it_after_all_does_not_rest(account):
    accept(account, FIRST)
    under_way = password(account, SECOND)
    refuse(account, SECOND)
    account.accept(SECOND, under_way)
    assert password(account, SECOND).matches(SECRET)


def test_who_refuses_again_after_half_an_hour_rests_again(account, clock):
    accept(account, FIRST)
    for _ in range(3):
        refuse(account, SECOND)
        assert "is left out" in trouble(account, SECOND)
        assert password(account).matches(SECRET)
        clock.advance(REFUSED_REST)


def test_who_has_accepted_it_and_refuses_it_later_is_not_asked_for_half_an_hour(account, clock):
    accept(account, FIRST)
    refuse(account, FIRST)
    clock.advance(REFUSED_REST - 1)
    trouble(account)
    clock.advance(1)
    assert password(account).matches(SECRET)


def test_a_refusal_names_no_other_server_where_there_is_none(account):
    accept(account, FIRST)
    assert "another server" not in refuse(account, FIRST)


def test_what_a_second_server_refuses_is_tried_nowhere(account, clock):
    accept(account, FIRST)
    refuse(account, SECOND)
    said = refuse(account, THIRD)
    assert "is not tried again before" in said
    clock.advance(10 * REFUSED_REST)
    assert [trouble(account, server) for server in (FIRST, SECOND, THIRD)] == [said] * 3


def test_a_refusal_counts_alone_where_the_account_was_accepted_since_the_last_one(account):
    accept(account, FIRST)
    refuse(account, SECOND)
    accept(account, FIRST)
    assert "is left out" in refuse(account, THIRD)
    assert password(account).matches(SECRET)
    assert "is left out" in trouble(account, SECOND)  # which still rests


@pytest.mark.parametrize("accepted", [False, True])
def test_the_only_place_of_an_account_is_refused_for_good(account, clock, accepted):
    account.places = {FIRST}
    if accepted:
        accept(account, FIRST)
    said = refuse(account, FIRST)
    assert "is not tried again before" in said
    assert "left out" not in said
    clock.advance(10 * REFUSED_REST)
    assert trouble(account) == said


def test_a_service_stands_for_any_number_of_servers(account):
    account.places = {Service.parse("srv:example.org")}
    accept(account, FIRST)
    assert "is left out" in refuse(account, FIRST)
    assert password(account, SECOND).matches(SECRET)


# --- turns ----------------------------------------------------------------------------------------


def come(account, *servers):
    """The turns of those who come for these servers, as soon as they have them."""
    had = []
    for server in servers:
        Deferred.fromCoroutine(account.turn(server)).addCallback(had.append)
    return had


def turns(account):
    """How many may bind at once, of those who come for the three servers; two for each."""
    had = come(account, *(FIRST, SECOND, THIRD) * 2)
    at_once = len(had)
    for turn in had:  # and so the next one has it
        turn.release()
    assert len(had) == 6
    return at_once


def test_there_is_one_turn_for_all_until_the_password_was_accepted_and_then_one_a_server(account):
    assert turns(account) == 1
    accept(account, FIRST)
    assert turns(account) == 3


def test_another_password_in_the_file_has_one_turn_for_all_again(account):
    accept(account, FIRST)
    change(account, b"looking-glass")
    assert turns(account) == 1
    account.accept(FIRST, account.password(FIRST))
    assert turns(account) == 3


def test_where_the_password_is_not_to_be_given_who_comes_has_a_turn_to_be_told(account):
    accept(account, FIRST)
    refuse(account, SECOND)
    assert turns(account) == 3
    refuse(account, THIRD)
    assert turns(account) == 1
    account.file.unlink()
    assert turns(account) == 1


def test_whoever_waited_while_the_file_was_changed_waits_for_the_turn_of_all(account):
    accept(account, FIRST)
    (first,), waiting, (second,) = (come(account, server) for server in (FIRST, FIRST, SECOND))
    assert waiting == []
    change(account, b"looking-glass")
    (third,) = come(account, THIRD)
    first.release()
    assert waiting == []  # it is the third one's turn
    third.release()
    assert waiting == [third]
    account.accept(FIRST, account.password(FIRST))
    waiting[0].release()
    second.release()
    assert turns(account) == 3


# --- warnings -------------------------------------------------------------------------------------

SOON = Policy(None, 60, None)


def test_what_a_server_warns_of_is_said_once_and_again_when_it_is_something_else(account, events):
    for policy in (None, SOON, SOON, Policy(None, None, 3), None, SOON):
        account.warn(FIRST, policy)
    assert [event["words"] for event in events] == [
        SOON.words, Policy(None, None, 3).words, SOON.words,
    ]  # fmt: skip
    assert {event["log_level"].name for event in events} == {"warn"}


def test_seconds_that_are_left_are_no_news(account, events):
    for seconds in (60, 59, 58, 7):
        account.warn(FIRST, Policy(None, seconds, None))
        account.warn(SECOND, Policy(None, seconds, None))
    assert [event["words"] for event in events] == [SOON.words]


def test_nothing_that_is_said_of_it_tells_its_password(account):
    said = refuse(account, FIRST)
    assert SECRET.decode() not in said + trouble(account) + repr(vars(account))
