"""docs/authorities.md: its providers of OAuth, and several checkers in one domain. The provider of
"any provider" is npm's oidc-provider; Keycloak and authentik answer as they document it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import oidc_provider
from .authorities_double import Double
from .authorities_examples import ORG, Documented, example, running
from .authorities_said import Authentik, Keycloak
from .authorities_tables import django
from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret, watched
from .daemon import write_private
from .directory import ALICE as IN_DIRECTORY
from .directory import CAROL
from .oidc_provider import BASIC, CHAT, STRANGE, OidcProvider
from .pki import Pki
from .slapd import Slapd

USERS = {"alice": secret("wonderland"), "admin": secret("administrator"), "Alice": secret("other")}
JID = f"alice@{ORG}"
WRONG = secret("wrong-password")


@pytest.fixture(scope="module")
def provider(workspace: Path, directory_pki: Pki) -> Iterator[OidcProvider]:
    """That of login.example.com."""
    server = OidcProvider(workspace / "documented-provider", directory_pki, USERS)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def double(directory_pki: Pki) -> Iterator[Double]:
    """All others."""
    running = Double(directory_pki)
    yield running
    running.stop()


def ours(slapd: Slapd, provider: OidcProvider) -> dict[str, str]:
    """What stands in the place of the servers of the examples."""
    return {
        "ldaps://ldap.example.org": slapd.tls_url,
        "https://login.example.com": provider.issuer,
        "/etc/authbridge/bind-password": str(slapd.service_password_file),
    }


def reason(daemon: Documented, jid: str, password: bytes) -> str:
    """Of a login that is not accepted."""
    assert check_password(daemon, jid, password) == NO
    verdict, found = said(daemon, jid)
    assert verdict == "rejected"
    return found


def test_documented_introspection_stands_before_a_directory(
    workspace: Path, provider: OidcProvider, slapd: Slapd
) -> None:
    """Tokens reach the provider, passwords the directory; the calls that are shown are answered."""
    text = example("toml", "token_length = 43")
    folder = workspace / "documented-introspection"
    there = ours(slapd, provider)
    daemon = Documented(
        folder, text, there, provider.pki.ca, provider_secret=provider.secrets[BASIC]
    )
    good = provider.issue("alice", oidc_provider.OPAQUE).access
    strange = provider.issue("alice", oidc_provider.OPAQUE_ELSEWHERE, client=STRANGE).access
    with running(daemon):
        assert check_password(daemon, JID, good) == YES
        assert check_password(daemon, JID, IN_DIRECTORY.password) == YES
        assert reason(daemon, JID, WRONG) == "password_mismatch"
        assert reason(daemon, JID, strange) == "token_audience_wrong"
        assert reason(daemon, JID, b"x" * 43) == "token_inactive"
        foreign = provider.issue("alice", oidc_provider.FOREIGN).access
        for nobodys in (foreign, b"abtt1_" + b"A" * 43):
            assert reason(daemon, JID, nobodys) == "no_checker"
        assert reason(daemon, f"bob@{ORG}", good) == "token_user_wrong"
        assert user_exists(daemon, JID) == YES
        assert user_exists(daemon, f"nobody@{ORG}") == NO
        done = probe(daemon)
        assert done.returncode == 0, done.stdout + done.stderr
    write_private(folder / "token.txt", watched(good))
    curl = f'user = "{BASIC}:{provider.secrets[BASIC].decode()}"\n'
    write_private(folder / "provider.curl", curl.encode())
    discovery, asked = example("sh", "well-known").splitlines()
    found = json.loads(daemon.sh(discovery).stdout)
    assert found["issuer"] == provider.issuer
    answered = daemon.sh(asked)
    (shown,) = (text for text in (example("json", '"active"'),))
    assert json.loads(answered.stdout).keys() >= json.loads(shown).keys()
    told = json.loads(shown) | {"iss": provider.issuer}
    moments = ("iat", "exp")
    assert told.items() - {(name, told[name]) for name in moments} <= (
        json.loads(answered.stdout).items()
    )


def test_documented_keycloak_takes_what_its_realm_signs(
    workspace: Path, double: Double, directory_pki: Pki
) -> None:
    """And no ID token, no token of another scope or audience, nobody else's."""
    keycloak = Keycloak(double, "staff", USERS)
    text = example("toml", "[checkers.realm]")
    there = {"https://sso.example.org": double.url}
    daemon = Documented(workspace / "documented-keycloak", text, there, directory_pki.ca)
    with running(daemon):
        assert probe(daemon).returncode == 0
        good = keycloak.access_token("alice")
        explain(daemon, JID, good)  # waits for the realm's keys
        assert check_password(daemon, JID, good) == YES
        assert reason(daemon, JID, keycloak.id_token("alice")) == "token_type_wrong"
        assert reason(daemon, JID, keycloak.access_token("alice", typ="Refresh")) == (
            "token_type_wrong"
        )
        unmapped = keycloak.access_token("alice", aud="account")
        assert reason(daemon, JID, unmapped) == "token_audience_wrong"
        unscoped = keycloak.access_token("alice", scope="profile")
        assert reason(daemon, JID, unscoped) == "token_scope_missing"
        assert reason(daemon, JID, keycloak.access_token("Alice")) == "token_user_wrong"
        double.stop()  # a login asks nobody
        assert check_password(daemon, JID, keycloak.access_token("alice")) == YES


