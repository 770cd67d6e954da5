"""Tokens of a website, tokens of an OpenID provider, a database and a directory, one behind another
on one domain; and who has an account where."""

import sqlite3
from pathlib import Path
from typing import Self

from authbridge.cli.explain import ask_there
from authbridge.model import Reason
from authbridge.secret import Secret

from . import directory, oidc_provider, signers
from .calls import CANNOT_TELL, NO, YES, check_password
from .canary import secret
from .daemon import Daemon, hash_password, write_private
from .directory import ALICE, BOB, CAROL
from .oauth_domains import PATIENT, checker, domain, settings
from .oidc_provider import BASIC, OidcProvider
from .pki import make_pki
from .slapd import Slapd
from .waiting import wait_until

#: Tokens of the provider alone, before the database; and its passwords, after all others.
DOMAIN, PASSWORDS = "authorities.example", "passwords.authorities.example"
CHAIN = ("site", "provider", "accounts", "corp")
LONGER = ("site", "accounts", "corp", "grants")

#: In the database alone; in the database with another password than in the directory; there, but
#: switched off; at the provider alone.
AMY, BOTH, OFF, DORA = "amy", BOB.local, "off", "dora"
IN_DATABASE = {AMY: secret("amy"), BOTH: secret("database's"), OFF: secret("off")}
AT_PROVIDER = {ALICE.local: secret("provider's"), AMY: secret("amy's"), DORA: secret("dora")}

Step = tuple[str, str, str]
"""A checker, its verdict and its reason."""
Walk = tuple[str, bytes, list[Step], Step]
"""A user, a password, who is asked, and what comes of it."""
YES_, NO_, UNKNOWN, AWAY = "accepted", "rejected", "unknown_user", "unavailable"


def issuers(folder: Path, keys_url: str) -> str:
    """A website whose key is in a file, and one whose keys nobody can fetch."""
    write_private(folder / "site" / "ES256.pem", signers.key("ES256").public_pem())
    return (
        f'\n[issuers."{signers.WEBSITE}"]\nkeys = ["{folder}/site"]\n'
        f'algorithms = ["ES256"]\ndomains = ["*"]\n'
        f'\n[issuers."{signers.ABROAD}"]\njwks_url = "{keys_url}"\n'
        f'algorithms = ["ES256"]\ndomains = ["*"]\n'
    )


class Database:
    """A file of SQLite, which can be away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE people (name TEXT, hash TEXT, enabled INTEGER)")
            database.executemany(
                "INSERT INTO people VALUES (?, ?, ?)",
                [(name, hash_password(word), name != OFF) for name, word in IN_DATABASE.items()],
            )
        database.close()

    def hide(self) -> None:
        """It is there no more."""
        self.path.rename(self.path.with_suffix(".hidden"))

    def restore(self) -> None:
        """It is there again."""
        if not self.path.exists():
            self.path.with_suffix(".hidden").rename(self.path)


class World:
    """All of it. A test may end each of them; `restore` brings all back."""

    def __init__(self, folder: Path) -> None:
        pki = make_pki(folder / "tls", ["localhost"], ["127.0.0.1"])
        self.slapd = Slapd(folder / "slapd", pki)
        self.provider = OidcProvider(folder / "provider", pki, AT_PROVIDER)
        self.database = Database(folder / "people.sqlite3")
        accounts: dict[str, object] = {
            "kind": "sql",
            "url": f"sqlite:///{self.database.path}",
            "query": "SELECT name AS username, hash AS password, enabled FROM people "
            "WHERE name = :user",
            "hashes": ["argon2"],
        }
        corp: dict[str, object] = {
            "kind": "ldap",
            "preset": "openldap",
            "servers": [self.slapd.tls_url],
            "base": directory.PEOPLE,
            "bind_dn": directory.SERVICE,
            "bind_password_file": self.slapd.service_password_file,
            "ca_file": pki.ca,
            "timeout": "2s",
        }
        grants = settings(
            self.provider, "introspection", audience=None, clients=[BASIC], password_grant=True
        )
        tables: dict[str, dict[str, object]] = {
            "site": {"kind": "token", "accept": ["jwt"]},
            "provider": settings(self.provider, "introspection"),
            "accounts": accounts,
            "corp": corp,
            "grants": grants,
        }
        exists = ["accounts", "corp"]
        unfetched = f"{self.provider.issuer}/nothing"
        others = {
            DOMAIN: domain(DOMAIN, CHAIN, exists)
            + "".join(checker(name, **table) for name, table in tables.items())
            + issuers(folder, unfetched),
            PASSWORDS: domain(PASSWORDS, LONGER, exists) + PATIENT,
        }
        self.daemon = Daemon(folder / "daemon", (), others=others)

    def restore(self) -> None:
        """All up and running, and in use."""
        self.database.restore()
        self.provider.restore()
        if self.slapd.restore():
            self.await_directory()

    def await_directory(self) -> None:
        """Until it is in use."""
        jid = f"{CAROL.local}@{DOMAIN}"
        wait_until(
            lambda: check_password(self.daemon, jid, CAROL.password) == YES,
            "the directory is asked again",
        )

    def __enter__(self) -> Self:
        self.slapd.start()
        self.provider.start()
        self.daemon.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self.daemon, self.provider, self.slapd):
            server.restore()
            server.stop()

    def token(self, user: str) -> bytes:
        """An access token of the provider."""
        return self.provider.issue(user, oidc_provider.OPAQUE).access

    def walk(self, jid: str, password: bytes) -> tuple[list[Step], Step]:
        """Who was asked, and what each said, by `explain`; and, of a login at the same time, what
        the log says became of it, which `explain` and the answer agree with."""
        control = str(self.daemon.folder / "run" / "control.sock")
        told = ask_there(control, jid, Secret(password))["login"]
        words = {reason.words: reason.value for reason in Reason}
        walked = []
        for name, found in told["steps"]:
            if name.startswith("checker "):
                verdict, _, why = found.partition(": ")
                walked.append((name.removeprefix("checker "), verdict, words[why]))
        verdict, reason = told["verdict"], told["reason"]
        status, body = check_password(self.daemon, jid, password)
        assert (status, body) == {YES_: YES, NO_: NO}.get(verdict, (CANNOT_TELL, body))
        line = self.daemon.logins(jid)[-1]
        assert (line["verdict"], line["reason"]) == (verdict, reason)
        return walked, (line["checker"], verdict, reason)
