"""What is usual with each kind of directory. Settings override it, but for how its answers read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from authbridge.ldap import accounts, active_directory, netscape
from authbridge.ldap.codec import Entry, Result, Scope
from authbridge.model import Outcome, Reason

EVERYBODY: Final = "(objectClass=*)"
SEARCH, MEMBER_OF, NESTED_RULE = MEMBERSHIPS = ("search", "memberof", "nested-rule")


def nothing_more(_result: Result) -> Outcome | None:
    """What a refused bind says beyond its code, where that is nothing."""
    return None


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of directory."""

    jid_attribute: str
    filter: str = EVERYBODY
    membership: str = SEARCH
    """How a user's groups are found: one of MEMBERSHIPS."""
    account_attributes: tuple[str, ...] = ()
    account_state: Callable[[Entry, float], Reason | None] = accounts.of_nobody
    """Why an account may not be used; see `accounts`."""
    bind_judges: bool = True
    """Whether a bind is refused where the account may not be used. The bind then has the word."""
    refusal: Callable[[Result], Outcome | None] = nothing_more
    """What a refused bind says of the user, beyond what its code says."""
    scope: Scope = Scope.BASE
    """Of a search for one entry by its DN and a condition."""
    new_user: tuple[tuple[str, tuple[str, ...]], ...] | None = None
    """What a new user's entry gets beside its name and password; None where users are not made
    over LDAP."""
    rdn: str = "uid"
    """What a new user's DN begins with."""
    closes_refused: bool = False
    """Whether a server may be set to end the connection of a bind that it has refused."""
    starttls: bool = True
    windows: bool = False
    """Whether accounts have Windows' names (user@domain, DOMAIN\\user), and passwords are written
    as it has them."""


_PERSON: Final = (
    ("objectClass", ("inetOrgPerson",)),
    ("uid", ("{user}",)),
    ("cn", ("{user}",)),
    ("sn", ("{user}",)),
)
_WINDOWS_USER: Final = (
    ("objectClass", ("user",)),
    ("sAMAccountName", ("{user}",)),
    ("userPrincipalName", ("{user}@{domain}",)),
    ("userAccountControl", ("512",)),  # NORMAL_ACCOUNT
)

_NETSCAPE: Final = Preset(
    jid_attribute="uid",
    account_attributes=accounts.NETSCAPE,
    account_state=accounts.of_netscape,
    refusal=netscape.judge_refusal,
    closes_refused=True,
)

PRESETS: Final = {
    "openldap": Preset(
        jid_attribute="uid",
        new_user=_PERSON,
        account_attributes=accounts.SHADOW,
        account_state=accounts.of_shadow,
        bind_judges=False,
    ),
    "active-directory": Preset(
        jid_attribute="sAMAccountName",
        filter="(&(objectCategory=person)(objectClass=user))",
        membership=NESTED_RULE,
        account_attributes=("userAccountControl", "accountExpires"),
        account_state=active_directory.account_state,
        refusal=active_directory.judge_refusal,
        new_user=_WINDOWS_USER,
        rdn="cn",
        windows=True,
    ),
    "389": replace(_NETSCAPE, new_user=_PERSON),
    "freeipa": replace(_NETSCAPE, filter="(objectClass=posixAccount)", membership=MEMBER_OF),
    "lldap": Preset(
        jid_attribute="uid",
        filter="(objectClass=person)",
        membership=MEMBER_OF,
        scope=Scope.SUBTREE,  # it answers 32 to a base search that finds nothing
        starttls=False,
    ),
}
