"""Logins by the paths below /oauth/: with a token at a real ejabberd (X-OAUTH2), with a password or
a token at a real Prosody (PLAIN, OAUTHBEARER); and who may not ask.

Prosody's module is a stand-in for the community's, which Debian's Prosody has no package of.
"""

import json
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from . import signers
from .canary import secret
from .daemon import hash_password, write_private
from .ejabberd import Ejabberd
from .oauth_callers import (
    ejabberd_options,
    enter,
    look_up,
    oauthbearer,
    prosody_of,
    url,
    x_oauth2,
)
from .pki import Pki, make_pki
from .prosody import Prosody
from .raw_http import basic
from .token_site import DOMAIN, ELSEWHERE, Token, TokenSite
from .visitors import Visitors
from .xmpp import SESSION

REFUSED = "not-authorized"
#: May use ejabberd's API with a token.
CLERK = f"clerk@{DOMAIN}"
#: Of people who have passwords, and tokens as well.
PEOPLE = "people.example"
#: Where Prosody shows a secret, and asks about passwords alone.
SHY = "shy.example"
HOSTS = (DOMAIN, ELSEWHERE, PEOPLE, SHY)
PASSWORDS = {
    "alice": secret("wonderland"),
    "o\\27brien": secret("pass:wörd &=+%"),
}
_names = (f"guest-{number}" for number in count())

_TABLES = """
[domains."{people}"]
check = ["tokens", "people"]

[domains."{shy}"]
check = ["tokens"]
exists = "always"

[checkers.people]
kind = "file"
path = "{folder}/people"

[issuers."{website}"]
keys = ["{folder}/ES256.pem"]
algorithms = ["ES256"]
domains = {domains}
revocable = true

[issuers.forum]
kind = "compact"
keys = ["{folder}/forum"]
domains = ["*"]

[clients.ejabberd-oauth]
secret_file = "{folder}/clients/ejabberd-oauth"
may = ["oauth"]
domains = {domains}

[clients.prosody-oauth]
peers = ["127.0.0.1"]
may = ["oauth"]
domains = ["{domain}", "{people}"]
"""


class OAuthSite(TokenSite):
    """A daemon that ejabberd and Prosody ask in the ways of OAuth."""

    def __init__(self, folder: Path) -> None:
        self.ejabberd_secret = secret("ejabberd-oauth")
        tables = _TABLES.format(
            folder=folder,
            people=PEOPLE,
            shy=SHY,
            domain=DOMAIN,
            website=signers.WEBSITE,
            domains=json.dumps(HOSTS),
        )
        super().__init__(folder, accept=("jwt", "compact", "temporary"), more=tables)
        lines = (f"{name}@{PEOPLE}:{hash_password(word)}\n" for name, word in PASSWORDS.items())
        write_private(folder / "people", "".join(lines).encode())
        write_private(folder / "ES256.pem", signers.key("ES256").public_pem())
        write_private(folder / "forum" / "forum-1.secret", signers.SECRETS["compact"] + b"\n")
        self.write_secret(self.ejabberd_secret)

    def write_secret(self, octets: bytes) -> None:
        """That of the client ejabberd-oauth; read at the next start."""
        write_private(self.folder / "clients" / "ejabberd-oauth", octets + b"\n")

    def issue(self, jid: str, **wanted: object) -> Token:
        """One that outlives any test, unless it is `wanted` otherwise."""
        return super().issue(jid, **{"ttl": "10m", **wanted})

    @property
    def credentials(self) -> bytes:
        """ejabberd's, as a header has them."""
        return basic(b"ejabberd-oauth", self.ejabberd_secret)

    def reasons(self, jid: str) -> list[str]:
        """What was said to each of a user's logins."""
        return [login["reason"] for login in self.logins(jid)]


@pytest.fixture(scope="module")
def site(workspace: Path) -> Iterator[OAuthSite]:
    """The daemon."""
    started = OAuthSite(workspace / "oauth-front-end")
    started.start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def _up_again(site: OAuthSite) -> Iterator[None]:
    """Whatever a test has done to it."""
    yield
    site.restore()


@pytest.fixture(scope="module")
def hosts_pki(workspace: Path) -> Pki:
    """Certificates for the domains."""
    return make_pki(workspace / "oauth-asked-tls", HOSTS)


