"""`authbridge token` of temporary tokens: the running daemon is asked, and says what it did."""

from __future__ import annotations

import getpass
import json
import shutil

import pytest

from authbridge.cli import temporary
from authbridge.cli.ask_daemon import CONTROL_SOCKET, NoDaemon
from authbridge.cli.shared import escaped
from authbridge.stores.operations import MOST_LIVE
from tests.cli.folders import configuration, run, short_folder, write
from tests.controls import ALICE, NOW, WANTED, Controls, jwt
from tests.issuers.folders import NAME
from tests.test_daemon import RUN, Daemon

ID = "0123456789abcdef" * 2
TOKEN = "abtt1_" + "A" * 43
REFUSED_FORMS = f"what is to be revoked is one of {temporary.FORMS}\n"


class Asked:
    """What the daemon was asked, and says: what its office does, or what it is told to."""

    def __init__(self, controls) -> None:
        self.controls = controls
        self.answer = None
        self.asked = []

    def __call__(self, path, question, instead):
        self.asked.append((path, question))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or self.controls.say(json.dumps(question).encode())


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    asked = Asked(Controls(tmp_path))
    monkeypatch.setattr(temporary, "ask_daemon", asked)
    return asked


@pytest.fixture
def issue(daemon, here):
    return lambda *arguments: here("token", "issue", ALICE, "--temporary", *arguments)


@pytest.fixture
def revoke(daemon, here):
    return lambda *arguments, **more: here("token", "revoke", *arguments, **more)


def test_a_token_is_printed_alone(daemon, issue):
    status, printed, error = issue()
    assert (status, error) == (0, "")
    assert printed == "abtt1_" + "A" * 42 + "E\n"
    assert daemon.asked == [(CONTROL_SOCKET, {"command": "token-issue", **WANTED})]


def test_a_token_is_asked_for_as_it_is_wanted(daemon, here):
    status, printed, _ = here(
        "token", "issue", "Alice@Example.ORG", "--temporary", "--ttl", "2m", "--uses", "any",
        "--device", "my phone", "--note", "by mail", "--control", "/tmp/x", "--json",
    )  # fmt: skip
    told = json.loads(printed)
    assert status == 0
    assert told == {
        "jid": ALICE,
        "password": told["password"],
        "expires_at": NOW + 120,
        "id": told["id"],
        "uses": "any",
    }
    ((path, question),) = daemon.asked
    assert path == "/tmp/x"
    assert (question["device"], question["note"]) == ("my phone", "by mail")


def test_a_number_of_uses_is_asked_for_as_a_number(daemon, issue):
    assert issue("--uses", "1000000")[0] == 0
    assert daemon.asked[0][1]["uses"] == 1_000_000


UNUSABLE = [
    ("--temporary --issuer a --key b --kid c --config d",
     "--issuer, --key, --kid, --config: not with --temporary; the running daemon needs nobody who"),
    ("--temporary --config /etc/authbridge/authbridge.toml", "--config: not with --temporary; the"),
    ("--uses 1 --device a --note b --control c",
     "--uses, --device, --note, --control: only with --temporary; signed tokens are not kept"),
    ("--note b --issuer c", "--note: only with --temporary"),
    ("--temporary --ttl soon", "--ttl: 'soon' is no duration of a second or more, as \"60s\""),
    ("--temporary --ttl 0s", "--ttl: '0s' is no duration of a second or more, as \"60s\""),
    ("--temporary --uses 0", "--uses: '0' is no number from 1 to 1000000, nor \"any\""),
    ("--temporary --uses 1000001", "--uses: '1000001' is no number from 1 to 1000000"),
    ("--temporary --uses all", "--uses: 'all' is no number"),
    ("--temporary --uses ²", "--uses: '\\xb2' is no number"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), UNUSABLE)
def test_what_does_not_go_together_is_a_usage_error(daemon, here, arguments, said):
    status, printed, error = here("token", "issue", ALICE, *arguments.split())
    assert (status, printed) == (2, "")
    assert error.startswith(said)
    assert daemon.asked == []
    status, printed, error = here("token", "issue", ALICE, *arguments.split(), "--json")
    assert (status, error) == (2, "")
    assert json.loads(printed)["mistakes"][0].startswith(said)


@pytest.mark.parametrize("jid", ["alice", "\udcff@example.org", "@example.org", ""])
@pytest.mark.parametrize(
    "command", ["issue {} --temporary", "issue {}", "list {}", "revoke --user {}"]
)
def test_who_is_no_user_is_a_usage_error(daemon, here, tmp_path, command, jid):
    arguments = [jid if one == "{}" else one for one in command.split()]
    if command == "issue {}":
        arguments += ["--config", configuration(tmp_path)]
    status, _, error = here("token", *arguments)
    assert status == 2
    assert f"{jid!a} is no user@domain: " in error
    assert daemon.asked == []


