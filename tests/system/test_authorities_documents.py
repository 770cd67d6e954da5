"""docs/authorities.md: that its examples are all run, its configurations free of mistakes, and its
recipes for websites answered by real ones: Django and PHP behind nginx, and, as they document it,
Nextcloud and JSXC."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authbridge import config
from authbridge.model import Reason

from . import authorities_sites
from .authorities_double import Double, Reply, Request
from .authorities_examples import (
    DOCUMENT,
    EXAMPLES,
    ORG,
    ROOT,
    Documented,
    blocks,
    example,
    languages,
    running,
)
from .authorities_said import Jsxc, Nextcloud
from .calls import CANNOT_TELL, NO, YES, check_password, explain, probe, said, user_exists
from .canary import secret, watched
from .directory import CAROL
from .pki import Pki
from .slapd import Slapd

USERS = {"alice": secret("wonderland"), "bob": secret("builder")}
JID = f"alice@{ORG}"
WRONG = secret("wrong-password")
CLOUD = "cloud.example.org"


def test_every_example_is_known_here() -> None:
    """So that none is left out of the tests."""
    assert languages() == {"", *EXAMPLES}
    for language, marks in EXAMPLES.items():
        assert {example(language, mark) for mark in marks} == set(blocks(language))
        assert len(blocks(language)) == len(marks)


def test_documented_configurations_have_no_mistake(workspace: Path, directory_pki: Pki) -> None:
    for number, text in enumerate(blocks("toml")):
        daemon = Documented(workspace / f"checked-{number}", text, {}, directory_pki.ca)
        config.load(daemon.configuration)


def test_document_has_every_reason_of_these_kinds() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text[text.index("## Reference: reasons") :]
    begins = ("website_", "provider_", "database_", "hash_", "password_unusable", "not_canonical")
    ours = [reason.value for reason in Reason if reason.value.startswith(begins)]
    assert len(ours) > 8
    assert [reason for reason in ours if f"`{reason}`" not in table] == []
    known = {reason.value for reason in Reason}
    rows = re.findall(r"(?m)^\| (`.*?) \| (?:`|all)", table)
    assert {code for row in rows for code in re.findall(r"`(\w+)`", row)} <= known


def test_document_lists_all_settings_of_these_kinds() -> None:
    """The same as conf/authbridge.toml, or what stands in its sentences."""
    text = DOCUMENT.read_text(encoding="utf-8")
    manual = (ROOT / "conf" / "authbridge.toml").read_text(encoding="utf-8")
    in_sentences = {"insecure_clear_text", "insecure_any_client", "insecure_plain_passwords"}
    for kind in ("http", "oauth", "sql"):
        _, _, table = text.partition(f'| `kind = "{kind}"` | default | |\n')
        rows = re.findall(r"(?m)^\| (`.*?) \|", table.partition("\n\n")[0])
        listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        tables = re.findall(rf'(?ms)^#kind = "{kind}"\n(.*?)(?=^#\[|^\[)', manual)
        told = {name for one in tables for name in re.findall(r"(?m)^#(\w+) = ", one)}
        assert listed - in_sentences - {"userinfo_url"} == told - {"kind"}


def test_what_it_is_documented_to_say_is_what_it_says() -> None:
    """Each of the phrases that an administrator looks up is one of ours."""
    text = DOCUMENT.read_text(encoding="utf-8")
    _, _, table = text[text.index("## When it does not answer") :].partition("|---|---|\n")
    phrases = [
        phrase
        for row in re.findall(
            r"(?m)^\| (`.*?) \| (?!as of a directory)", table.partition("\n\n")[0]
        )
        for phrase in re.findall(r"`([^`]+)`", row)
    ]
    assert len(phrases) > 12
    code = "".join(path.read_text() for path in sorted((ROOT / "authbridge").rglob("*.py")))
    code = re.sub(r'"\s*\n\s*f?"', "", code).replace("`", "")
    code = code.replace("{seconds:g}", "4").replace("{USERNAME}", "username")
    for phrase in phrases:
        for part in re.split(
            r" X$| X\b|answers 401: |: permission.*|: invalid_client|introspection_\w+", phrase
        ):
            assert part in code, phrase


@pytest.fixture
def double(directory_pki: Pki) -> Iterator[Double]:
    """A website that does as it is told."""
    running = Double(directory_pki)
    yield running
    running.stop()


def test_documented_django_site_is_asked(workspace: Path, directory_pki: Pki) -> None:
    """With the secret that the documented commands put into both places; what `explain` says."""
    folder = workspace / "documented-django"
    text = example("toml", "[checkers.website]")
    own = watched(secret("check"))
    srv = folder / "srv"
    daemon = Documented(folder, text, {"/srv/www": str(srv)}, directory_pki.ca)
    srv.mkdir()
    (made,) = (text for text in blocks("sh") if "check-secret" in text)
    done = daemon.sh(re.sub(r" -g [\w-]+", "", made))
    assert (done.returncode, done.stderr) == (0, "")
    own = watched((srv / "check-secret").read_bytes().strip())
    assert len(own) == 64
    assert (daemon.folder / "website-secret").read_bytes().strip() == own
    assert not (folder / "check-secret").exists()
    assert (srv / "check-secret").stat().st_mode & 0o777 == 0o640
    site = authorities_sites.django(
        workspace / "documented-django-site", directory_pki, USERS, srv / "check-secret"
    )
    daemon.at("https://www.example.org", site.url)
    try:
        with running(daemon):
            assert probe(daemon).returncode == 0
            assert check_password(daemon, JID, USERS["alice"]) == YES
            assert check_password(daemon, JID, WRONG) == NO
            assert said(daemon, JID) == ("rejected", "password_mismatch")
            assert user_exists(daemon, f"bob@{ORG}") == YES
            assert user_exists(daemon, f"nobody@{ORG}") == NO
            told = explain(daemon, JID, USERS["alice"])
            assert told.returncode == 0
            shown = example("text", "Login: accepted").replace("https://www.example.org", site.url)
            begin = re.sub("(?m)^(  id +).*", r"\g<1>898d-6", told.stdout)[: len(shown)]
            assert begin == shown
            (srv / "check-secret").write_text("another\n")
            assert check_password(daemon, JID, USERS["alice"])[0] == CANNOT_TELL
            assert said(daemon, JID) == ("unavailable", "website_failed")
    finally:
        site.stop()


def test_documented_page_in_php_answers(workspace: Path, directory_pki: Pki) -> None:
    """With the name of the account that it has found, which has to be the one asked for."""
    folder = workspace / "documented-php"
    text = example("toml", "[checkers.forum]")
    daemon = Documented(folder, text, {}, directory_pki.ca)
    there = {"/etc/www/authbridge-secret": str(folder / "website-secret")}
    accounts = {**USERS, "Carol": USERS["bob"], "o'brien": secret("o'brien")}
    site = authorities_sites.php(workspace / "documented-php-site", directory_pki, accounts, there)
    daemon.at("https://forum.example.org", site.url)
    try:
        with running(daemon):
            assert probe(daemon).returncode == 0
            for name, password in USERS.items():
                assert check_password(daemon, f"{name}@{ORG}", password) == YES
            assert check_password(daemon, JID, USERS["bob"]) == NO
            assert check_password(daemon, f"nobody@{ORG}", WRONG) == NO
            assert check_password(daemon, rf"o\27brien@{ORG}", accounts["o'brien"]) == YES
            carol = f"carol@{ORG}"
            assert check_password(daemon, carol, accounts["Carol"]) == NO
            assert said(daemon, carol) == ("rejected", "not_canonical")
            for jid in (JID, rf"o\27brien@{ORG}"):
                assert user_exists(daemon, jid) == YES
            for jid in (f"nobody@{ORG}", carol):
                assert user_exists(daemon, jid) == NO
            (folder / "website-secret").write_text("another\n")
            assert check_password(daemon, JID, USERS["alice"])[0] == CANNOT_TELL
    finally:
        site.stop()
    assert "PHP" not in (site.folder / "site.log").read_text().partition("started")[2]


def test_documented_tokens_of_a_site_are_shown_to_it_alone(
    workspace: Path, double: Double, directory_pki: Pki, slapd: Slapd
) -> None:
    folder = workspace / "documented-site-tokens"
    there = {
        "https://forum.example.org": double.url,
        "ldaps://ldap.example.org": slapd.tls_url,
        "/etc/authbridge/bind-password": str(slapd.service_password_file),
    }
    text = example("toml", "[checkers.forum-tokens]")
    daemon = Documented(folder, text, there, directory_pki.ca)
    good, used = (watched(b"fat_" + secret("x").ljust(40, mark)[:40]) for mark in (b"a", b"b"))
    states = {good.decode(): "good", used.decode(): "used"}

    def answers(request: Request) -> Reply:
        asked = json.loads(request.body)
        assert request.headers["authorization"].startswith("Bearer website-secret")
        own = asked["username"] == "carol"
        return Reply.json({"state": states.get(asked["password"], "unknown") if own else "unknown"})

    double.add("/check-token.php", answers)
    carol = f"carol@{ORG}"
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, carol, good) == YES
        assert check_password(daemon, carol, used) == NO
        assert said(daemon, carol) == ("rejected", "token_inactive")
        asked = len(double.requests)
        assert check_password(daemon, carol, CAROL.password) == YES
        assert check_password(daemon, f"admin@{ORG}", good) == NO
        assert said(daemon, f"admin@{ORG}") == ("rejected", "token_never")
        assert len(double.requests) == asked


def test_documented_nextcloud_is_asked_by_ocs(
    workspace: Path, double: Double, directory_pki: Pki
) -> None:
    """An app password lets in as well; a mail address finds the account, and logs nobody in."""
    text = example("toml", "[checkers.cloud]")
    there = {"https://cloud.example.org": double.url}
    daemon = Documented(workspace / "documented-nextcloud", text, there, directory_pki.ca)
    Nextcloud(double, {**USERS, "Carol": USERS["bob"]}, "mail.example")
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, f"alice@{CLOUD}", USERS["alice"]) == YES
        assert check_password(daemon, f"alice@{CLOUD}", WRONG) == NO
        by_mail = rf"alice\40mail.example@{CLOUD}"
        assert check_password(daemon, by_mail, USERS["alice"]) == NO
        assert check_password(daemon, f"carol@{CLOUD}", USERS["bob"]) == YES
        accents = f"älice@{CLOUD}"
        assert check_password(daemon, accents, USERS["alice"]) == NO
        assert said(daemon, accents) == ("rejected", "not_canonical")
        double.add(Nextcloud.PATH, lambda _: Reply.json({"message": "Reached maximum delay"}, 429))
        assert check_password(daemon, f"alice@{CLOUD}", USERS["alice"])[0] == CANNOT_TELL
        assert said(daemon, f"alice@{CLOUD}") == ("unavailable", "website_failed")


def test_documented_jsxc_is_asked_with_its_signature(
    workspace: Path, double: Double, directory_pki: Pki
) -> None:
    text = example("toml", "[checkers.jsxc]")
    there = {"https://cloud.example.org": double.url}
    own = secret("jsxc")
    folder = workspace / "documented-jsxc"
    daemon = Documented(folder, text, there, directory_pki.ca, jsxc_secret=own)
    jsxc = Jsxc(double, own, USERS)
    with running(daemon):
        assert probe(daemon).returncode == 0
        assert check_password(daemon, f"alice@{CLOUD}", USERS["alice"]) == YES
        assert check_password(daemon, f"alice@{CLOUD}", WRONG) == NO
        assert user_exists(daemon, f"bob@{CLOUD}") == YES
        assert user_exists(daemon, f"nobody@{CLOUD}") == NO
        jsxc.secret = b"another"
        assert check_password(daemon, f"alice@{CLOUD}", USERS["alice"])[0] == CANNOT_TELL
