"""Who gives whom a new password in a real directory, and what is told of it: nothing but the
truth."""

import base64
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .changing import (
    CHANGED,
    IN_BAND,
    NOT_CHANGED,
    NOT_DONE,
    UNAVAILABLE,
    WAYS,
    new_password,
)
from .directory import SERVICE
from .netscape import WRITER, Account
from .pki import Pki
from .places import KINDS, Place, Places, running_places
from .waiting import wait_until
from .writable import SHORTEST
from .xmpp import SESSION

REFUSED = "not-authorized"
#: What each kind says of a password that breaks its rules, as the log has it.
WORDS = {
    "slapd": {
        "short": "'Password fails quality checking policy' (password too short)",
        "old": "'Password is in history of old passwords' (password in history)",
    },
    "ds389": {
        "short": "'Failed to update password ' (quality insufficient)",
        "old": "'Failed to update password ' (password in history)",
    },
}


@pytest.fixture(scope="module")
def places(workspace: Path, directory_pki: Pki) -> Iterator[Places]:
    """Both directories, and all who ask them."""
    with running_places(workspace / "writes", directory_pki) as started:
        yield started


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind in turn."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def place(places: Places, kind: str) -> Place:
    """Where everything is allowed."""
    return places.place(kind)


def log_of(place: Place) -> str:
    """What the daemon has said so far."""
    return place.changes.daemon.log.read_text()


def assert_unchanged(place: Place, account: Account, new: bytes) -> None:
    """The old password is right, and the new one is not."""
    assert place.logs_in(account)
    assert not place.logs_in(account, new)


@pytest.mark.parametrize("way", WAYS)
def test_new_password_logs_in_and_the_old_one_does_not(
    place: Place, places: Places, way: str
) -> None:
    """At whichever server."""
    user, new = place.add(f"changes-{way}"), new_password(way)
    assert place.change(way, user, new) == CHANGED[way]
    assert place.said(user) == ("accepted", "password_changed")
    for name in IN_BAND:
        assert place.changes.servers is not None
        assert place.changes.servers.login(name, place.jid(user), new) == SESSION
        assert place.changes.servers.login(name, place.jid(user), user.password) == REFUSED


@pytest.mark.parametrize("way", WAYS)
def test_password_against_the_directorys_rules_is_refused_and_the_old_one_stays(
    place: Place, kind: str, way: str
) -> None:
    """Its words are in the log."""
    user, short = place.add(f"short-{way}"), new_password(way, "")[: SHORTEST - 1]
    before = log_of(place).count(WORDS[kind]["short"])
    told = place.change(way, user, short)
    assert told == {"http": "403 password_unacceptable", **NOT_CHANGED}[way]
    assert place.said(user) == ("rejected", "password_unacceptable")
    assert log_of(place).count(WORDS[kind]["short"]) == before + 1
    assert_unchanged(place, user, short)


def test_password_that_was_used_before_is_refused(place: Place, kind: str) -> None:
    """Where the directory remembers it: its rules are the service account's as well."""
    line = [place.policy("historic")] if kind == "ds389" else []
    user, new = place.add("historic", *line), new_password()
    assert place.change("http", user, new) == CHANGED["http"]
    assert place.change("http", user, user.password) == "403 password_unacceptable"
    assert WORDS[kind]["old"] in log_of(place)
    assert place.logs_in(user, new)


@pytest.mark.parametrize("way", [*IN_BAND, "http"])
@pytest.mark.parametrize("scheme", ["SSHA", "CLEARTEXT", "PBKDF2-SHA512", "x"])
def test_password_that_looks_like_a_hash_is_refused(
    place: Place, kind: str, scheme: str, way: str
) -> None:
    """389 takes it for one: the user could not log in with what he typed, but with what it is the
    hash of."""
    user, typed = place.add(f"hashed-{scheme}-{way}"), new_password()
    digest = base64.b64encode(hashlib.sha1(typed + b"salt").digest() + b"salt")
    new = b"{%b}%b" % (scheme.encode(), typed if scheme != "SSHA" else digest)
    assert (
        place.change(way, user, new)
        == {
            "http": "403 password_unacceptable",
            **NOT_CHANGED,
        }[way]
    )
    assert_unchanged(place, user, new)
    assert not place.logs_in(user, typed)


@pytest.mark.parametrize("way", IN_BAND)
@pytest.mark.parametrize(
    "beginning",
    ["pässwörd ✓ 密码", " a  b ", "a:b&c=d%20\\,+\"'<>;#", "{", "}{SSHA}x", "x" * 1000],
    ids=["letters", "spaces", "signs", "brace", "no-hash", "long"],
)
def test_password_is_set_octet_by_octet(
    request: pytest.FixtureRequest, place: Place, beginning: str, way: str
) -> None:
    """And logs in at both servers."""
    user = place.add(f"odd-{request.node.callspec.id}")
    new = new_password(text=beginning)
    assert place.change(way, user, new) == CHANGED[way]
    for name in IN_BAND:
        assert place.changes.servers is not None
        assert place.changes.servers.login(name, place.jid(user), new) == SESSION


@pytest.mark.parametrize("way", WAYS)
def test_service_account_without_rights_changes_nothing(
    places: Places, kind: str, way: str
) -> None:
    """It is a failure that an administrator finds in the log, and no refusal."""
    place = places.place(kind, "powerless")
    user, new = place.add(f"powerless-{way}"), new_password(way)
    assert place.change(way, user, new) == {"http": UNAVAILABLE, **NOT_CHANGED}[way]
    assert place.said(user) == ("unavailable", "directory_refused")
    assert "refused a change: 50 insufficientAccessRights" in log_of(place)
    assert_unchanged(place, user, new)