@pytest.fixture
def guests(hosts_pki: Pki) -> Iterator[Visitors]:
    """Whoever logs in."""
    everybody = Visitors(hosts_pki.ca)
    yield everybody
    everybody.close()


def _ejabberd(folder: Path, pki: Pki, site: OAuthSite, more: str) -> Iterator[Ejabberd]:
    top = ejabberd_options(site, site.credentials) + more
    server = Ejabberd(folder, pki, HOSTS, site.extauth_program, top=top)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def asking(workspace: Path, hosts_pki: Pki, site: OAuthSite) -> Iterator[Ejabberd]:
    """ejabberd as it should be set up: without its cache. That it may make tokens of its own is for
    one of the tests."""
    more = "oauth_use_cache: false\noauth_access: all\n"
    yield from _ejabberd(workspace / "oauth-asking", hosts_pki, site, more)


@pytest.fixture(scope="module")
def caching(workspace: Path, hosts_pki: Pki, site: OAuthSite) -> Iterator[Ejabberd]:
    """ejabberd as it is by default: with its cache."""
    yield from _ejabberd(workspace / "oauth-caching", hosts_pki, site, "")


@pytest.fixture(scope="module")
def api_alone(workspace: Path, hosts_pki: Pki, site: OAuthSite) -> Iterator[Ejabberd]:
    """ejabberd where a token opens the API, and no session."""
    top = ejabberd_options(site, site.credentials)
    top += "oauth_use_cache: false\ndisable_sasl_mechanisms: [X-OAUTH2]\n"
    folder = workspace / "oauth-api"
    server = Ejabberd(folder, hosts_pki, HOSTS, site.extauth_program, top=top)
    configuration = folder / "ejabberd.yml"
    everybody, clerk = "who: all", json.dumps({"user": CLERK})
    by_token = f"who: {{oauth: {{scope: sasl_auth, access: {{allow: {clerk}}}}}}}"
    configuration.write_text(configuration.read_text().replace(everybody, by_token))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def prosody_there(workspace: Path, hosts_pki: Pki, site: OAuthSite) -> Iterator[Prosody]:
    """Prosody."""
    shy = (
        f'VirtualHost "{SHY}"\n'
        'authentication = "oauth_external"\n'
        f'oauth_external_token_endpoint = "{url(site)}/token?server={SHY}"\n'
        'oauth_external_client_id = "ejabberd-oauth"\n'
        f'oauth_external_client_secret = "{site.ejabberd_secret.decode()}"\n'
    )
    folder = workspace / "oauth-external"
    server = prosody_of(folder, hosts_pki, site, HOSTS[:3], shy)
    server.start()
    yield server
    server.stop()


def newcomer(domain: str = DOMAIN) -> str:
    """Somebody who was never there."""
    return f"{next(_names)}@{domain}"


# --- ejabberd -------------------------------------------------------------------------------------


