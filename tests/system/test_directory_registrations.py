"""Who registers himself in a real directory, what his entry has, and what he is told: nothing but
the truth."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .calls import NO, user_exists
from .changing import (
    IN_BAND,
    NOT_DONE,
    NOT_REGISTERED,
    REGISTERED,
    TAKEN,
    UNAVAILABLE,
    WAYS,
    new_password,
)
from .directory import PEOPLE, SPECIAL_CHARACTERS
from .netscape import Account
from .pki import Pki
from .places import KINDS, Place, Places, running_places
from .waiting import wait_until
from .writable import SHORTEST
from .xmpp import SESSION


@pytest.fixture(scope="module")
def places(workspace: Path, directory_pki: Pki) -> Iterator[Places]:
    """Both directories, and all who ask them."""
    with running_places(workspace / "registrations", directory_pki) as started:
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


def stranger(uid: str, way: str = "http") -> Account:
    """Somebody who is not there yet, and a password that may be his."""
    return Account(uid, new_password(way))


@pytest.mark.parametrize("way", WAYS)
def test_new_user_logs_in_and_has_what_the_configuration_gives_him(place: Place, way: str) -> None:
    """At whichever server, at once."""
    user = stranger(f"new-{way}", way)
    assert user_exists(place.changes.daemon, place.jid(user)) == NO
    assert place.register(way, user) == REGISTERED[way]
    assert place.said(user) == ("accepted", "user_registered")
    for name in IN_BAND:
        assert place.changes.servers is not None
        assert place.changes.servers.login(name, place.jid(user), user.password) == SESSION
    found = place.find(user.uid)
    assert found["dn"] == {user.dn}
    assert "inetOrgPerson" in found["objectclass"]
    assert found["uid"] == found["cn"] == found["sn"] == {user.uid}
    assert found["displayname"] == {f"{user.uid} of {place.domain}"}
    # A brace that surrounds no word is one.
    assert found["description"] == {f"{{{user.uid}}}", "new, and unknown"}
    assert not {value for value in found["userpassword"] if user.password.decode() in value}


@pytest.mark.parametrize("way", WAYS)
def test_name_that_is_taken_stays_its_users(place: Place, way: str) -> None:
    """The stranger learns it, and the user keeps his password."""
    user = place.add(f"taken-{way}")
    assert place.register(way, Account(user.uid, new_password(way))) == TAKEN[way]
    assert place.logs_in(user)
    # In another spelling it is the same name.
    told = place.changes.register(way, place.jid(user).upper(), new_password(way))
    assert told == TAKEN[way]
    assert place.logs_in(user)


def test_name_of_who_may_not_log_in_is_taken(place: Place, kind: str) -> None:
    """He may be back. ejabberd and Prosody ask whether he exists, and he does not; the registration
    is refused all the same, and says nothing more of him than that."""
    more = [("nsAccountLock", "true")]
    if kind == "slapd":
        more = [("objectClass", "shadowAccount"), ("shadowExpire", "0")]
    for way in WAYS:
        gone = place.add(f"gone-{way}", *more)
        hashed = place.find(gone.uid)["userpassword"]
        told = place.register(way, Account(gone.uid, new_password(way)))
        assert told == {**NOT_REGISTERED, "http": TAKEN["http"]}[way]
        assert place.said(gone) == ("rejected", "user_exists")
        assert place.find(gone.uid)["userpassword"] == hashed


def test_second_name_of_a_user_is_taken(place: Place) -> None:
    """Though the first one alone logs in."""
    place.add("first-name", ("uid", "second-name"))
    assert place.register("http", stranger("second-name")) == TAKEN["http"]


@pytest.mark.parametrize("way", WAYS)
def test_user_whose_password_is_refused_does_not_stay(place: Place, kind: str, way: str) -> None:
    """There is no entry, and the name is free for a better one."""
    short = Account(f"short-{way}", new_password(way, "")[: SHORTEST - 1])
    told = place.register(way, short)
    assert told == {**NOT_REGISTERED, "http": "403 password_unacceptable"}[way]
    assert place.said(short) == ("rejected", "password_unacceptable")
    assert place.find(short.uid) == {}
    better = stranger(short.uid, way)
    assert place.register(way, better) == REGISTERED[way]
    assert place.logs_in(better)


@pytest.mark.parametrize("way", WAYS)
def test_entry_that_may_not_be_deleted_again_is_told_to_the_administrator(
    places: Places, kind: str, way: str
) -> None:
    """The user is not registered, and cannot log in; his name is taken."""
    place = places.place(kind, "adding")
    short = Account(f"stuck-{way}", new_password(way, "")[: SHORTEST - 1])
    told = place.register(way, short)
    assert told == {**NOT_REGISTERED, "http": "403 password_unacceptable"}[way]
    words = f"{short.dn} was made, is of no use and cannot be deleted: 50 insufficient"
    assert words in log_of(place)
    assert "userpassword" not in place.find(short.uid)
    assert not place.logs_in(short)
    assert place.said(short) == ("rejected", "password_mismatch")
    assert place.register("http", stranger(short.uid)) == TAKEN["http"]


@pytest.mark.parametrize("password", ["{SSHA}c2VjcmV0", "½ a pound sterling", "two\nlines in it"])
def test_password_that_nobody_may_have_makes_no_user(place: Place, password: str) -> None:
    """What looks like a hash, and what the servers have two forms of: no entry is made for it."""
    user = Account("unusable", password.encode())
    mark = place.server.mark()
    assert place.register("http", user) == "403 password_unacceptable"
    assert place.find(user.uid) == {}
    added = place.server.log.read_bytes()[mark:]
    assert b"unusable" not in added.replace(b"(uid=unusable)", b"")


@pytest.mark.parametrize(
    "uid",
    [
        *(f"no{character}el" for character in SPECIAL_CHARACTERS),
        *("#number", "çağla", "алиса", "{user}", "{domain}", "{0}", "%s", "a, b*(c)\\d"),
        *("slash\\20back", "c" * 200),
    ],
)
def test_name_may_hold_any_character(place: Place, uid: str) -> None:
    """It is his name in all that his entry has, and nobody else's."""
    user = stranger(uid)
    assert place.register("http", user) == REGISTERED["http"]
    found = place.find(uid)
    assert len(found["dn"]) == 1
    assert found["uid"] == {uid}
    assert found["displayname"] == {f"{uid} of {place.domain}"}
    assert place.logs_in(user)
    assert place.register("http", stranger(uid)) == TAKEN["http"]


