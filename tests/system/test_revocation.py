"""Signed tokens that are accepted once, and signed tokens that are revoked, over extauth and HTTP;
what was used or revoked stays so, whatever becomes of the daemon."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.stores.redis_server import RedisServer
from tests.tokens import mint

from .calls import YES, check_password, extauth, said
from .canary import secret
from .daemon import write_private
from .signers import kept
from .token_site import DOMAIN, ELSEWHERE, TokenSite
from .waiting import wait_until

ONCE, REVOCABLE, BOTH, PLAIN = (
    f"https://{name}.example" for name in ("once", "rev", "both", "any")
)
FORUM = secret("a forum's, which has 32 octets")
_numbers = count()

_ISSUER = """
[issuers."{name}"]
keys = ["{folder}/issuer.pem"]
algorithms = ["ES256"]
domains = ["{domain}"]
leeway = "0s"
{settings}
"""
_FORUM = """
[issuers.forum]
kind = "compact"
secret_file = "{folder}/forum"
domains = ["{domain}"]
revocable = true
"""
_SETTINGS = {
    ONCE: "single_use = true",
    REVOCABLE: "revocable = true",
    BOTH: "single_use = true\nrevocable = true",
    PLAIN: "",
}


@pytest.fixture(scope="module", params=["SQLite", "Redis"])
def site(request: pytest.FixtureRequest, workspace: Path) -> Iterator[TokenSite]:
    """The daemon, with a file or with Redis."""
    folder = workspace / f"revocation-{request.param}"
    with ExitStack() as at_end:
        state = None
        if request.param == "Redis":
            redis = RedisServer(folder / "redis")
            at_end.callback(redis.stop)
            state = f"redis://127.0.0.1:{redis.port}/0"
        write_private(folder / "issuer.pem", mint.key("ES256", "issuer").public_pem())
        write_private(folder / "forum", FORUM + b"\n")
        tables = [
            _ISSUER.format(name=name, folder=folder, domain=DOMAIN, settings=settings)
            for name, settings in _SETTINGS.items()
        ]
        tables.append(_FORUM.format(folder=folder, domain=DOMAIN))
        accept = ("jwt", "compact", "temporary")
        site = TokenSite(folder / "site", state, accept=accept, more="".join(tables))
        site.start()
        yield site
        site.stop()


def newcomer() -> str:
    """Somebody who was never there."""
    return f"member-{next(_numbers)}@{DOMAIN}"


def jwt(issuer: str, jid: str, jti: object = None, **changes: object) -> bytes:
    """A token for a login now."""
    now = int(time.time())
    usual = {"iss": issuer, "sub": jid, "aud": f"xmpp:{DOMAIN}", "iat": now, "exp": now + 200}
    claims = mint.without(usual | {"jti": jti or f"jti-{next(_numbers)}"} | changes)
    return kept(mint.jwt(claims, mint.key("ES256", "issuer"), kid="issuer"))


def by_extauth(site: TokenSite, jid: str, token: bytes) -> bool:
    """A login as ejabberd's."""
    local, _, domain = jid.encode().partition(b"@")
    answer = extauth(site, b"auth", local, domain, token)
    assert answer in (b"\0\1", b"\0\0")
    return answer == b"\0\1"


def by_http(site: TokenSite, jid: str, token: bytes) -> bool:
    """A login as Prosody's."""
    answer = check_password(site, jid, token)
    assert answer in (YES, (200, b"false"))
    return answer == YES


WAYS = (by_extauth, by_http)
Way = Callable[[TokenSite, str, bytes], bool]


def refused(site: TokenSite, jid: str, token: bytes, reason: str) -> None:
    """By whichever way it comes."""
    for way in WAYS:
        assert not way(site, jid, token)
        assert said(site, jid) == ("rejected", reason)


def revoke(site: TokenSite, **what: object) -> Any:
    """POST /tokens/revoke."""
    reply = site.website.post("/tokens/revoke", **what)
    assert reply.status in (200, 204), reply
    return reply


def restart(site: TokenSite, how: str) -> None:
    """SIGTERM or SIGKILL, and a start."""
    site.stop() if how == "stop" else site.kill()
    site.start()


# --- single use -----------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", [ONCE, BOTH])
@pytest.mark.parametrize("first", WAYS)
def test_token_of_single_use_is_accepted_once_by_whichever_way(
    site: TokenSite, issuer: str, first: Way
) -> None:
    """Others of the same issuer are not used up by it."""
    jid = newcomer()
    token, another = jwt(issuer, jid), jwt(issuer, jid)
    assert first(site, jid, token)
    refused(site, jid, token, "token_used")
    assert first(site, jid, another)


def test_without_jti_it_is_not_accepted(site: TokenSite) -> None:
    """It could not be told from another."""
    jid = newcomer()
    refused(site, jid, jwt(ONCE, jid, mint.NOT_THERE), "token_claim_missing")


