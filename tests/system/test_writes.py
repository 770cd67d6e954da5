"""Changes that authbridge refuses: the old password stays, and whoever asked learns that."""

import pytest

from . import people
from .canary import secret, unguarded
from .daemon import Daemon
from .ejabberd import Ejabberd
from .prosody import Prosody
from .visitors import Server, Visitors
from .xmpp import SESSION

JULIET = "juliet@example.org"
REFUSED = "not-authorized"


def assert_unchanged(visitors: Visitors, server: Server, new: bytes) -> None:
    """The new password is refused, the old one still right."""
    assert visitors.login(server, JULIET, new) == REFUSED
    assert visitors.login(server, JULIET) == SESSION


def test_password_change_in_band_fails_at_ejabberd(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """internal-server-error; an answer of 0 would have been reported as success."""
    new = secret("in-band")
    juliet = visitors.enter(ejabberd, JULIET)
    changed = juliet.register("set", username="juliet", password=new.decode())
    assert changed == "internal-server-error"
    assert daemon.logins(JULIET)[-1]["operation"] == "set_password"
    assert_unchanged(visitors, ejabberd, new)


def test_password_change_by_command_fails_at_ejabberd(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """ejabberdctl's change_password, here through the API: its arguments are for all to see."""
    new = unguarded("by-command")
    answer = ejabberd.api("change_password", user="juliet", host=people.ORG, newpass=new.decode())
    assert answer == (400, '"db_failure"')
    assert_unchanged(visitors, ejabberd, new)


def test_password_change_fails_with_the_cache_on_too(
    caching_ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """The refused password is not cached: with an answer of 0 it would be the one that works."""
    new = secret("cached")
    juliet = visitors.enter(caching_ejabberd, JULIET)
    changed = juliet.register("set", username="juliet", password=new.decode())
    assert changed == "internal-server-error"
    assert_unchanged(visitors, caching_ejabberd, new)


@pytest.mark.parametrize("served_by", ["prosody", "posting_prosody"])
def test_password_change_in_band_fails_at_prosody(
    request: pytest.FixtureRequest, visitors: Visitors, daemon: Daemon, served_by: str
) -> None:
    """An error, whatever its name."""
    server: Prosody = request.getfixturevalue(served_by)
    new = secret("in-band")
    juliet = visitors.enter(server, JULIET)
    changed = juliet.register("set", username="juliet", password=new.decode())
    assert changed == "internal-server-error"
    assert_unchanged(visitors, server, new)


def test_registration_is_refused(server: Server, visitors: Visitors, daemon: Daemon) -> None:
    """Of a new user, and of one who exists; neither changes anything."""
    password = secret("newcomer")
    newcomer = visitors.connect(server, people.ORG)
    refusals = {"not-allowed", "not-acceptable", "feature-not-implemented", "service-unavailable"}
    assert newcomer.register("set", username="newcomer", password=password.decode()) in refusals
    assert visitors.login(server, "newcomer@example.org", password) == REFUSED
    taken = visitors.connect(server, people.ORG)
    assert taken.register("set", username="juliet", password=password.decode()) == "conflict"
    assert_unchanged(visitors, server, password)


def test_user_unregistered_at_ejabberd_still_exists(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """ejabberd reports success whatever it is answered (23.01); the user is where he was."""
    status, _ = ejabberd.api("unregister", user="juliet", host=people.ORG)
    assert status == 200
    assert daemon.logins(JULIET)[-1]["operation"] == "remove_user"
    assert visitors.login(ejabberd, JULIET) == SESSION
