"""The people of the Active Directory, each with something of his own, and their groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import directory
from .canary import secret
from .directory import escaped, rdn_value

REALM = "AD.EXAMPLE.ORG"
NETBIOS = "AD"
#: What the names of users end in (userPrincipalName).
SUFFIX = REALM.lower()
HOST = f"dc1.{SUFFIX}"

#: The XMPP domains: of everybody, of a group's members, the one where a JID is an UPN, and those
#: where passwords are changed: by who may, and by who may not.
DOMAIN = "corp.example"
MEMBERS = "staff.example"
CHANGES, DENIED = "changes.example", "denied.example"
DOMAINS = (DOMAIN, MEMBERS, SUFFIX, CHANGES, DENIED)

BASE = "DC=ad,DC=example,DC=org"
PEOPLE = f"OU=People,{BASE}"
CROWD = f"OU=Crowd,{BASE}"
GROUPS_PARENT = f"OU=Groups,{BASE}"
#: Below it are so many people of whom nothing is known but their names.
MULTITUDE_PARENT = f"OU=Multitude,{BASE}"
MULTITUDE = 150
SERVICE = f"CN=authbridge,OU=Services,{BASE}"
SERVICE_NAME = "svc-authbridge"
#: Who may write as well, for a group of Windows' own.
WRITER = f"CN=writer,OU=Services,{BASE}"
NEWCOMERS = f"OU=Newcomers,{BASE}"
#: The mistake of an account that is locked for good after so many wrong passwords.
LOCKED_BY = 3

Value = str | bytes
Pairs = Sequence[tuple[str, Value]]

# userAccountControl: [MS-ADTS] 2.2.16.
NORMAL = "512"
_DISABLED = "514"
# A trust between domains: nobody logs in so, and no client has a word for its sub-code, 70f.
_TRUST = "2048"
# [MS-ADTS] 2.2.1: 100 ns since 1601. Of 2000, and of 2016.
_YEAR_2000, _YEAR_2016 = "125911584000000000", "131000000000000000"


@dataclass(frozen=True, eq=False)
class Account:
    """One user, and what is to be found about him."""

    #: sAMAccountName.
    name: str
    password: bytes
    #: More lines of his entry, and lines for what only the directory itself may write.
    more: Pairs = ()
    past: Pairs = ()
    control: str = NORMAL
    #: The reason in the log for his password, and for another one.
    right: str = "password_matches"
    wrong: str = "password_mismatch"
    #: Why he does not exist, if he does not.
    gone: str = ""
    #: His UPN, or what is before its @, and his CN, where they are not his name.
    principal: str = ""
    common_name: str = ""
    parent: str = PEOPLE

    @property
    def local(self) -> str:
        """The localpart of his JID."""
        return escaped(self.name).lower()

    @property
    def jid(self) -> str:
        """His JID."""
        return f"{self.local}@{DOMAIN}"

    @property
    def upn(self) -> str:
        """His userPrincipalName."""
        name = self.principal or self.name
        return name if "@" in name else f"{name}@{SUFFIX}"

    @property
    def dn(self) -> str:
        """Where his entry stands."""
        return f"CN={rdn_value(self.common_name or self.name)},{self.parent}"

    @property
    def accepted(self) -> bool:
        """True if his password lets him in."""
        return self.right == "password_matches"


ALICE = Account("alice", secret("wonderland"), [("mail", "liddell@example.org")])
BOB = Account("bob", secret("builder:with:colons"))
CAROL = Account("carol", secret("in-no-group"))
ZOE = Account("Zoe Z", secret("capital"))
CELIK = Account("çelik", secret("pässwörd ✓"))
ALISA = Account("Алиса", secret("Страна чудес"))
SPECIAL = Account(
    "o'brien & (s)#n", secret('sp€cial "chars"\\'), common_name='O\'Brien, "Pat" (x) + <y>;=\\#'
)
#: The UPN has another name than the account.
HANNAH = Account("hannah", secret("palindrome"), principal="Anna.H")

DISABLED = Account(
    *("disabled", secret("disabled")),
    control=_DISABLED,
    right="account_disabled",
    gone="account_disabled",
)
EXPIRED = Account(
    "expired", secret("expired"), past=[("pwdLastSet", _YEAR_2016)], right="password_expired"
)
GONE = Account(
    *("gone", secret("gone"), [("accountExpires", _YEAR_2000)]),
    right="account_expired",
    gone="account_expired",
)
MUST_CHANGE = Account(
    "mustchange", secret("change"), [("pwdLastSet", "0")], right="password_must_change"
)
LOCKED = Account(
    *("locked", secret("locked")),
    past=[("lockoutTime", _YEAR_2016), ("badPwdCount", str(LOCKED_BY))],
    right="account_locked",
    wrong="account_locked",
)
#: At no hour of the week.
NIGHT = Account("night", secret("night"), [("logonHours", bytes(21))], right="logon_hours")
#: From a computer alone that the directory is not asked from.
ELSEWHERE = Account(
    *("elsewhere", secret("elsewhere"), [("userWorkstations", "PC1")]),
    right="logon_workstation",
)
TRUST = Account(
    "trust", secret("trust"), past=[("userAccountControl", _TRUST)], right="logon_refused"
)

PEOPLE_OF_ALL_KINDS = (
    *(ALICE, BOB, CAROL, ZOE, CELIK, ALISA, SPECIAL, HANNAH),
    *(DISABLED, EXPIRED, GONE, MUST_CHANGE, LOCKED, NIGHT, ELSEWHERE, TRUST),
)

#: Locked by the third wrong password in a row.
STRICT = Account("strict", secret("strict"))
#: Whose password is changed.
MIRA = Account("mira", secret("to-be-changed"))
#: May have no password of less than so many characters.
LENGTHY = Account("lengthy", secret("lengthy-" * 8))
SHORTEST = 60
#: Whose one group is their primary group: a required one, or one within it.
DORA = Account("dora", secret("primary"))
EMIL = Account("emil", secret("nested-primary"))
#: Whose primary group is another one, so that she is no member of Domain Users.
FLORA = Account("flora", secret("guest"))

#: The domains where both names are asked for, without and with aliases; and who has a UPN there.
BOTH_NAMES, ALIASES = "both.example", "aliases.example"
IDA = Account("ida", secret("two-names"), principal=f"ida.first@{BOTH_NAMES}")
JON = Account("jon", secret("aliases"), principal=f"jon.first@{ALIASES}")
#: What is one's name is another's UPN.
KIM = Account("kim", secret("taken"))
LEO = Account("leo", secret("taker"), principal=f"kim@{BOTH_NAMES}")

OTHERS = (STRICT, MIRA, LENGTHY, DORA, EMIL, FLORA)
_TWO_NAMES = (IDA, JON, KIM, LEO)

#: As many as it takes to notice when one gets the answer of another.
CROWD_PEOPLE = tuple(
    Account(f"user{number:02}", secret(f"crowd-{number}"), parent=CROWD) for number in range(16)
)

#: What a filter gives a meaning to, in the name of a group.
SPECIAL_GROUP = "R&D (Köln)*, west\\x"
#: Members are accounts, or groups that come before.
GROUPS: Mapping[str, Sequence[Account | str]] = {
    "Team": (ZOE,),
    "Staff": (ALICE, "Team", EMIL),
    "XMPP Users": ("Staff", BOB, DORA),
    SPECIAL_GROUP: (CELIK,),
    "Empty": (),
}
#: What MEMBERS asks for: one of them.
REQUIRED = ("XMPP Users", SPECIAL_GROUP)
#: Who has which as primary group, in place of Domain Users.
PRIMARY_GROUPS: Mapping[str, Account] = {
    "Staff": EMIL,
    "XMPP Users": DORA,
    "Domain Guests": FLORA,
}
DOMAIN_USERS = f"CN=Domain Users,CN=Users,{BASE}"

EVERYBODY = (*PEOPLE_OF_ALL_KINDS, *OTHERS, *_TWO_NAMES, *CROWD_PEOPLE)
BY_LOCALPART = {account.local: account for account in EVERYBODY}


def group_dn(name: str) -> str:
    """Where a group stands."""
    parent = f"CN=Users,{BASE}" if name.startswith("Domain ") else GROUPS_PARENT
    return f"CN={rdn_value(name)},{parent}"


def checker(domain: str, *servers: str, **settings: object) -> str:
    """The tables of an XMPP domain that is asked of these servers; None leaves a setting out."""
    chosen: dict[str, object] = {
        "preset": "active-directory",
        "servers": servers,
        "base": BASE,
        "bind_dn": SERVICE,
        **settings,
    }
    name = domain.partition(".")[0]
    return directory.checker(domain, name, "", **chosen)