def test_ejabberd_takes_a_temporary_token_once(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """And a password beside it, by extauth."""
    jid = newcomer()
    token = site.issue(jid)
    client = guests.connect(asking, DOMAIN)
    assert {"PLAIN", "X-OAUTH2"} <= client.mechanisms
    assert x_oauth2(client, jid, token.octets) == SESSION
    assert client.bind() == f"{jid}/tests"
    assert enter(guests, asking, jid, token.octets) == REFUSED
    first, second = site.logins(jid)
    assert (first["operation"], first["verdict"]) == ("oauth", "accepted")
    assert (first["caller"], first["signer"]) == ("ejabberd-oauth", f"temporary#{token.id}")
    assert (second["verdict"], second["reason"]) == ("rejected", "token_used")
    alice = f"alice@{PEOPLE}"
    assert guests.login(asking, alice, PASSWORDS["alice"]) == SESSION


def test_ejabberd_takes_signed_tokens_as_long_as_they_are_good(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """For a user by his JID, or of the domain that it is for; in whatever domain."""
    for jid in (newcomer(), newcomer(ELSEWHERE), newcomer(PEOPLE)):
        local = jid.partition("@")[0]
        for token in (signers.jwt(jid), signers.jwt(jid, sub=local), signers.jwt(jid)):
            assert enter(guests, asking, jid, token) == SESSION
        assert site.reasons(jid) == ["token_valid"] * 3


def test_ejabberd_refuses_what_is_no_good(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """Expired, forged, for others, of a kind that does not say whose it is, or no token at all; on
    one connection, and the good one last."""
    jid = newcomer()
    past = int(time.time()) - 3600
    revoked = site.issue(jid)
    site.revoke(revoked)
    wrong = (
        signers.jwt(jid, exp=past, iat=past - 60),
        signers.jwt(jid, by=signers.key("ES256", "somebody")),
        signers.jwt(jid, aud="xmpp:elsewhere.example"),
        signers.jwt(jid, iss="https://other.example"),
        signers.compact(jid),
        revoked.octets,
        secret("no token"),
    )
    client = guests.connect(asking, DOMAIN)
    seen = len(site.logins())
    assert [x_oauth2(client, jid, token) for token in wrong] == [REFUSED] * len(wrong)
    assert x_oauth2(client, jid, site.issue(jid).octets) == SESSION
    assert [login["reason"] for login in site.logins()[seen:]] == [
        "token_expired",
        "token_signature_wrong",
        "token_audience_wrong",
        "token_issuer_unknown",
        "token_claim_missing",
        "token_revoked",
        "no_checker",
        "token_valid",
    ]


def test_token_that_is_shown_under_another_name_is_refused_and_used_up(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """ejabberd does not say for whom it asks: it is told whose the token is, and compares that with
    the name beside the token."""
    alice, bob = newcomer(), newcomer()
    token = site.issue(alice)
    assert enter(guests, asking, bob, token.octets) == REFUSED
    assert site.reasons(alice) == ["token_valid"]
    assert enter(guests, asking, alice, token.octets) == REFUSED
    assert site.reasons(alice) == ["token_valid", "token_used"]
    assert site.reasons(bob) == []


def test_ejabberd_opens_the_session_of_whom_a_token_is(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """Where the client names nobody to act for, or himself."""
    romeo = newcomer()
    local = romeo.partition("@")[0]
    for authzid in ("", romeo, local):
        client = guests.connect(asking, DOMAIN)
        assert x_oauth2(client, romeo, signers.jwt(romeo), authzid) == SESSION
        assert client.bind() == f"{romeo}/tests"
    assert site.reasons(romeo) == ["token_valid"] * 3


def test_whoever_has_one_token_becomes_anybody_at_ejabberd(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """The account take-over by X-OAUTH2, a fault of ejabberd 23.01: the token's user is compared
    with the name beside the token, and the session is the one of the authorization identity. Its
    domain does not count. Should this fail with a later ejabberd, docs/http.md may become kinder.
    """
    romeo, juliet = newcomer(), newcomer()
    local = juliet.partition("@")[0]
    named = (juliet, local, f"{local}@{ELSEWHERE}", f"{local}@nowhere.example")
    for authzid in named:
        client = guests.connect(asking, DOMAIN)
        assert x_oauth2(client, romeo, signers.jwt(romeo), authzid) == SESSION
        assert client.bind() == f"{juliet}/tests"
    assert site.reasons(romeo) == ["token_valid"] * len(named)
    assert site.reasons(juliet) == []


def test_whoever_has_a_token_as_his_password_becomes_nobody_else_at_ejabberd(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """By PLAIN, through extauth, ejabberd compares the two names before it asks."""
    romeo, juliet = newcomer(), newcomer()
    for authzid in (juliet, f"{juliet.partition('@')[0]}@{ELSEWHERE}"):
        assert guests.login(asking, romeo, signers.jwt(romeo), authzid) == REFUSED
    assert site.reasons(romeo) == []
    client = guests.connect(asking, DOMAIN)
    local = romeo.partition("@")[0].encode()
    assert client.login(local, signers.jwt(romeo), romeo.encode()) == SESSION
    assert client.bind() == f"{romeo}/tests"
    assert guests.login(asking, juliet, signers.jwt(romeo)) == REFUSED
    assert site.reasons(juliet) == ["token_user_wrong"]


def test_without_x_oauth2_tokens_are_for_ejabberds_api_alone(
    api_alone: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """`disable_sasl_mechanisms` neither offers it nor takes it; the API knows whose a token is."""
    jid = newcomer()
    client = guests.connect(api_alone, DOMAIN)
    assert client.mechanisms == {"PLAIN"}
    assert x_oauth2(client, jid, signers.jwt(jid)) == "invalid-mechanism"
    for token, status in (
        (signers.jwt(CLERK), 200),
        (signers.jwt(jid), 403),
        (secret("no token"), 401),
    ):
        assert api_alone.api("status", bearer=token)[0] == status
    assert site.reasons(CLERK) + site.reasons(jid) == ["token_valid"] * 2


def test_ejabberd_lets_nobody_in_while_it_cannot_be_told(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """The daemon is gone, or does not know ejabberd any more; afterwards the token is good."""
    jid = newcomer()
    token = site.issue(jid, ttl="10m").octets
    site.stop()
    assert enter(guests, asking, jid, token) == REFUSED
    site.write_secret(secret("another"))
    site.start()
    assert enter(guests, asking, jid, token) == REFUSED
    assert site.logins()[-1]["reason"] == "caller_unknown"
    site.stop()
    site.write_secret(site.ejabberd_secret)
    site.start()
    assert enter(guests, asking, jid, token) == SESSION


def test_with_its_cache_ejabberd_takes_a_used_token_again_and_an_outage_for_a_no(
    caching: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """A fault of the set-up: `oauth_use_cache` is on unless it is told otherwise. A token is let in
    for a minute at most, as the answer says; and one that came during an outage is refused for as
    long as the cache lasts."""
    jid, other = newcomer(), newcomer()
    token, refused = site.issue(jid, ttl="1h"), site.issue(other, ttl="1h")
    assert [enter(guests, caching, jid, token.octets) for _ in range(3)] == [SESSION] * 3
    assert site.reasons(jid) == ["token_valid"]
    site.stop()
    assert enter(guests, caching, other, refused.octets) == REFUSED
    site.start()
    assert enter(guests, caching, other, refused.octets) == REFUSED
    assert site.reasons(other) == []
    assert site.accepts(refused)


def test_an_answer_may_be_relied_upon_for_a_minute(site: OAuthSite) -> None:
    """Or for as long as the token lives, if that is less."""
    for ttl, most in (("1h", 60), ("50s", 50)):
        jid = newcomer()
        status, body = look_up(site, site.issue(jid, ttl=ttl).octets, site.credentials)
        said = json.loads(body)
        assert (status, said["user"], said["scope"]) == (200, jid, ["sasl_auth"])
        assert said["expire"] <= time.time() + most


def test_token_of_ejabberds_own_making_is_not_kept_and_lets_nobody_in(
    asking: Ejabberd, guests: Visitors, site: OAuthSite
) -> None:
    """Its command prints one all the same, and its log says that it was not stored."""
    alice = f"alice@{PEOPLE}"
    _, said = asking.ctl("oauth_issue_token", alice, "3600", "sasl_auth")
    assert site.logins()[-1]["reason"] == "not_supported"
    assert enter(guests, asking, alice, said.split()[0].encode()) == REFUSED


# --- Prosody --------------------------------------------------------------------------------------


def test_prosody_logs_in_with_a_password(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """By a ticket; a name keeps its escapes."""
    for user, word in PASSWORDS.items():
        jid = f"{user}@{PEOPLE}"
        assert guests.enter(prosody_there, jid, word).jid == f"{jid}/tests"
        assert guests.login(prosody_there, jid, word + b"!") == REFUSED
        found = ["password_matches", "token_valid", "password_mismatch"]
        assert site.reasons(jid)[-3:] == found
    assert guests.login(prosody_there, f"nobody@{PEOPLE}", PASSWORDS["alice"]) == REFUSED
    assert site.reasons(f"nobody@{PEOPLE}") == ["user_unknown"]


def test_prosody_logs_in_with_a_token_as_a_password(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """Which is used once."""
    jid = newcomer()
    token = site.issue(jid)
    assert guests.login(prosody_there, jid, token.octets) == SESSION
    assert guests.login(prosody_there, jid, token.octets) == REFUSED


def test_prosody_with_a_secret_and_without_userinfo_logs_in(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """Passwords alone; the ticket is left behind."""
    jid = newcomer(SHY)
    assert guests.connect(prosody_there, SHY).mechanisms == {"PLAIN"}
    assert guests.enter(prosody_there, jid, signers.jwt(jid)).jid == f"{jid}/tests"
    assert guests.login(prosody_there, jid, secret("wrong")) == REFUSED
    (login, _) = site.logins(jid)
    assert (login["operation"], login["caller"]) == ("check_password", "ejabberd-oauth")


def test_prosody_takes_tokens_by_oauthbearer(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """A temporary one and a signed one; whose it is says the token."""
    one, other, abroad = newcomer(), newcomer(), newcomer(PEOPLE)
    tokens = {one: site.issue(one).octets, other: signers.jwt(other), abroad: signers.jwt(abroad)}
    for jid, token in tokens.items():
        client = guests.connect(prosody_there, jid.partition("@")[2])
        assert oauthbearer(client, token) == SESSION
        assert client.bind() == f"{jid}/tests"
        assert site.reasons(jid) == ["token_valid"]


def test_prosody_logs_in_whose_the_token_is_and_nobody_else(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """Whomever the client names to act for, by OAUTHBEARER and with the token as a password."""
    romeo, juliet = newcomer(), newcomer()
    for authzid in ("", f"a={romeo}", f"a={juliet}"):
        client = guests.connect(prosody_there, DOMAIN)
        assert oauthbearer(client, signers.jwt(romeo), authzid.encode()) == SESSION
        assert client.bind() == f"{romeo}/tests"
    client = guests.connect(prosody_there, DOMAIN)
    local = romeo.partition("@")[0].encode()
    assert client.login(local, signers.jwt(romeo), juliet.encode()) == SESSION
    assert client.bind() == f"{romeo}/tests"
    assert site.reasons(juliet) == []


def test_prosody_tells_the_client_that_its_token_is_invalid(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """Used, expired, of another domain, of a kind that does not say whose it is, or a password; on
    one connection, and the good one last."""
    jid = newcomer()
    past = int(time.time()) - 3600
    used = site.issue(jid).octets
    assert site.website.use(jid, used).body == b"true"
    wrong = (
        used,
        signers.jwt(jid, exp=past, iat=past - 60),
        site.issue(newcomer(ELSEWHERE)).octets,
        signers.compact(jid),
        secret("password"),
    )
    client = guests.connect(prosody_there, DOMAIN)
    for token in wrong:
        assert oauthbearer(client, token) == {"status": "invalid_token"}
    assert oauthbearer(client, site.issue(jid).octets) == SESSION


def test_prosody_lets_nobody_in_while_it_cannot_be_told(
    prosody_there: Prosody, guests: Visitors, site: OAuthSite
) -> None:
    """And in a domain that its client may not ask about; a token is not used up by it."""
    jid, abroad = newcomer(), newcomer(ELSEWHERE)
    token, other = site.issue(jid, ttl="10m"), site.issue(abroad, ttl="10m")
    alice = f"alice@{PEOPLE}"
    site.stop()
    assert guests.login(prosody_there, alice, PASSWORDS["alice"]) == REFUSED
    client = guests.connect(prosody_there, DOMAIN)
    assert oauthbearer(client, token.octets) == {"status": "server_error"}
    site.start()
    assert oauthbearer(client, token.octets) == SESSION
    client = guests.connect(prosody_there, ELSEWHERE)
    assert isinstance(oauthbearer(client, other.octets), dict)
    assert site.logins()[-1]["reason"] == "caller_not_allowed"
    assert site.accepts(other)
    assert guests.login(prosody_there, alice, PASSWORDS["alice"]) == SESSION


# --- who asks -------------------------------------------------------------------------------------


def test_who_may_not_ask_gets_nothing(site: OAuthSite) -> None:
    """By another secret, or as a client without the verb; the token stays good."""
    jid = newcomer()
    token = site.issue(jid, ttl="10m")
    wrong = basic(b"ejabberd-oauth", secret("wrong"))
    website = basic(b"website", site.website_secret)
    for credentials, status in ((wrong, 401), (website, 403)):
        found, body = look_up(site, token.octets, credentials)
        assert (found, token.octets in body) == (status, False)
    assert site.accepts(token)