def test_a_refusal_is_told_with_its_code(daemon, here):
    command = ["token", "issue", "admin@example.org", "--temporary"]
    status, printed, error = here(*command)
    assert (status, printed) == (1, "")
    assert error == "`never` of example.org names this user (token_never)\n"
    status, printed, error = here(*command, "--json")
    assert (status, error) == (1, "")
    assert json.loads(printed) == {
        "error": "`never` of example.org names this user",
        "reason": "token_never",
    }


def test_a_user_who_has_too_many_gets_no_other(daemon, issue):
    words = f"{ALICE} has 1000 tokens already; revoke some"
    daemon.answer = {"error": words, "reason": "tokens_too_many", "unavailable": False}
    assert issue() == (1, "", f"{words} (tokens_too_many)\n")


def test_a_daemon_that_keeps_no_tokens_refuses(daemon, here):
    daemon.controls.office = None
    status, _, error = here("token", "list", ALICE)
    assert status == 1
    assert error == (
        'nothing in the configuration keeps tokens: see accept = ["temporary"] (not_supported)\n'
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (NoDaemon("/run/x: No such file or directory; only a running daemon keeps tokens"), None),
        ({"error": "this daemon does not know the command; is it of this version?"}, None),
        ({"error": "down", "reason": "state_unavailable", "unavailable": True},
         "state_unavailable"),
        ({"error": "being fetched", "reason": "keys_unavailable", "unavailable": True},
         "keys_unavailable"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", [["issue", ALICE, "--temporary"], ["list", ALICE],
                                     ["revoke", ID]])  # fmt: skip
def test_what_cannot_be_told_is_3(daemon, here, command, answer, reason):
    daemon.answer = answer
    words = str(answer) if isinstance(answer, NoDaemon) else answer["error"]
    status, printed, error = here("token", *command)
    assert (status, printed) == (3, "")
    assert error == f"{words} ({reason})\n" if reason else f"{words}\n"
    status, printed, error = here("token", *command, "--json")
    assert (status, error) == (3, "")
    assert json.loads(printed) == {"error": words, "reason": reason}


def test_tokens_are_listed_as_a_table_without_themselves(daemon, issue, here):
    _, token, _ = issue("--device", "phone", "--uses", "any")
    issue("--note", "sent by mail")
    status, printed, error = here("token", "list", "Alice@example.org")
    assert (status, error) == (0, "")
    head, first, second = printed.splitlines()
    assert head == (
        "id                                issued                expires               "
        "uses left  last used  client   device  note"
    )
    assert first.endswith(
        "  2027-01-15T08:00:00Z  2027-01-15T08:01:00Z  any        -          control  phone   -"
    )
    assert second.endswith("  1          -          control  -       sent by mail")
    assert token.strip() not in printed
    told = json.loads(here("token", "list", ALICE, "--json")[1])
    assert told["jid"] == ALICE
    assert [one["id"] for one in told["tokens"]] == [first[:32], second[:32]]
    assert token.strip() not in json.dumps(told)


def test_a_use_is_listed_with_its_moment(daemon, here):
    kept = {"id": ID, "issued_at": NOW, "expires_at": NOW + 60, "uses_left": 3,
            "last_used_at": NOW + 1, "client": "website", "device": "", "note": ""}  # fmt: skip
    daemon.answer = {"jid": ALICE, "tokens": [kept]}
    assert "  3          2027-01-15T08:00:01Z  website  " in here("token", "list", ALICE)[1]


def test_nobodys_tokens_are_told_to_be_none(daemon, here):
    said = f"{ALICE} has no temporary token that can still be used\n"
    assert here("token", "list", ALICE) == (0, said, "")
    assert json.loads(here("token", "list", ALICE, "--json")[1]) == {"jid": ALICE, "tokens": []}


def test_a_list_is_whole(daemon, here):
    kept = {"issued_at": NOW, "expires_at": NOW + 60, "uses_left": 1, "last_used_at": None,
            "client": "website", "device": "", "note": ""}  # fmt: skip
    tokens = [{"id": f"{number:032x}", **kept} for number in range(MOST_LIVE)]
    daemon.answer = {"jid": ALICE, "tokens": tokens}
    _, *rows = here("token", "list", ALICE)[1].splitlines()
    assert [row[:32] for row in rows] == [one["id"] for one in tokens]