def test_what_is_wrong_with_a_login_uses_no_token_up(site: TokenSite) -> None:
    """Another user, another domain, a changed signature."""
    jid = newcomer()
    token = jwt(ONCE, jid)
    refused(site, newcomer(), token, "token_user_wrong")
    assert not by_http(site, f"{jid.partition('@')[0]}@{ELSEWHERE}", token)
    flipped = token[:-10] + (b"A" if token[-10:-9] != b"A" else b"B") + token[-9:]
    refused(site, jid, flipped, "token_signature_wrong")
    assert by_extauth(site, jid, token)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_used_stays_used_and_what_was_not_is_good(site: TokenSite, how: str) -> None:
    """After a restart, also after kill -9; temporary tokens as well."""
    jid = newcomer()
    used, unused = jwt(ONCE, jid), jwt(ONCE, jid)
    gone, good = site.issue(jid, ttl=600), site.issue(jid, ttl=600)
    assert by_extauth(site, jid, used)
    assert by_extauth(site, jid, gone.octets)
    restart(site, how)
    refused(site, jid, used, "token_used")
    refused(site, jid, gone.octets, "token_used")
    assert by_http(site, jid, unused)
    assert by_http(site, jid, good.octets)
    refused(site, jid, unused, "token_used")


def test_token_of_another_issuer_may_be_used_again(site: TokenSite) -> None:
    """As ever."""
    jid = newcomer()
    for issuer in (PLAIN, REVOCABLE):
        token = jwt(issuer, jid)
        assert all(way(site, jid, token) for way in WAYS * 2)


# --- revocation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("issuer", [REVOCABLE, BOTH])
def test_token_is_revoked_by_its_jti(site: TokenSite, issuer: str) -> None:
    """And no other."""
    jid = newcomer()
    token, another = jwt(issuer, jid, "jti one/✓"), jwt(issuer, jid)
    revoke(site, issuer=issuer, jti="jti one/✓")
    refused(site, jid, token, "token_revoked")
    assert by_extauth(site, jid, another)


def test_token_is_revoked_by_itself(site: TokenSite) -> None:
    """RFC 7009; it is not active any more (RFC 7662)."""
    jid = newcomer()
    token = jwt(REVOCABLE, jid)
    assert by_http(site, jid, token)
    assert site.website.send_form("/introspect", {"token": token}).said["active"] is True
    assert site.website.send_form("/revoke", {"token": token}).status == 200
    assert site.website.send_form("/introspect", {"token": token}).said == {"active": False}
    refused(site, jid, token, "token_revoked")


def test_all_tokens_of_a_user_are_revoked(site: TokenSite) -> None:
    """Temporary and signed, of whichever revocable issuer; those that are made later are good."""
    jid, other = newcomer(), newcomer()
    signed = [jwt(issuer, jid) for issuer in (REVOCABLE, BOTH)]
    forum = kept(mint.compact(FORUM, jid, int(time.time()) + 200))
    temporary, theirs = site.issue(jid, uses="any", ttl=600), site.issue(other, ttl=600)
    plain, others = jwt(PLAIN, jid), jwt(REVOCABLE, other)
    revoke(site, jid=jid)
    for token in (*signed, forum, temporary.octets):
        refused(site, jid, token, "token_revoked")
    assert by_extauth(site, jid, plain)
    assert by_extauth(site, other, others)
    assert by_http(site, other, theirs.octets)
    assert by_http(site, jid, site.issue(jid).octets)
    later = jwt(REVOCABLE, jid, iat=int(time.time()) + 1)
    wait_until(lambda: by_http(site, jid, later), "its second has come")


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_what_was_revoked_stays_revoked(site: TokenSite, how: str) -> None:
    """After a restart."""
    one, all_of_his = newcomer(), newcomer()
    token, his, other = jwt(REVOCABLE, one), jwt(BOTH, all_of_his), jwt(REVOCABLE, one)
    device = site.issue(one, uses="any", ttl=600)
    assert site.website.send_form("/revoke", {"token": token}).status == 200
    revoke(site, jid=all_of_his)
    site.revoke(device)
    restart(site, how)
    refused(site, one, token, "token_revoked")
    refused(site, all_of_his, his, "token_revoked")
    refused(site, one, device.octets, "token_revoked")
    assert by_extauth(site, one, other)


def test_all_that_an_issuer_signed_before_a_moment_is_revoked(site: TokenSite) -> None:
    """As when its key was stolen and is replaced; what it has signed since is good."""
    now = int(time.time())
    jid = newcomer()
    old, new = jwt(BOTH, jid, iat=now - 60), jwt(BOTH, jid, iat=now - 10)
    others = jwt(REVOCABLE, jid, iat=now - 60)
    undated = jwt(BOTH, jid, iat=mint.NOT_THERE)
    revoke(site, issuer=BOTH, before=now - 30)
    refused(site, jid, old, "token_revoked")
    refused(site, jid, undated, "token_revoked")
    assert by_extauth(site, jid, new)
    assert by_extauth(site, jid, others)
    restart(site, "kill")
    refused(site, jid, old, "token_revoked")


def test_each_revocation_has_its_line(site: TokenSite) -> None:
    """Who, and what; a refused one too."""
    jid = newcomer()
    begin = len(site.log.read_text())
    revoke(site, issuer=REVOCABLE, jti="one two")
    revoke(site, jid=jid)
    assert site.website.post("/tokens/revoke", issuer=PLAIN, jti="x").status == 501
    site.logins()
    text = site.log.read_text()[begin:]
    lines = [line.split(" token id=")[1] for line in text.splitlines() if " token id=" in line]
    assert f"issuer={REVOCABLE} jti=one%20two" in lines[0]
    assert "operation=revoke_user verdict=accepted reason=tokens_withdrawn" in lines[1]
    assert f"caller=website jid={jid} count=0" in lines[1]
    assert "operation=revoke_signed verdict=rejected reason=not_supported" in lines[2]