def test_documented_password_grant_sends_passwords(
    workspace: Path, double: Double, directory_pki: Pki
) -> None:
    """Where the token is one for the chat."""
    keycloak = Keycloak(double, "staff", USERS)
    text = example("toml", "password_grant = true")
    there = {"https://sso.example.org": double.url}
    client = secret("client")
    folder = workspace / "documented-grant"
    daemon = Documented(folder, text, there, directory_pki.ca, provider_secret=client)
    keycloak.client = (BASIC, client.decode())
    with running(daemon):
        assert probe(daemon).returncode == 0
        explain(daemon, JID, USERS["alice"])  # waits for the realm's keys
        assert check_password(daemon, JID, USERS["alice"]) == YES
        assert reason(daemon, JID, WRONG) == "password_mismatch"
        assert check_password(daemon, JID, keycloak.access_token("alice")) == YES
        keycloak.client = (BASIC, "another")
        assert check_password(daemon, JID, USERS["alice"])[0] == CANNOT_TELL
        assert said(daemon, JID) == ("unavailable", "provider_refused")


def test_documented_authentik_is_asked_about_each(
    workspace: Path, double: Double, directory_pki: Pki
) -> None:
    """With the client's id as the audience. That our secret is wrong shows nowhere."""
    text = example("toml", "[checkers.sso]")
    (client,) = set(re.findall(r'(?m)^(?:client_id|audience) = "(.*)"', text))
    own = secret("client")
    authentik = Authentik(double, "chat", client, own.decode())
    there = {"https://auth.example.org": double.url}
    folder = workspace / "documented-authentik"
    daemon = Documented(folder, text, there, directory_pki.ca, provider_secret=own)
    with running(daemon):
        assert probe(daemon).returncode == 0
        good = authentik.access_token("alice")
        assert check_password(daemon, JID, good) == YES
        narrow = authentik.access_token("alice", "openid")
        assert reason(daemon, JID, narrow) == "token_scope_missing"
        revoked = authentik.access_token("alice")
        authentik.revoke(revoked)
        assert reason(daemon, JID, revoked) == "token_inactive"
        authentik.change_secret()
        assert reason(daemon, JID, authentik.access_token("alice")) == "token_inactive"
        assert probe(daemon).returncode == 0


def test_documented_userinfo_takes_anybodys_token_of_the_user(
    workspace: Path, provider: OidcProvider
) -> None:
    """As the document warns."""
    text = example("toml", "[checkers.social]")
    there = {"https://social.example.com": provider.issuer}
    daemon = Documented(workspace / "documented-userinfo", text, there, provider.pki.ca)
    with running(daemon):
        assert probe(daemon).returncode == 0
        for client in (CHAT, STRANGE):
            token = provider.issue("alice", scope="openid profile", client=client).access
            assert check_password(daemon, JID, token) == YES
        assert reason(daemon, JID, WRONG) == "token_inactive"


def test_documented_chain_asks_whom_it_says(
    workspace: Path, provider: OidcProvider, slapd: Slapd
) -> None:
    """Tokens by who recognises them, passwords by the database and then the directory."""
    folder = workspace / "documented-chain"
    in_table = secret("at the site")
    path = folder / "db.sqlite3"
    folder.mkdir()
    users = {
        "alice": (in_table, "pbkdf2_sha256", True),
        "admin": (in_table, "pbkdf2_sha256", True),
    }
    django({"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}, users)
    there = {**ours(slapd, provider), "/srv/www/db.sqlite3": str(path)}
    daemon = Documented(folder, example("toml", "[checkers.tokens]"), there, provider.pki.ca)
    good = provider.issue("alice", oidc_provider.JWT).access
    foreign = provider.issue("alice", oidc_provider.FOREIGN).access
    with running(daemon):
        explain(daemon, JID, good)  # waits for the provider's keys
        assert check_password(daemon, JID, good) == YES
        assert check_password(daemon, JID, in_table) == YES
        assert check_password(daemon, f"carol@{ORG}", CAROL.password) == YES
        assert reason(daemon, JID, foreign) == "token_not_accepted"
        assert reason(daemon, JID, b"abtt1_" + b"A" * 43) == "token_unknown"
        assert reason(daemon, JID, WRONG) == "password_mismatch"
        assert reason(daemon, f"nobody@{ORG}", WRONG) == "user_unknown"
        admin = provider.issue("admin", oidc_provider.JWT).access
        assert reason(daemon, f"admin@{ORG}", admin) == "token_never"
        assert check_password(daemon, f"admin@{ORG}", in_table) == YES
        for jid in (JID, f"carol@{ORG}"):
            assert user_exists(daemon, jid) == YES
        assert user_exists(daemon, f"nobody@{ORG}") == NO
        told = explain(daemon, f"carol@{ORG}", CAROL.password).stdout.partition("\nUser:")[0]
        asked = ["tokens", "login", "site", "corp"]
        assert re.findall(r"(?m)^  checker (\w+) ", told) == asked
        path.rename(path.with_suffix(".away"))
        assert check_password(daemon, f"carol@{ORG}", CAROL.password) == YES
        assert check_password(daemon, f"carol@{ORG}", WRONG)[0] == CANNOT_TELL