def test_what_others_have_written_moves_no_cursor(daemon, here):
    evil = "a\x9b2J\u202e\nb"
    kept = {"id": ID, "issued_at": NOW, "expires_at": NOW, "uses_left": 1, "last_used_at": None,
            "client": evil, "device": evil, "note": evil}  # fmt: skip
    daemon.answer = {"jid": ALICE, "tokens": [kept]}
    for json_too in ([], ["--json"]):
        printed = here("token", "list", ALICE, *json_too)[1]
        assert printed.replace("\n", "").isprintable()
        assert len(printed.splitlines()) == (1 if json_too else 2)
        assert "a\\u009b2J\\u202e\\nb" in printed
    daemon.answer = {"error": evil}
    assert here("token", "list", ALICE)[2] == f"{escaped(evil)}\n"


def revoked(controls, token_id):
    """Whether a token is."""
    (record,) = (one for one in controls.ledger.store._tokens.values() if one.id == token_id)
    return record.revoked


def test_one_token_is_revoked_by_its_id(daemon, revoke):
    token_id = daemon.controls.issue()["id"]
    assert revoke(token_id) == (0, "1 token revoked\n", "")
    assert revoked(daemon.controls, token_id)
    assert revoke(ID) == (1, "", "there is no such token (token_unknown)\n")
    status, printed, _ = revoke(ID, "--json")
    assert status == 1
    assert json.loads(printed) == {"error": "there is no such token", "reason": "token_unknown"}


@pytest.mark.parametrize(("count", "said"), [(0, "0 temporary tokens"), (1, "1 temporary token"),
                                             (3, "3 temporary tokens")])  # fmt: skip
def test_all_tokens_of_a_user_are_revoked(daemon, revoke, count, said):
    for _ in range(count):
        daemon.controls.issue()
    status, printed, error = revoke("--user", "Alice@example.org")
    assert (status, error) == (0, "")
    assert printed == (
        f"{said} revoked; what a revocable issuer has signed for {ALICE} up to now is refused as "
        "well\n"
    )
    status, printed, _ = revoke("--user", ALICE, "--json")
    assert (status, json.loads(printed)) == (0, {"revoked": 0})


def test_a_signed_token_is_revoked_by_its_jti(daemon, revoke):
    assert revoke("--issuer", NAME, "--jti", "one") == (0, "1 token revoked\n", "")
    assert daemon.asked[0][1] == {"command": "token-revoke", "issuer": NAME, "jti": "one"}
    status, _, error = revoke("--issuer", "shop", "--jti", "one")
    assert status == 1
    assert "(not_supported)" in error


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2026-01-31T12:00:00Z", 1769860800),
        ("2026-01-31T13:00:00+01:00", 1769860800),
        ("2026-01-31T12:00:00.250Z", 1769860800.25),
    ],
)
def test_all_that_an_issuer_has_signed_before_a_moment_is_revoked(daemon, revoke, time, moment):
    said = f"all tokens that {NAME} has signed before {time} are revoked\n"
    assert revoke("--issuer", NAME, "--before", time) == (0, said, "")
    assert daemon.asked[0][1]["before"] == moment


def test_all_that_an_issuer_has_signed_up_to_now_is_revoked(daemon, revoke):
    said = f"all tokens that {NAME} has signed before now are revoked\n"
    assert revoke("--issuer", NAME) == (0, said, "")
    assert daemon.asked[0][1]["before"] is None
    status, printed, _ = revoke("--issuer", NAME, "--json")
    assert (status, json.loads(printed)) == (0, {"revoked": None})


def test_a_moment_that_has_not_come_is_refused(revoke):
    status, _, error = revoke("--issuer", NAME, "--before", "2999-01-01T00:00:00Z")
    assert (status, error) == (1, "`before` is no moment up to now (request_malformed)\n")


@pytest.mark.parametrize(
    "time",
    ["yesterday", "1769860800", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z",
     "2026-01-31T12:00:00Z\n", "0000-01-01T00:00:00Z", "٢026-01-31T12:00:00Z"],
)  # fmt: skip
def test_what_is_no_moment_is_a_usage_error(daemon, revoke, time):
    status, _, error = revoke("--issuer", NAME, "--before", time)
    assert (status, daemon.asked) == (2, [])
    assert error == f"--before: {time!a} is no moment such as 2026-01-31T12:00:00Z\n"


@pytest.mark.parametrize("user", [[], ["--user", ALICE]])
def test_a_token_on_stdin_is_revoked_whatever_its_kind(daemon, revoke, user):
    issued = daemon.controls.issue()
    stdin = f" {issued['password']}\r\n".encode()
    assert revoke("--token-stdin", *user, stdin=stdin) == (0, "1 token revoked\n", "")
    assert revoked(daemon.controls, issued["id"])
    assert revoke("--token-stdin", *user, stdin=jwt().encode()) == (0, "1 token revoked\n", "")


