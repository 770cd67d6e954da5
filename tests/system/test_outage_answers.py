"""What ejabberd 23.01 makes of each answer that an outage may be given ([extauth].on_unavailable).

These are the reasons for the defaults: `auth = "error"` is the same as "false" to everybody but the
reader of ejabberd's log, who is told; `isuser = "true"` is the answer with which nothing is lost
and nobody gets in. The outage is a file of users that is gone: the daemon itself runs and says so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from . import people
from .canary import secret
from .conftest import give_users
from .daemon import Daemon
from .ejabberd import Ejabberd
from .pki import Pki
from .prosody import Prosody
from .test_users import bounce, waiting_messages
from .visitors import Visitors
from .waiting import wait_until
from .xmpp import CLOSED, SESSION, Closed

ALICE = "alice@example.org"
BOB = "bob@example.org"
JULIET = "juliet@example.org"
REFUSED = "not-authorized"

# The second domain lets anybody in who takes a name that nobody has.
_ANONYMOUS = f"""\
host_config:
  {people.NET}:
    auth_method: [external, anonymous]
    anonymous_protocol: both
"""

_FAIL2BAN = ("mod_fail2ban:", "  c2s_max_auth_failures: 2", "  c2s_auth_ban_lifetime: 3600")


@dataclass(frozen=True)
class Installation:
    """A daemon with certain answers, and its own ejabberd."""

    daemon: Daemon
    ejabberd: Ejabberd
    isuser: str

    def outage(self) -> None:
        """From now on nobody can tell who is a user."""
        for domain in people.DOMAINS:
            self.daemon.hide_users(domain)

    def recover(self) -> None:
        """As it was."""
        give_users(self.daemon)


def install(workspace: Path, pki: Pki, name: str, *, auth: str, isuser: str) -> Installation:
    """A running installation; "default" leaves the setting out."""
    given = {verb: to for verb, to in (("auth", auth), ("isuser", isuser)) if to != "default"}
    answers = ", ".join(f'{verb} = "{answer}"' for verb, answer in given.items())
    daemon = Daemon(
        workspace / f"{name}-daemon",
        people.DOMAINS,
        extauth=f"on_unavailable = {{ {answers} }}" if given else "",
        log_format="json",
    )
    give_users(daemon)
    daemon.start()
    ejabberd = Ejabberd(
        workspace / name,
        pki,
        people.HOSTS,
        daemon.extauth_program,
        modules=_FAIL2BAN if name == "banning" else (),
        top=_ANONYMOUS,
    )
    ejabberd.start()
    return Installation(daemon, ejabberd, isuser)


def remove(installation: Installation) -> None:
    """Stop both."""
    installation.ejabberd.stop()
    installation.daemon.stop()


@pytest.fixture(scope="module", params=["default", "true", "false", "error"])
def installed(request: pytest.FixtureRequest, workspace: Path, pki: Pki) -> Iterator[Installation]:
    """An installation for each answer to isuser. The defaults are "error" to auth, "true" here."""
    isuser: str = request.param
    auth = {"default": "default", "true": "false"}.get(isuser, isuser)
    installation = install(workspace, pki, f"isuser-{isuser}", auth=auth, isuser=isuser)
    yield installation
    remove(installation)


@pytest.fixture
def in_outage(installed: Installation) -> Iterator[Installation]:
    """The same; recovered after the test."""
    yield installed
    installed.recover()


def test_login_is_refused_in_an_outage_and_asked_again_after_it(
    in_outage: Installation, visitors: Visitors
) -> None:
    """Whatever the answer: the visitor cannot be told the difference, and nothing is cached."""
    in_outage.outage()
    assert visitors.login(in_outage.ejabberd, ALICE) == REFUSED
    assert visitors.login(in_outage.ejabberd, ALICE, secret("wrong-in-outage")) == REFUSED
    in_outage.recover()
    assert visitors.login(in_outage.ejabberd, ALICE) == SESSION


def test_mail_of_an_outage_is_lost_unless_isuser_is_true(
    in_outage: Installation, visitors: Visitors
) -> None:
    """With "false" and "error" it bounces; with "true" it waits for the user."""
    bob = visitors.enter(in_outage.ejabberd, BOB)
    in_outage.outage()
    text = "are you there?"
    bounced = bounce(bob, JULIET, text)
    in_outage.recover()
    kept = waiting_messages(visitors, in_outage.ejabberd, JULIET)
    if in_outage.isuser in ("default", "true"):
        assert (bounced, kept) == ("", [text])
    else:
        assert (bounced, kept) == ("service-unavailable", [])


def test_subscription_request_of_an_outage_vanishes_unless_isuser_is_true(
    in_outage: Installation, visitors: Visitors
) -> None:
    """With "false" and "error" without a word to who sent it."""
    bob = visitors.enter(in_outage.ejabberd, BOB)
    in_outage.outage()
    bob.presence(f"type='subscribe' to='{JULIET}'")
    bob.synchronise()
    assert not [stanza for stanza in bob.inbox if stanza.get("type") == "error"]
    in_outage.recover()
    juliet = visitors.enter(in_outage.ejabberd, JULIET)
    juliet.synchronise()
    arrived = [stanza for stanza in juliet.inbox if stanza.get("type") == "subscribe"]
    assert len(arrived) == (in_outage.isuser in ("default", "true"))


def test_stranger_becomes_an_existing_user_only_where_isuser_is_false(
    in_outage: Installation, visitors: Visitors
) -> None:
    """Beside the method "anonymous" an existing name is protected by isuser alone."""
    stranger = secret("any-password-at-all")
    jid = "nemo@example.net"
    assert visitors.login(in_outage.ejabberd, jid, stranger) == REFUSED
    in_outage.outage()
    outcome = visitors.login(in_outage.ejabberd, jid, stranger)
    assert outcome == (SESSION if in_outage.isuser == "false" else REFUSED)


def test_only_the_answer_error_is_an_outage_in_the_log_of_ejabberd(
    in_outage: Installation, visitors: Visitors
) -> None:
    """With "false" it reads like a wrong password."""
    in_outage.outage()
    assert visitors.login(in_outage.ejabberd, JULIET) == REFUSED
    log = in_outage.ejabberd.log
    refusal = "Failed c2s PLAIN authentication for juliet@example.org"
    wait_until(lambda: refusal in log.read_text(), "the refusal is logged")
    complaint = "External authentication program failed when calling 'check_password' for juliet@"
    assert (complaint in log.read_text()) == (in_outage.isuser in ("default", "error"))


@pytest.mark.parametrize("auth", ["false", "error"])
def test_mod_fail2ban_counts_an_outage_as_failed_logins(
    workspace: Path, pki: Pki, visitors: Visitors, auth: str
) -> None:
    """Whatever the answer: the address of who tries twice is banned, for right passwords too."""
    installation = install(workspace / auth, pki, "banning", auth=auth, isuser="true")
    try:
        installation.outage()
        assert visitors.login(installation.ejabberd, ALICE) == REFUSED
        assert visitors.login(installation.ejabberd, ALICE) == CLOSED
        installation.recover()
        with pytest.raises(Closed, match="policy-violation"):
            visitors.login(installation.ejabberd, BOB)
    finally:
        remove(installation)


def test_prosody_refuses_and_bounces_in_an_outage(
    prosody: Prosody, visitors: Visitors, daemon: Daemon
) -> None:
    """503 is a no to Prosody: logins are refused, and mail for who is offline comes back."""
    bob = visitors.enter(prosody, BOB)
    daemon.hide_users(people.ORG)
    assert visitors.login(prosody, ALICE) == REFUSED
    assert daemon.logins(ALICE)[-1]["verdict"] == "unavailable"
    assert bounce(bob, JULIET, "are you there?") == "service-unavailable"
