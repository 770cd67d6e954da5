"""Websites that answer what they should not: nobody is let in by it, and no password is wrong for
it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .calls import CANNOT_TELL, NO, YES, check_password, explain, said, user_exists
from .canary import secret, watched
from .daemon import Daemon
from .website_double import JSON, Answer, WebsiteDouble
from .website_world import ANY, CLOUD_USERS, FORUM, LOCAL, OPEN, PAGE, WebsiteWorld, running

ALICE = f"alice@{ANY}"
PASSWORD = secret("wonderland-any")
GOOD = {"accepted": True, "user": "alice"}
UNFIT = ("unavailable", "website_failed")
UNREACHED = ("unavailable", "website_unreachable")
EVIL = "\x1b[31m\r\nlogin id=forged"


@pytest.fixture(scope="module")
def world(workspace: Path) -> Iterator[WebsiteWorld]:
    with running(workspace / "website-answers") as found:
        yield found


@pytest.fixture
def daemon(world: WebsiteWorld) -> Daemon:
    return world.daemon


@pytest.fixture
def double(world: WebsiteWorld) -> WebsiteDouble:
    world.double.heard.clear()
    return world.double


def says(members: object, status: int = 200, **more: str) -> Answer:
    return Answer(status, body=json.dumps(members).encode(), **more)


def test_yes_and_no_are_those_of_the_settings(daemon: Daemon, double: WebsiteDouble) -> None:
    for answer, expected in (
        (says(GOOD), YES),
        (says({"accepted": False}), NO),
        (Answer(401, "text/html", b"<p>No."), NO),
    ):
        double.answer = answer
        assert check_password(daemon, ALICE, PASSWORD) == expected
    ((heard),) = double.heard[:1]
    assert heard.line == "POST /any HTTP/1.1"
    assert json.loads(heard.body) == {"username": "alice", "password": PASSWORD.decode()}
    double.answer = says({"exists": True})
    assert user_exists(daemon, ALICE) == YES


def test_answer_of_another_shape_is_neither_yes_nor_no(
    daemon: Daemon, double: WebsiteDouble
) -> None:
    good = json.dumps(GOOD).encode()
    compressed = (("Content-Encoding", "gzip"),)
    for answer, expected in (
        (Answer(200, "text/html", b"<form action=login>"), UNFIT),
        (Answer(200, "text/html", good), UNFIT),
        (Answer(200, JSON, b""), UNFIT),
        (Answer(200, JSON, good[:-1]), UNFIT),
        (Answer(200, JSON, good + b"\n<!-- 12 ms -->"), UNFIT),
        (Answer(200, JSON, b"\xef\xbb\xbf" + good), UNFIT),
        (Answer(200, JSON, b'{"accepted": false, "accepted": true, "user": "alice"}'), UNFIT),
        (says([GOOD]), UNFIT),
        (says({**GOOD, "accepted": 1}), UNFIT),
        (says({**GOOD, "accepted": "true"}), UNFIT),
        (says({**GOOD, "accepted": None}), UNFIT),
        (says({"user": "alice"}), UNFIT),
        (says({"accepted": True}), UNFIT),
        (says({**GOOD, "user": ["alice"]}), UNFIT),
        (says(GOOD, 201), UNFIT),
        (says(GOOD, 206), UNFIT),
        (says(GOOD, 400), UNFIT),
        (says(GOOD, 403), UNFIT),
        (says(GOOD, 404), UNFIT),
        (says(GOOD, 429), UNFIT),
        (says(GOOD, 500), UNFIT),
        (says(GOOD, 503), UNFIT),
        (says({**GOOD, "more": "x" * (1 << 20)}), UNREACHED),
        (Answer(200, JSON, gzip.compress(good), compressed), UNREACHED),
        (Answer(200, JSON, good, (("Content-Length", "7"),)), UNREACHED),
    ):
        double.answer = answer
        assert check_password(daemon, ALICE, PASSWORD)[0] == CANNOT_TELL, answer
        assert said(daemon, ALICE) == expected, answer
    # Nothing of it is left behind.
    double.answer = says(GOOD)
    assert check_password(daemon, ALICE, PASSWORD) == YES


def test_redirect_to_a_login_page_is_not_followed(daemon: Daemon, double: WebsiteDouble) -> None:
    for status in (301, 302, 303, 307, 308):
        for place in ("/login", double.url("/login"), "https://elsewhere.example/login"):
            double.answer = Answer(status, "text/html", b"", (("Location", place),))
            assert check_password(daemon, ALICE, PASSWORD)[0] == CANNOT_TELL
            assert said(daemon, ALICE) == UNFIT
    assert {heard.line for heard in double.heard} == {"POST /any HTTP/1.1"}
    explained = explain(daemon, ALICE, PASSWORD)
    assert explained.returncode == 3
    assert "answers 308: it points elsewhere, to a login page perhaps" in explained.stdout


def test_who_is_let_in_is_who_was_asked_about(daemon: Daemon, double: WebsiteDouble) -> None:
    """Not whom a database takes for the same, or who has the mail address."""
    for name in ("älice", "alice ", "bob", "alice@any.example", "", "alice\u200b\u0301"):
        double.answer = says({**GOOD, "user": name})
        assert check_password(daemon, ALICE, PASSWORD) == NO
        assert said(daemon, ALICE) == ("rejected", "not_canonical")
    assert "the website has let in" in explain(daemon, ALICE, PASSWORD).stdout


def test_nothing_that_a_website_answers_moves_a_terminal_or_makes_a_line_of_the_log(
    daemon: Daemon, double: WebsiteDouble
) -> None:
    for answer in (
        says({"accepted": EVIL, "user": EVIL}),
        says({"accepted": True, "user": EVIL}),
        Answer(200, "text/\x1b[31mhtml", EVIL.encode()),
        Answer(599, JSON, EVIL.encode()),
    ):
        double.answer = answer
        explained = explain(daemon, ALICE, PASSWORD)
        assert "\x1b" not in explained.stdout + explained.stderr
        assert check_password(daemon, ALICE, PASSWORD) != YES
    log = daemon.log.read_text()
    assert "\x1b" not in log
    assert "forged" not in log


def test_page_behind_a_password_asks_for_it(daemon: Daemon, double: WebsiteDouble) -> None:
    """With a check every ten minutes that it does."""
    for user in ("alice", "bob"):
        assert check_password(daemon, f"{user}@{PAGE}", CLOUD_USERS[user]) == YES
    assert len(double.heard) == 3
    assert check_password(daemon, f"alice@{PAGE}", CLOUD_USERS["bob"]) == NO
    assert check_password(daemon, f"nobody@{PAGE}", CLOUD_USERS["bob"]) == NO


def test_page_that_greets_everybody_lets_in_nobody(daemon: Daemon, double: WebsiteDouble) -> None:
    assert check_password(daemon, f"alice@{OPEN}", PASSWORD)[0] == CANNOT_TELL
    assert said(daemon, f"alice@{OPEN}") == UNFIT
    assert "says yes to a made-up user with a made-up password" in daemon.log.read_text()


def test_token_of_the_website_is_shown_to_it_alone_and_a_password_is_not(
    daemon: Daemon, double: WebsiteDouble
) -> None:
    alice, admin = f"alice@{FORUM}", f"admin@{FORUM}"
    token = watched(b"fat_" + secret("token").hex().encode().ljust(40, b"0")[:40])
    double.answer = says({"accepted": True})
    assert check_password(daemon, alice, token) == YES
    assert said(daemon, alice) == ("accepted", "token_valid")
    double.answer = says({"accepted": False})
    assert check_password(daemon, alice, token) == NO
    assert said(daemon, alice) == ("rejected", "token_inactive")
    assert len(double.heard) == 2
    double.answer = says({"accepted": True})
    assert check_password(daemon, admin, token) == NO
    assert said(daemon, admin) == ("rejected", "token_never")
    # The file's users, and what is no token of the site's.
    assert check_password(daemon, alice, LOCAL) == YES
    assert check_password(daemon, alice, token[:-1]) == NO
    assert len(double.heard) == 2


def test_website_that_is_away_is_an_outage_until_it_is_back(
    daemon: Daemon, double: WebsiteDouble
) -> None:
    double.answer = says(GOOD)
    double.stop()
    try:
        assert check_password(daemon, ALICE, PASSWORD)[0] == CANNOT_TELL
        assert said(daemon, ALICE) == UNREACHED
        assert "connection refused" in explain(daemon, ALICE, PASSWORD).stdout
    finally:
        double.start()
    assert check_password(daemon, ALICE, PASSWORD) == YES
