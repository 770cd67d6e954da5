"""What ejabberd's own cache does (`auth_use_cache`, on by default), and why it has to be off.

The first tests record ejabberd 23.01's faults: should one of them fail with a later ejabberd, the
documentation may become kinder.
"""

from . import people
from .canary import secret
from .daemon import Daemon
from .ejabberd import Ejabberd
from .visitors import Visitors
from .xmpp import SESSION

REFUSED = "not-authorized"
ALICE = "alice@example.org"
BOB = "bob@example.org"
NEMO = "nemo@example.net"


def asked(daemon: Daemon, jid: str) -> int:
    """How often the daemon has been asked about this user's password."""
    return sum(login["operation"] == "check_password" for login in daemon.logins(jid))


def give_password(daemon: Daemon, jid: str, password: bytes) -> None:
    """Change a user's password in the file."""
    local, _, domain = jid.partition("@")
    daemon.write_users(domain, {**people.PASSWORDS[domain], local: password})


def test_with_cache_a_new_password_is_refused_and_the_old_one_kept(
    caching_ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """For an hour, without asking anybody."""
    assert visitors.login(caching_ejabberd, ALICE) == SESSION
    before = asked(daemon, ALICE)
    new = secret("changed")
    give_password(daemon, ALICE, new)
    assert visitors.login(caching_ejabberd, ALICE, new) == REFUSED
    assert visitors.login(caching_ejabberd, ALICE) == SESSION
    assert asked(daemon, ALICE) == before


def test_with_cache_a_removed_user_still_logs_in(
    caching_ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """Removing him from the file does nothing yet."""
    assert visitors.login(caching_ejabberd, NEMO) == SESSION
    daemon.write_users(people.NET, {})
    assert visitors.login(caching_ejabberd, NEMO) == SESSION


def test_with_cache_one_user_becomes_another(
    caching_ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """The account take-over of 17.06 to 26.06: an authzid is not compared on a cache hit."""
    assert visitors.login(caching_ejabberd, BOB) == SESSION
    with visitors.connect(caching_ejabberd, people.ORG) as bob:
        authzid = b"juliet@example.org"
        assert bob.login(b"bob", people.password(BOB), authzid) == SESSION
        assert bob.bind().startswith("juliet@example.org/")


def test_with_cache_a_wrong_password_is_asked_each_time_until_one_was_right(
    caching_ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """Refusals are not cached; the first success hides the daemon from all that come after."""
    jid = "percy@example.org"
    before = asked(daemon, jid)
    for number in range(1, 4):
        assert visitors.login(caching_ejabberd, jid, secret("guess")) == REFUSED
        assert asked(daemon, jid) == before + number
    assert visitors.login(caching_ejabberd, jid) == SESSION
    assert visitors.login(caching_ejabberd, jid, secret("guess")) == REFUSED
    assert asked(daemon, jid) == before + 4


def test_without_cache_every_login_is_asked(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """Once."""
    before = asked(daemon, ALICE)
    for number in range(1, 4):
        assert visitors.login(ejabberd, ALICE) == SESSION
        assert asked(daemon, ALICE) == before + number


def test_without_cache_a_new_password_counts_at_once(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """And the old one no more."""
    assert visitors.login(ejabberd, ALICE) == SESSION
    new = secret("changed")
    give_password(daemon, ALICE, new)
    assert visitors.login(ejabberd, ALICE) == REFUSED
    assert visitors.login(ejabberd, ALICE, new) == SESSION


def test_without_cache_a_removed_user_is_refused_at_once(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """Without a restart of anything."""
    assert visitors.login(ejabberd, NEMO) == SESSION
    daemon.write_users(people.NET, {})
    assert visitors.login(ejabberd, NEMO) == REFUSED


def test_without_cache_nobody_becomes_another(
    ejabberd: Ejabberd, visitors: Visitors, daemon: Daemon
) -> None:
    """However often he has logged in before."""
    assert visitors.login(ejabberd, BOB) == SESSION
    assert visitors.login(ejabberd, BOB, authzid="juliet@example.org") == REFUSED
