"""Who signs tokens for the shared domains, and tokens of theirs.

They are made by `tests.tokens.mint`, which has nothing of authbridge in it; each is looked for in
the logs like a password.
"""

import time
from pathlib import Path

from tests.tokens import mint

from .canary import secret, watched
from .daemon import write_private

#: Of tokens alone. In the first everybody exists, in the second nobody.
DOMAIN = "tokens.example"
STRANGERS = "strangers.example"
#: Tokens first, and then the directory; and whom no token is accepted for there.
CHAIN = "chain.example"
NEVER = "carol"

WEBSITE = "https://www.tokens.example"
#: Shares a secret with us, and signs like a website.
PARTNER = "https://partner.tokens.example"
#: May sign for STRANGERS alone.
ABROAD = "https://abroad.tokens.example"

SECRETS = {
    "HS256": secret("the partner's, which has 32 octets"),
    "compact": secret("the forum's, which has 32 octets"),
    "xcauth": secret("the cloud's"),
}
PAIRS = ("ES256", "RS256", "EdDSA")
JWT_KINDS = (*PAIRS, "HS256")
KINDS = (*JWT_KINDS, "compact", "xcauth")
#: What the log calls whose token it is.
SIGNERS = {
    **{algorithm: f"{WEBSITE}#{algorithm}" for algorithm in PAIRS},
    "HS256": f"{PARTNER}#partner",
    "compact": "forum#forum-1",
    "xcauth": "cloud#cloud",
}

#: Seconds for which a token is good: some wait until many others have been tried.
LIFE = 240

_CONFIGURATION = """
[domains."{domain}"]
check = ["tokens"]
exists = "always"

[domains."{strangers}"]
check = ["tokens"]
exists = "never"

[domains."{chain}"]
check = ["chained", "corp"]
exists = ["corp"]
never = ["{never}"]

[checkers.tokens]
kind = "token"
accept = ["jwt", "compact", "xcauth"]

[checkers.chained]
kind = "token"
accept = ["jwt", "compact"]

[issuers."{website}"]
keys = ["{folder}/website"]
algorithms = ["ES256", "RS256", "EdDSA"]
domains = ["{domain}", "{strangers}", "{chain}"]

[issuers."{partner}"]
secret_file = "{folder}/partner"
algorithms = ["HS256"]
domains = ["{domain}", "{chain}"]

[issuers."{abroad}"]
keys = ["{folder}/abroad.pem"]
algorithms = ["ES256"]
domains = ["{strangers}"]

[issuers.forum]
kind = "compact"
keys = ["{folder}/forum"]
domains = ["*"]

[issuers.cloud]
kind = "xcauth"
secret_file = "{folder}/cloud"
domains = ["{domain}"]
"""


def configuration(folder: Path) -> dict[str, str]:
    """The domains, and with the first the tables of all and of their checkers and issuers, but for
    [checkers.corp]; the keys are written into the folder."""
    for algorithm in PAIRS:
        write_private(folder / "website" / f"{algorithm}.pem", key(algorithm).public_pem())
    write_private(folder / "abroad.pem", key("ES256", "abroad").public_pem())
    write_private(folder / "partner", SECRETS["HS256"] + b"\n")
    write_private(folder / "forum" / "forum-1.secret", SECRETS["compact"] + b"\n")
    write_private(folder / "cloud", SECRETS["xcauth"] + b"\n")
    tables = _CONFIGURATION.format(
        folder=folder,
        domain=DOMAIN,
        strangers=STRANGERS,
        chain=CHAIN,
        never=NEVER,
        website=WEBSITE,
        partner=PARTNER,
        abroad=ABROAD,
    )
    return {DOMAIN: tables, STRANGERS: "", CHAIN: ""}


def key(algorithm: str, owner: str = "website") -> mint.Key:
    """Somebody's key; of HS256 there is the partner's alone."""
    if algorithm == "HS256":
        return mint.Key(algorithm, secret=SECRETS[algorithm])
    return mint.key(algorithm, owner)


def claims(jid: str, algorithm: str = "ES256", **changes: object) -> dict[str, object]:
    """What a token says that is good for a login of this user now."""
    now = int(time.time())
    return {
        "iss": PARTNER if algorithm == "HS256" else WEBSITE,
        "sub": jid,
        "aud": f"xmpp:{jid.partition('@')[2]}",
        "iat": now,
        "exp": now + LIFE,
        **changes,
    }


def jwt(
    jid: str,
    algorithm: str = "ES256",
    by: mint.Key | None = None,
    *,
    header: dict[str, object] | None = None,
    **changes: object,
) -> bytes:
    """A JSON Web Token, good but for the `changes` of its claims and of its header (None: as it
    should be), and for a key that it says it is `by`."""
    kid = "partner" if algorithm == "HS256" else algorithm
    members = {"kid": kid, **(header or {})}
    signed_by = by or key(algorithm)
    return kept(mint.jwt(claims(jid, algorithm, **changes), signed_by, algorithm, **members))


def compact(jid: str, ends: int = LIFE, by: bytes = SECRETS["compact"]) -> bytes:
    """A compact token that ends in so many seconds."""
    return kept(mint.compact(by, jid, int(time.time()) + ends))


def xcauth(jid: str, ends: int = LIFE, by: bytes = SECRETS["xcauth"]) -> bytes:
    """One of xcauth."""
    return kept(mint.xcauth(by, jid, int(time.time()) + ends))


def token(jid: str, kind: str = "ES256") -> bytes:
    """A good token of this kind."""
    if kind == "compact":
        return compact(jid)
    if kind == "xcauth":
        return xcauth(jid)
    return jwt(jid, kind)


def kept(made: str) -> bytes:
    """A token as octets; from now on it is looked for, and so is its signature alone."""
    octets = made.encode()
    watched(octets.rpartition(b".")[2])
    return watched(octets)
