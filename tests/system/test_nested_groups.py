"""Groups within groups below `group_base`, with a real slapd and a real 389 Directory Server, and
the memberOf that 389's plugin keeps."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, explain, said, user_exists
from .canary import secret
from .daemon import Daemon
from .directory import BASE, checker, group_dn, rdn_value, ssha
from .ds389 import Ds389, running_389
from .netscape import Account, entry, person
from .pki import Pki
from .slapd import Slapd
from .test_directory_explained import steps

KINDS = ("slapd", "ds389")
GROUPS, OTHER_GROUPS = f"ou=groups,{BASE}", f"ou=other groups,{BASE}"

#: Each stands in the group that is named beside them below.
ADA, BEN, CLEO, DAN, EVE, FINN, GUS, HAL, IDA, JON, MANY, MORE, NOBODY = PEOPLE = tuple(
    Account(name, secret("nested"))
    for name in (
        *("ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "jon", "many", "more"),
        "nobody's member",
    )
)

#: What a filter and a DN give a meaning to.
SPECIAL = 'R&D (Köln)*, "west"\\x'
OUTER = f"cn=outer,{OTHER_GROUPS}"
#: More groups than one level may have; and as many as it may.
CROWD = [f"crowd{number}" for number in range(201)]
#: Its members: users, and other groups by name or DN.
MEMBERS: dict[str, Sequence[Account | str]] = {
    "xmpp": (ADA, "staff", OUTER, SPECIAL),
    "staff": (BEN, "team", "unix", "crowd7"),
    "team": (CLEO, "crew"),
    # A groupOfUniqueNames.
    "crew": (DAN, "deep"),
    "deep": (EVE, "deeper"),
    "deeper": (FINN,),
    SPECIAL: (JON,),
    "ring": ("loop-b",),
    "loop-a": (GUS, "loop-b"),
    "loop-b": ("LOOP-A",),
}
#: Those that have them by name (memberUid); the last of the crowd is one too many.
UNIX_GROUPS: dict[str, Sequence[Account]] = {
    "unix": (IDA,),
    **dict.fromkeys(CROWD[:-1], (MANY, MORE)),
    CROWD[-1]: (MANY,),
}
UNIQUE = "crew"

_NESTED: dict[str, object] = {"require_groups": [group_dn("xmpp")], "group_base": GROUPS}
#: The domain, its settings, and who of them all is let in there.
SETTINGS: dict[str, tuple[dict[str, object], set[Account]]] = {
    "nested": (_NESTED, {ADA, BEN, CLEO, DAN, EVE, IDA, JON, MORE}),
    "flat": ({"require_groups": [group_dn("xmpp")]}, {ADA}),
    "two": ({**_NESTED, "group_depth": 2}, {ADA, BEN, JON}),
    "three": ({**_NESTED, "group_depth": 3}, {ADA, BEN, CLEO, IDA, JON, MORE}),
    "seven": ({**_NESTED, "group_depth": 7}, {ADA, BEN, CLEO, DAN, EVE, FINN, IDA, JON, MORE}),
    "whole": ({**_NESTED, "group_base": BASE}, {ADA, BEN, CLEO, DAN, EVE, HAL, IDA, JON, MORE}),
    "ring": ({**_NESTED, "require_groups": [group_dn("ring")]}, {GUS}),
    "either": (
        {**_NESTED, "require_groups": [group_dn("ring"), group_dn("team")]},
        {GUS, CLEO, DAN, EVE, FINN},
    ),
}
#: With memberOf: slapd's overlay knows the groups that name the user as `member`; 389's plugin all
#: of them, but for those that have their members by name.
MEMBEROF = {
    "slapd": {ADA},
    "ds389": {ADA, BEN, CLEO, DAN, EVE, FINN, HAL, JON},
}


def _dn(name: str) -> str:
    return name if "," in name and "=" in name else f"cn={rdn_value(name)},{GROUPS}"


def _group(dn: str, name: str, members: Sequence[Account | str]) -> str:
    attribute = "uniqueMember" if name == UNIQUE else "member"
    dns = [one.dn if isinstance(one, Account) else _dn(one) for one in members]
    kind = "groupOfUniqueNames" if name == UNIQUE else "groupOfNames"
    return entry(dn, kind, ("cn", name), *((attribute, member) for member in dns))


def _tree(kind: str) -> Iterator[str]:
    for user in PEOPLE:
        yield person(user, ssha(user.password) if kind == "slapd" else "")
    yield entry(OTHER_GROUPS, "organizationalUnit", ("ou", "other groups"))
    yield _group(OUTER, "outer", [HAL])
    # In the schema of 389 it is an addition to another class.
    classes = "posixGroup" if kind == "slapd" else "nsContainer posixGroup"
    for name, users in UNIX_GROUPS.items():
        names = (("memberUid", user.uid) for user in users)
        yield entry(_dn(name), classes, ("cn", name), ("gidNumber", "1000"), *names)
    for name, members in MEMBERS.items():
        yield _group(_dn(name), name, members)


@dataclass(frozen=True)
class Nested:
    """Both directories, and the daemon that asks them."""

    slapd: Slapd
    ds389: Ds389
    daemon: Daemon

    def check(self, account: Account, domain: str, password: bytes | None = None) -> bool:
        """Whether he is let in."""
        octets = account.password if password is None else password
        return check_password(self.daemon, f"{account.local}@{domain}", octets) == YES

    def said(self, account: Account, domain: str) -> tuple[str, str]:
        """Verdict and reason of his last login."""
        return said(self.daemon, f"{account.local}@{domain}")


@pytest.fixture(scope="module")
def nested(workspace: Path, directory_pki: Pki) -> Iterator[Nested]:
    """All of it, with a domain for each setting and kind."""
    folder = workspace / "nested"
    slapd = Slapd(folder / "slapd", directory_pki)
    slapd.start()
    with running_389(folder / "ds389", directory_pki) as ds389:
        servers: dict[str, Slapd | Ds389] = {"slapd": slapd, "ds389": ds389}
        settings = {name: chosen for name, (chosen, _) in SETTINGS.items()}
        settings["memberof"] = {**SETTINGS["flat"][0], "group_membership": "memberof"}
        settings["nowhere"] = {**_NESTED, "group_base": f"ou=nowhere,{BASE}"}
        others = {}
        for kind, server in servers.items():
            server.modify("".join(_tree(kind)), "-a")
            for name, chosen in settings.items():
                others[f"{name}.{kind}.example"] = checker(
                    f"{name}.{kind}.example",
                    f"{name}-{kind}",
                    server.tls_url,
                    preset="openldap" if kind == "slapd" else "389",
                    ca_file=directory_pki.ca,
                    bind_password_file=server.service_password_file,
                    **chosen,
                )
        daemon = Daemon(folder / "daemon", (), others=others)
        daemon.start()
        yield Nested(slapd, ds389, daemon)
        daemon.stop()
    slapd.stop()


kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("setting", SETTINGS)
def test_member_is_let_in_and_exists_and_nobody_else(
    nested: Nested, kind: str, setting: str
) -> None:
    """Directly, or through groups of the depth that is set; whoever else has the right password."""
    domain, members = f"{setting}.{kind}.example", SETTINGS[setting][1]
    for account in PEOPLE:
        if account is MANY and setting != "flat":
            continue
        assert nested.check(account, domain) == (account in members), account.uid
        expected = ("accepted", "password_matches")
        assert nested.said(account, domain) == (
            expected if account in members else ("rejected", "not_in_group")
        )
        exists = user_exists(nested.daemon, f"{account.local}@{domain}")
        assert exists == (YES if account in members else NO)


@kinds
def test_member_by_memberof_is_who_the_directory_says(nested: Nested, kind: str) -> None:
    """One question, however deep."""
    domain = f"memberof.{kind}.example"
    for account in PEOPLE:
        assert nested.check(account, domain) == (account in MEMBEROF[kind]), account.uid


@kinds
@pytest.mark.parametrize("account", [ADA, EVE, JON], ids=lambda account: account.uid)
def test_password_of_a_member_counts(nested: Nested, kind: str, account: Account) -> None:
    """However he is one."""
    domain = f"nested.{kind}.example"
    assert not nested.check(account, domain, secret("wrong-password"))
    assert nested.said(account, domain) == ("rejected", "password_mismatch")


@kinds
def test_user_of_too_many_groups_cannot_be_told(nested: Nested, kind: str) -> None:
    """Neither let in nor refused: one that is not looked at might be the one."""
    domain = f"nested.{kind}.example"
    answer = check_password(nested.daemon, f"{MANY.local}@{domain}", MANY.password)
    assert answer[0] == CANNOT_TELL
    assert nested.said(MANY, domain) == ("unavailable", "directory_refused")


@kinds
def test_groups_that_are_in_each_other_come_to_an_end(nested: Nested, kind: str) -> None:
    """None is asked about twice."""
    domain = f"nested.{kind}.example"
    server = nested.slapd if kind == "slapd" else nested.ds389
    mark = server.mark()
    assert not nested.check(GUS, domain)
    assert nested.said(GUS, domain) == ("rejected", "not_in_group")
    searches = [one for one in server.searches(mark) if "GROUPS" in one.upper()]
    # The groups of each of four levels, and the required one with each: in the fourth is nothing.
    assert len(searches) == 8
    assert len(set(searches)) == 8


def test_wrong_group_base_keeps_out_nobody_who_is_in_the_group_itself(nested: Nested) -> None:
    """Of all others it cannot be told."""
    domain = "nowhere.slapd.example"
    assert nested.check(ADA, domain)
    answer = check_password(nested.daemon, f"{BEN.local}@{domain}", BEN.password)
    assert answer[0] == CANNOT_TELL
    assert nested.said(BEN, domain) == ("unavailable", "directory_refused")


@kinds
def test_way_to_the_group_is_explained(nested: Nested, kind: str) -> None:
    """Level by level."""
    told = explain(nested.daemon, f"{CLEO.local}@nested.{kind}.example", CLEO.password)
    assert told.returncode == 0
    xmpp = group_dn("xmpp")
    for words in (
        f"{xmpp}: no member",
        f"groups on level 1: {group_dn('team')}",
        f"groups on level 2: {group_dn('staff')}",
        f"{xmpp}: a member",
    ):
        assert words in told.stdout
    told = explain(nested.daemon, f"{FINN.local}@nested.{kind}.example", FINN.password)
    assert told.returncode == 1
    assert "not_in_group" in told.stdout
    assert steps(told.stdout)["bind"] == "none: the password was not tried"