@pytest.mark.parametrize("way", WAYS)
def test_directory_that_is_not_written_to_is_not_changed(
    places: Places, kind: str, way: str
) -> None:
    """Without `writes = true` nobody even asks it."""
    place = places.place(kind, "closed")
    user, new = place.add(f"closed-{way}"), new_password(way)
    assert place.change(way, user, new) == {"http": NOT_DONE, **NOT_CHANGED}[way]
    assert place.said(user) == ("rejected", "not_supported")
    assert_unchanged(place, user, new)


def test_who_may_not_log_in_gets_no_new_password(places: Places, kind: str) -> None:
    """Whose account is over or disabled, who is in no required group, and who is nobody."""
    place = places.place(kind)
    more, reason = [("nsAccountLock", "true")], "account_disabled"
    if kind == "slapd":
        more, reason = [("objectClass", "shadowAccount"), ("shadowExpire", "0")], "account_expired"
    gone = place.add("gone-for-ever", *more)
    hashed = place.find(gone.uid)["userpassword"]
    assert place.change("http", gone, new_password()) == f"403 {reason}"
    assert place.change("command", gone, new_password("command")) == '404 "unknown_user"'
    assert place.find(gone.uid)["userpassword"] == hashed
    ghost = Account("ghost", b"")
    assert place.change("http", ghost, new_password()) == "403 user_unknown"
    assert place.change("command", ghost, new_password("command")) == '404 "unknown_user"'
    members = places.place(kind, "members")
    outsider, new = members.add("outsider"), new_password()
    assert members.change("http", outsider, new) == "403 not_in_group"
    assert_unchanged(place, outsider, new)


def test_new_password_unlocks_an_account(place: Place) -> None:
    """As an administrator's does; who is locked out will be back."""
    user, new = place.add("locked-out", place.policy("strict")), new_password()
    for _ in range(5):
        assert not place.logs_in(user, new_password())
    assert not place.logs_in(user)
    assert place.said(user) == ("rejected", "account_locked")
    assert place.change("command", user, new_password("command")) == CHANGED["command"]
    assert place.change("http", user, new) == CHANGED["http"]
    assert place.logs_in(user, new)


def test_password_that_a_directory_wants_changed_after_a_reset(place: Place, kind: str) -> None:
    """To 389 it is one that an administrator has given: it is of no use for chat. slapd says so
    of passwords alone that someone has marked (`pwdReset`)."""
    user, new = place.add("reset", place.policy("reset")), new_password()
    assert place.change("ejabberd", user, new) == CHANGED["ejabberd"]
    assert place.logs_in(user, new) == (kind == "slapd")
    reason = "password_matches" if kind == "slapd" else "password_must_change"
    assert place.said(user)[1] == reason


def test_other_spelling_of_a_name_changes_the_same_users_password(place: Place) -> None:
    """Where the servers prepare it so; what the directory alone takes for the same is nobody."""
    user, new = place.add("Spelled Out"), new_password()
    changes, domain = place.changes, place.domain
    told = changes.set_password("http", rf"SPELLED\20OUT@{domain}", user.password, new)
    assert told == CHANGED["http"]
    assert place.logs_in(user, new)
    for name in (r"spelled\20\20out", r"spelled\20out\20", r"\20spelled\20out", "spelled out"):
        told = changes.set_password("http", f"{name}@{domain}", user.password, new_password())
        assert told[:3] in ("400", "403")
    assert place.logs_in(user, new)


def test_changes_at_once_are_not_mixed_up(place: Place) -> None:
    """Many more than there are connections to write on: each user gets his own."""
    news = {place.add(f"crowd{number}"): new_password() for number in range(16)}
    with ThreadPoolExecutor(16) as at_once:
        told = at_once.map(lambda one: place.change("http", *one), news.items())
        assert set(told) == {CHANGED["http"]}
    for user, new in news.items():
        assert place.logs_in(user, new)
        assert not place.logs_in(user)


def test_service_account_alone_writes(place: Place, kind: str) -> None:
    """The user's own connection is not used, and his old password nobody's business."""
    user, new = place.add("on-behalf"), new_password()
    mark = place.server.mark()
    assert place.change("http", user, new) == CHANGED["http"]
    writer = SERVICE if kind == "slapd" else WRITER
    assert set(place.server.binds(mark)) <= {writer}


def test_directory_that_is_away_changes_nothing(place: Place) -> None:
    """Nobody is told that it is done."""
    servers = place.changes.servers
    assert servers is not None
    users = {way: (place.add(f"away-{way}"), new_password(way)) for way in WAYS}
    clients = {
        way: servers.enter(way, place.jid(users[way][0]), users[way][0].password) for way in IN_BAND
    }
    place.server.kill()
    try:
        told = {
            way: clients[way].register("set", username=user.local, password=new.decode())
            if way in IN_BAND
            else place.change(way, user, new)
            for way, (user, new) in users.items()
        }
    finally:
        place.server.restore()
    assert told == {"http": UNAVAILABLE, **NOT_CHANGED}
    user, _ = users["http"]
    wait_until(lambda: place.logs_in(user), "the directory is asked again")
    for user, new in users.values():
        assert_unchanged(place, user, new)