@pytest.mark.parametrize(
    "name", [r"two\20\20spaces", r"\20before", r"behind\20", "a b", "x" * 1024]
)
def test_name_that_is_no_name_makes_no_user(place: Place, name: str) -> None:
    """Or would be another's to the directory."""
    before = place.server.search(PEOPLE, "sub", "(uid=*)", "uid")
    told = place.changes.register("http", f"{name}@{place.domain}", new_password())
    assert told[:3] in ("400", "403")
    assert place.server.search(PEOPLE, "sub", "(uid=*)", "uid") == before


@pytest.mark.parametrize("way", WAYS)
def test_service_account_without_rights_makes_no_user(places: Places, kind: str, way: str) -> None:
    """It is a failure that an administrator finds in the log."""
    place = places.place(kind, "powerless")
    user = stranger(f"powerless-{way}", way)
    unsure = {"http": UNAVAILABLE, "ejabberd": "internal-server-error"}
    assert place.register(way, user) == {**NOT_REGISTERED, **unsure}[way]
    assert place.said(user) == ("unavailable", "directory_refused")
    assert "refused a change: 50 insufficientAccessRights" in log_of(place)
    assert place.find(user.uid) == {}


@pytest.mark.parametrize("variation", ["closed", "changing"])
@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_registered_where_no_place_is_given_for_new_users(
    places: Places, kind: str, variation: str, way: str
) -> None:
    """Whether passwords may be changed there or not."""
    place = places.place(kind, variation)
    user = stranger(f"{variation}-{way}", way)
    assert place.register(way, user) == {**NOT_REGISTERED, "http": NOT_DONE}[way]
    assert place.said(user) == ("rejected", "not_supported")
    assert place.find(user.uid) == {}


def test_entry_that_the_directory_does_not_take_is_a_failure(places: Places, kind: str) -> None:
    """As one that lacks what its class must have."""
    place = places.place(kind, "incomplete")
    user = stranger("incomplete")
    assert place.register("http", user) == UNAVAILABLE
    assert place.said(user) == ("unavailable", "directory_refused")
    assert "refused a change: 65 objectClassViolation" in log_of(place)
    assert place.find(user.uid) == {}


def test_name_that_an_attribute_may_not_hold_is_refused(places: Places, kind: str) -> None:
    """As that of a mail address, which has letters of ASCII alone."""
    place = places.place(kind, "addresses")
    assert place.register("http", stranger("plain")) == REGISTERED["http"]
    assert place.find("plain")["mail"] == {f"plain@{place.domain}"}
    user = stranger("gönül")
    assert place.register("http", user) == "403 user_malformed"
    assert place.find(user.uid) == {}


@pytest.mark.parametrize("way", WAYS)
def test_user_whom_nobody_would_find_is_not_registered(places: Places, kind: str, way: str) -> None:
    """As one without what `filter` wants: he could not log in. It is the configuration's fault."""
    place = places.place(kind, "filtered")
    user = stranger(f"filtered-{way}", way)
    unsure = {"http": UNAVAILABLE, "ejabberd": "internal-server-error"}
    assert place.register(way, user) == {**NOT_REGISTERED, **unsure}[way]
    assert place.said(user) == ("unavailable", "directory_refused")
    assert "a new user is not found" in log_of(place)
    assert place.find(user.uid) == {}


def test_of_strangers_at_once_one_gets_the_name(place: Place) -> None:
    """And logs in with his password; all others are told that it is taken."""
    strangers = [stranger("contested") for _ in range(8)]
    with ThreadPoolExecutor(8) as at_once:
        told = list(at_once.map(lambda one: place.register("http", one), strangers))
    assert sorted(told) == [REGISTERED["http"], *[TAKEN["http"]] * 7]
    winner = strangers[told.index(REGISTERED["http"])]
    for one in strangers:
        assert place.logs_in(one) == (one is winner)


def test_directory_that_is_away_makes_no_user(place: Place) -> None:
    """ejabberd takes the name for taken as long as nobody can tell."""
    users = {way: stranger(f"away-{way}", way) for way in WAYS}
    place.server.kill()
    try:
        told = {way: place.register(way, user) for way, user in users.items()}
    finally:
        place.server.restore()
    unsure = {"http": UNAVAILABLE, "ejabberd": "conflict", "command": "409"}
    assert told == {**NOT_REGISTERED, **unsure}
    first = users["http"]
    wait_until(lambda: place.register("http", first) == REGISTERED["http"], "it is asked again")
    for user in users.values():
        assert place.logs_in(user) == (user is first)
