"""Who gets in with a temporary token, through a real ejabberd and a real Prosody, and who does not;
and what ejabberd's cache makes of it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from .calls import YES, check_password, said, user_exists
from .daemon import Daemon, write_private
from .ejabberd import Ejabberd
from .pki import Pki, make_pki
from .prosody import Prosody
from .test_users import bounce
from .token_site import DOMAIN, ELSEWHERE, PREFIX, TokenSite
from .visitors import Server, Visitors
from .xmpp import SESSION, local

REFUSED = "not-authorized"
HOSTS = (DOMAIN, ELSEWHERE)
_names = (f"guest-{number}" for number in count())


@pytest.fixture(scope="module")
def site(workspace: Path) -> Iterator[TokenSite]:
    """The daemon; in ELSEWHERE nobody exists who was not there."""
    site = TokenSite(workspace / "temporary-logins")
    here, there = site.configuration.read_text().split(f'[domains."{ELSEWHERE}"]')
    there = there.replace('exists = "always"', 'exists = "seen"')
    text = f'{here}[domains."{ELSEWHERE}"]{there}'
    write_private(site.configuration, text.encode())
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def hosts_pki(workspace: Path) -> Pki:
    """Certificates for the two domains."""
    return make_pki(workspace / "temporary-tls", HOSTS)


@pytest.fixture
def guests(hosts_pki: Pki) -> Iterator[Visitors]:
    """Whoever logs in."""
    everybody = Visitors(hosts_pki.ca)
    yield everybody
    everybody.close()


def _ejabberd(folder: Path, pki: Pki, site: Daemon, use_cache: bool) -> Iterator[Ejabberd]:
    server = Ejabberd(folder, pki, HOSTS, site.extauth_program, use_cache=use_cache)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def asking(workspace: Path, hosts_pki: Pki, site: TokenSite) -> Iterator[Ejabberd]:
    """ejabberd as it should be set up: without its cache."""
    yield from _ejabberd(workspace / "temporary-ejabberd", hosts_pki, site, use_cache=False)


@pytest.fixture(scope="module")
def caching(workspace: Path, hosts_pki: Pki, site: TokenSite) -> Iterator[Ejabberd]:
    """ejabberd as it is by default: with its cache."""
    yield from _ejabberd(workspace / "temporary-caching", hosts_pki, site, use_cache=True)


@pytest.fixture(scope="module")
def prosody_there(workspace: Path, hosts_pki: Pki, site: TokenSite) -> Iterator[Prosody]:
    """Prosody."""
    server = Prosody(
        workspace / "temporary-prosody",
        hosts_pki,
        HOSTS,
        site.http_auth_url,
        site.http_auth_credentials,
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["asking", "prosody_there"])
def there(request: pytest.FixtureRequest) -> Server:
    """Each of the XMPP servers in turn."""
    found: Server = request.getfixturevalue(request.param)
    return found


def newcomer(domain: str = DOMAIN) -> str:
    """Somebody who was never there."""
    return f"{next(_names)}@{domain}"


def judged(site: TokenSite, jid: str) -> list[str]:
    """What was said to each of a user's logins."""
    logins = site.logins(jid)
    return [login["reason"] for login in logins if login["operation"] == "check_password"]


def test_token_gets_one_session(there: Server, guests: Visitors, site: TokenSite) -> None:
    """And no second one, which is refused as a wrong password is; the log says which it was."""
    jid = newcomer()
    token = site.issue(jid)
    assert guests.enter(there, jid, token.octets).jid == f"{jid}/tests"
    assert guests.login(there, jid, token.octets) == REFUSED
    first, second = site.logins(jid)
    assert (first["verdict"], first["reason"]) == ("accepted", "token_valid")
    assert (second["verdict"], second["reason"]) == ("rejected", "token_used")
    assert first["signer"] == second["signer"] == f"temporary#{token.id}"


def test_next_token_gets_the_next_session(there: Server, guests: Visitors, site: TokenSite) -> None:
    """As a website's page fetches one for each connection."""
    jid = newcomer()
    for _ in range(3):
        assert guests.login(there, jid, site.issue(jid).octets) == SESSION


def test_token_of_another_is_refused_and_stays_good(
    there: Server, guests: Visitors, site: TokenSite
) -> None:
    """For a user and for a domain."""
    alice, bob = newcomer(), newcomer()
    abroad = f"{alice.partition('@')[0]}@{ELSEWHERE}"
    token = site.issue(alice)
    for jid in (bob, abroad):
        assert guests.login(there, jid, token.octets) == REFUSED
        assert said(site, jid) == ("rejected", "token_user_wrong")
    assert guests.login(there, alice, token.octets) == SESSION


