"""The domains of the tests, and the users whom the users files have."""

from . import active_directory, directory, signers
from .canary import secret, unguarded

ORG = "example.org"
NET = "example.net"
#: Served by the XMPP servers, and not by authbridge.
FOREIGN = "example.com"

DOMAINS = (ORG, NET)
#: Of the directory, whose people are in `directory`.
IN_DIRECTORY = (directory.DOMAIN, directory.MEMBERS, directory.IMPATIENT, signers.CHAIN)
#: Whose users have no passwords.
OF_TOKENS = (signers.DOMAIN, signers.STRANGERS)
HOSTS = (ORG, NET, FOREIGN, *IN_DIRECTORY, *OF_TOKENS, *active_directory.DOMAINS)

#: Domain to localpart to password. Both domains have an alice, who is not the same person.
PASSWORDS: dict[str, dict[str, bytes]] = {
    ORG: {
        "alice": secret("wonderland"),
        "bob": secret("builder:with::colons:"),
        "çelik": secret("pässwörd ✓ 密码"),
        # Prosody hands this over as "final ½ …" in NFKC, ejabberd as it was typed.
        "norma": secret("ﬁnal ½ A\N{COMBINING RING ABOVE}"),
        "percy": secret("100%+&=?#/\\\"'<>;"),
        # The longest that Prosody asks about, and three times as long in a URL.
        "mila": secret("é" * 505),
        # More than the 16 kB of an HTTP request's line and headers; a frame of extauth holds it.
        "lena": secret("l" * 39_987),
        "juliet": secret("balcony"),
        # Whom ejabberd's HTTP API is asked about.
        "apis": unguarded("beehive"),
    },
    NET: {
        "alice": secret("looking-glass"),
        "nemo": secret("nautilus"),
    },
}


def password(jid: str) -> bytes:
    """The password of a user, or a token that was just made for him."""
    local, _, domain = jid.partition("@")
    if domain in OF_TOKENS:
        return signers.token(jid)
    if domain in IN_DIRECTORY:
        return directory.BY_LOCALPART[local].password
    if domain in active_directory.DOMAINS:
        return active_directory.BY_LOCALPART[local].password
    return PASSWORDS[domain][local]


def jids() -> list[str]:
    """Everybody."""
    return [f"{local}@{domain}" for domain, users in PASSWORDS.items() for local in users]