def test_a_token_is_asked_for_where_nothing_is_given(daemon, revoke, monkeypatch):
    issued = daemon.controls.issue()
    monkeypatch.setattr(getpass, "getpass", lambda prompt: issued["password"])
    assert revoke() == (0, "1 token revoked\n", "")


def test_a_token_that_is_unknown_may_need_its_user(revoke):
    told = "there is no such token; if it does not say for whom it is, give --user USER@DOMAIN"
    assert revoke("--token-stdin", stdin=TOKEN.encode()) == (1, "", f"{told} (token_unknown)\n")
    status, _, error = revoke("--token-stdin", "--user", ALICE, stdin=TOKEN.encode())
    assert (status, error) == (1, "there is no such token (token_unknown)\n")
    status, printed, _ = revoke("--token-stdin", "--json", stdin=TOKEN.encode())
    assert (status, json.loads(printed)) == (1, {"error": told, "reason": "token_unknown"})


def test_a_token_on_the_command_line_is_not_shown_again(daemon, revoke):
    status, _, error = revoke(TOKEN)
    assert (status, daemon.asked) == (2, [])
    assert error.startswith("an ID is 32 hexadecimal digits, as `authbridge token list` shows them")
    assert TOKEN not in error


@pytest.mark.parametrize(
    "arguments",
    [
        f"{ID} --user {ALICE}",
        f"{ID} --token-stdin",
        f"{ID} --issuer a --jti b",
        "--jti b",
        "--before 2026-01-31T12:00:00Z",
        "--issuer a --jti b --before 2026-01-31T12:00:00Z",
        f"--issuer a --user {ALICE}",
        "--issuer a --token-stdin",
    ],
)
def test_only_one_thing_is_revoked_at_a_time(daemon, revoke, arguments):
    assert revoke(*arguments.split(), stdin=TOKEN.encode()) == (2, "", REFUSED_FORMS)
    assert daemon.asked == []


def test_no_token_is_nothing_to_be_revoked(daemon, revoke):
    assert revoke("--token-stdin", stdin=b" \n") == (2, "", "there was no token\n")
    assert daemon.asked == []


CHECKER = """
[checkers.tokens]
kind = "token"
accept = ["temporary"]
"""


class TokenDaemon(Daemon):
    """A daemon that keeps tokens in a file."""

    def __init__(self) -> None:
        self.folder = short_folder()
        text = configuration(self.folder).read_text()
        text = text.replace(
            "tcp:9281:interface=127.0.0.1", f"unix:{self.folder}/http.sock:mode=600"
        )
        text = text.replace('check = ["local"]', 'check = ["tokens", "local"]')
        text += f'[authbridge]\nstate = "{self.folder}/state/tokens.sqlite3"\n{CHECKER}'
        self.config = write(self.folder / "authbridge.toml", text)
        self.command, self.log = RUN, self.folder / "log"
        self.start()


@pytest.fixture
def running():
    daemon = TokenDaemon()
    yield daemon
    daemon.stop()
    shutil.rmtree(daemon.folder)


def test_a_token_lives_from_its_issue_to_its_revocation(running):
    at = ["--control", f"{running.folder}/control.sock"]
    # For longer than a minute, in which a busy machine may not start all these programs.
    issued = run("token", "issue", ALICE, "--temporary", "--ttl", "1h", "--device", "phone", *at)
    assert (issued.returncode, issued.stderr) == (0, b"")
    explain = ["explain", ALICE, "--password-stdin"]
    for _ in range(2):
        done = run(*explain, *at, stdin=issued.stdout)
        assert done.returncode == 0
        assert b"  use             is looked at, and not used up by this\n" in done.stdout
    listed = run("token", "list", ALICE, *at).stdout.decode()
    token_id, *_, device, _ = listed.splitlines()[1].split()
    assert device == "phone"
    config = ["--config", str(running.config)]
    # The file is the daemon's: without it nobody can tell.
    alone = run("token", "explain", ALICE, "--token-stdin", *config, stdin=issued.stdout)
    assert alone.returncode == 3
    assert f"  id              {token_id}\n".encode() in alone.stdout
    assert f"authbridge explain {ALICE} asks the daemon".encode() in alone.stdout
    probed = run("check-config", "--probe", str(running.config))
    assert probed.returncode == 0
    assert b"tokens.sqlite3 is in use, by a daemon that runs\n" in probed.stdout
    assert run("token", "revoke", token_id, *at).stdout == b"1 token revoked\n"
    done = run(*explain, *at, stdin=issued.stdout)
    assert done.returncode == 1
    assert b"(token_revoked)" in done.stdout
    assert issued.stdout.strip() not in running.log.read_bytes()