def test_changed_token_is_refused_and_the_right_one_stays_good(
    there: Server, guests: Visitors, site: TokenSite
) -> None:
    """On one connection, one after the other."""
    jid = newcomer()
    token = site.issue(jid).octets
    first = token[len(PREFIX) : len(PREFIX) + 1]
    other = PREFIX + (b"B" if first == b"A" else b"A") + token[len(PREFIX) + 1 :]
    client = guests.connect(there, DOMAIN)
    user = jid.partition("@")[0].encode()
    outcomes = [client.login(user, wrong) for wrong in (other, token[:-1], token + b"A")]
    assert outcomes == [REFUSED] * 3
    assert judged(site, jid) == ["token_unknown", "token_malformed", "token_malformed"]
    assert client.login(user, token) == SESSION


def test_token_for_many_logins_gets_as_many(
    there: Server, guests: Visitors, site: TokenSite
) -> None:
    """A device's password: until it is revoked, where it is good for any number."""
    jid = newcomer()
    three, many = site.issue(jid, uses=3), site.issue(jid, uses="any", device="Phone", ttl="1h")
    outcomes = [guests.login(there, jid, three.octets) for _ in range(4)]
    assert outcomes == [SESSION, SESSION, SESSION, REFUSED]
    assert {guests.login(there, jid, many.octets) for _ in range(4)} == {SESSION}
    (listed,) = site.listed(jid)
    assert (listed["id"], listed["device"]) == (many.id, "Phone")
    assert listed["last_used_at"] is not None
    site.revoke(many)
    assert guests.login(there, jid, many.octets) == REFUSED
    assert said(site, jid) == ("rejected", "token_revoked")


def test_user_is_found_however_he_is_spelled(
    there: Server, guests: Visitors, site: TokenSite
) -> None:
    """To the website and to the XMPP server."""
    number = next(_names)
    token = site.issue(f"ÇELIK-{number.upper()}@{DOMAIN.title()}")
    assert token.jid == f"çelik-{number}@{DOMAIN}"
    assert guests.login(there, f"Çelik-{number}@{DOMAIN}", token.octets) == SESSION


def test_who_was_never_there_gets_no_message_and_who_was_finds_it_at_his_next_login(
    there: Server, guests: Visitors, site: TokenSite
) -> None:
    """exists = "seen"."""
    alice, bob, text = newcomer(ELSEWHERE), newcomer(), "until your next token"
    sender = guests.enter(there, bob, site.issue(bob).octets)
    assert bounce(sender, alice, "boo") == "service-unavailable"
    assert said(site, alice) == ("rejected", "user_unknown")
    assert guests.login(there, alice, site.issue(alice).octets) == SESSION
    assert user_exists(site, alice) == YES
    assert bounce(sender, alice, text) == ""
    client = guests.enter(there, alice, site.issue(alice).octets)
    client.synchronise()
    found = [one.findtext("{jabber:client}body") for one in client.inbox if local(one) == "message"]
    assert found == [text]


# --- auth_use_cache -------------------------------------------------------------------------------


def test_with_cache_a_used_token_still_logs_in_and_nobody_is_asked(
    caching: Ejabberd, guests: Visitors, site: TokenSite
) -> None:
    """A fault of the set-up that authbridge cannot see: ejabberd has `auth_use_cache: true` unless
    it is told otherwise, and then keeps the token as the user's password, for an hour."""
    jid = newcomer()
    token = site.issue(jid)
    assert guests.login(caching, jid, token.octets) == SESSION
    assert site.listed(jid) == []
    for _ in range(3):
        assert guests.login(caching, jid, token.octets) == SESSION
    assert judged(site, jid) == ["token_valid"]
    assert check_password(site, jid, token.octets) == (200, b"false")


def test_with_cache_a_revoked_token_still_logs_in(
    caching: Ejabberd, guests: Visitors, site: TokenSite
) -> None:
    """Of any number of logins, ejabberd has asked about the first alone."""
    jid = newcomer()
    token = site.issue(jid, uses="any")
    assert guests.login(caching, jid, token.octets) == SESSION
    site.revoke(token)
    assert guests.login(caching, jid, token.octets) == SESSION
    assert judged(site, jid) == ["token_valid"]


def test_with_cache_a_new_token_is_refused_and_not_used_up(
    caching: Ejabberd, guests: Visitors, site: TokenSite
) -> None:
    """ejabberd compares it with the one that it keeps, and asks nobody."""
    jid = newcomer()
    old, new = site.issue(jid), site.issue(jid)
    assert guests.login(caching, jid, old.octets) == SESSION
    assert guests.login(caching, jid, new.octets) == REFUSED
    assert judged(site, jid) == ["token_valid"]
    assert site.accepts(new)
