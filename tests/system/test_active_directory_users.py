"""Which people of an Active Directory exist to the servers: whose mail is kept, and whose not."""

import pytest

from .active_directory import (
    BOB,
    DOMAIN,
    HANNAH,
    OTHERS,
    PEOPLE_OF_ALL_KINDS,
    SPECIAL,
    SUFFIX,
    Account,
)
from .calls import NO, YES, said, user_exists
from .daemon import Daemon
from .samba import SambaAd
from .test_active_directory_logins import user_binds
from .test_users import bounce, waiting_messages
from .visitors import Server, Visitors

BOUNCED = "service-unavailable"


@pytest.mark.parametrize(
    "account",
    [account for account in PEOPLE_OF_ALL_KINDS if account is not BOB],
    ids=lambda account: account.name,
)
def test_mail_is_kept_for_who_may_come_back(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd, account: Account
) -> None:
    """Locked, with an expired password or one to be changed, kept out at this hour; not for an
    account that is disabled or over. Nobody is bound for that."""
    bob = visitors.enter(ad_server, BOB.jid)
    mark = ad.mark()
    assert bounce(bob, account.jid, "hello") == (BOUNCED if account.gone else "")
    login = ad_daemon.logins(account.jid)[-1]
    assert login["operation"] == "user_exists"
    if account.gone:
        assert (login["verdict"], login["reason"]) == ("rejected", account.gone)
    else:
        assert (login["verdict"], login["reason"]) == ("accepted", "user_exists")
    assert user_binds(ad, mark) == []


def test_mail_is_delivered_at_the_next_login(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """Under a name with what has to be escaped."""
    text = "until you are back"
    assert bounce(visitors.enter(ad_server, BOB.jid), SPECIAL.jid, text) == ""
    assert waiting_messages(visitors, ad_server, SPECIAL.jid)[-1] == text


def test_mail_to_an_unknown_user_comes_back(
    ad_server: Server, visitors: Visitors, ad_daemon: Daemon, ad: SambaAd
) -> None:
    """A name that would find everybody is one, and so is a second name of somebody."""
    bob = visitors.enter(ad_server, BOB.jid)
    for name in ("ghost", "*", r"alice\20", r"ad\5calice", rf"alice\40{SUFFIX}", "anna.h"):
        jid = f"{name}@{DOMAIN}"
        assert bounce(bob, jid, "boo") == BOUNCED
        assert said(ad_daemon, jid)[0] == "rejected"


@pytest.mark.parametrize(
    "account", [*PEOPLE_OF_ALL_KINDS, *OTHERS], ids=lambda account: account.name
)
def test_user_exists_under_either_name(ad_daemon: Daemon, ad: SambaAd, account: Account) -> None:
    """The one of the account and, in its domain, the principal name; a letter more is nobody's."""
    principal, _, domain = account.upn.lower().partition("@")
    name = account.local if principal == account.name.lower() else principal
    answer = NO if account.gone else YES
    assert user_exists(ad_daemon, account.jid) == answer
    assert user_exists(ad_daemon, f"{name}@{domain}") == answer
    assert user_exists(ad_daemon, f"x{account.jid}") == NO
    assert user_exists(ad_daemon, f"x{name}@{domain}") == NO


def test_names_of_two_domains_are_not_mixed_up(ad_daemon: Daemon, ad: SambaAd) -> None:
    """What is a name in one is nobody's in the other."""
    assert user_exists(ad_daemon, HANNAH.jid) == YES
    assert user_exists(ad_daemon, f"anna.h@{SUFFIX}") == YES
    assert user_exists(ad_daemon, f"anna.h@{DOMAIN}") == NO
    assert user_exists(ad_daemon, f"hannah@{SUFFIX}") == NO
