"""The log: one form, two formats, no secrets."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
from twisted.logger import Logger, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure

from authbridge import log, model
from authbridge.log import (
    EventLog,
    LineStream,
    LoginLog,
    LogSettings,
    Stamp,
    describe_type,
    to_twisted,
)
from authbridge.model import Reason
from authbridge.settings import Mistakes, Table

JSON = LogSettings(json=True)


def raised(message="wonderland") -> Failure:
    try:
        raise ValueError(message)
    except ValueError:
        return Failure()


@pytest.fixture
def lines():
    return []


def test_a_log_that_nobody_reads_is_not_waited_for_and_tells_what_it_lost():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    stream = LineStream(writer)
    for _ in range(10):
        stream.write("x" * 1000)
    stream.write("y" * 5000)
    first = os.read(reader, 65536)
    taken = first.count(b"\n")
    assert first == (b"x" * 1000 + b"\n") * taken
    assert 0 < taken < 11
    stream.write("z")
    assert os.read(reader, 65536) == b"%d lines of the log were lost here\nz\n" % (11 - taken)
    stream.write("z")
    assert os.read(reader, 65536) == b"z\n"
    os.close(reader)
    stream.write("z")
    os.close(writer)


def test_a_line_in_a_file_may_be_long_and_of_any_characters(tmp_path):
    with open(tmp_path / "log", "wb", buffering=0) as file:
        LineStream(file.fileno()).write("ł\udcff" + "x" * 9000)
    written = (tmp_path / "log").read_text(encoding="utf-8")
    assert written == "ł\\udcff" + "x" * 9000 + "\n"


def test_a_moment_is_written_in_utc_to_the_millisecond():
    stamp = Stamp()
    assert stamp.text(0.9996) == "1970-01-01T00:00:00.999Z"
    assert stamp.text(1.0) == "1970-01-01T00:00:01.000Z"
    assert stamp.text(1.5) == "1970-01-01T00:00:01.500Z"


def test_a_login_in_json_has_the_same_parts(lines):
    login_log = LoginLog(JSON, lines.append, lambda: 0.0)
    mismatch = model.PASSWORD_MISMATCH
    login_log.line("i-1", "prosody", "http", "check_password", "ç@e", "c", mismatch, 0.00123)
    assert json.loads(lines[0]) == {
        "time": "1970-01-01T00:00:00.000Z",
        "event": "login",
        "id": "i-1",
        "front_end": "http",
        "caller": "prosody",
        "operation": "check_password",
        "jid": "ç@e",
        "checker": "c",
        "verdict": "rejected",
        "reason": "password_mismatch",
        "ms": 1.23,
    }


def test_a_login_by_token_has_its_signer_behind_everything_else(lines):
    for settings in (LogSettings(), JSON):
        login_log = LoginLog(settings, lines.append, lambda: 0.0)
        for outcome in (
            model.Outcome(model.Verdict.ACCEPTED, Reason.TOKEN_VALID, "https://a.example#2026"),
            model.rejected(Reason.TOKEN_EXPIRED, "website#a"),
            model.TOKEN_VALID,
        ):
            login_log.line("i-1", "prosody", "http", "check_password", "a@b", "c", outcome, 0.0)
    accepted, expired, unsigned = lines[:3]
    assert accepted.endswith(" caller=prosody signer=https://a.example#2026")
    assert expired.endswith(" caller=prosody signer=website#a")
    assert unsigned.endswith(" caller=prosody")
    signers = [json.loads(line).get("signer") for line in lines[3:]]
    assert signers == ["https://a.example#2026", "website#a", None]


def test_the_address_of_the_users_client_stands_behind_who_asked(lines):
    for settings in (LogSettings(), JSON):
        login_log = LoginLog(settings, lines.append, lambda: 0.0)
        outcome = model.rejected(Reason.TOKEN_EXPIRED, "website#a")
        for address in ("192.0.2.9", ""):
            login_log.line("i-1", "p", "http", "basic", "a@b", "c", outcome, 0.0, address)
    assert lines[0].endswith(" caller=p address=192.0.2.9 signer=website#a")
    assert lines[1].endswith(" caller=p signer=website#a")
    assert json.loads(lines[2])["address"] == "192.0.2.9"
    assert "address" not in json.loads(lines[3])


@pytest.mark.parametrize("settings", [LogSettings(), JSON])
def test_a_failure_is_written_without_its_message(lines, settings):
    observer = EventLog(settings, lines.append)
    Logger(observer=observer).failure("asking {who}", raised(), who="wonderland")
    assert "wonderland" not in lines[0]
    assert "builtins.ValueError" in lines[0]
    assert "test_log.py" in lines[0]
    assert "asking" in lines[0]


def test_what_twisted_itself_logs_of_a_failure_is_written_the_same_way(lines):
    observer = EventLog(LogSettings(), lines.append)
    globalLogPublisher.addObserver(observer)
    try:
        legacy.err(raised())
        legacy.err(raised(), "reading")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert all("wonderland" not in line for line in lines)
    assert "critical [log_legacy] unhandled error: builtins.ValueError" in lines[0]
    assert "reading: builtins.ValueError" in lines[1]
    assert describe_type(None) == "unknown"


def test_an_event_is_one_line_with_its_level_and_origin(lines):
    observer = EventLog(LogSettings(), lines.append)
    Logger("here", observer=observer).info("read {n}\nusers", n=3)
    assert lines[0].endswith(" info [here] read 3 users")
    EventLog(JSON, lines.append)({"log_format": "x", "log_time": 0.0})
    assert json.loads(lines[1]) == {
        "time": "1970-01-01T00:00:00.000Z", "event": "log", "level": "info", "namespace": "-",
        "text": "x",
    }  # fmt: skip


def test_debug_is_not_written(lines):
    Logger(observer=EventLog(LogSettings(), lines.append)).debug("x")
    assert lines == []


def test_a_line_can_go_to_twisteds_own_log():
    events = []
    to_twisted(Logger("here", observer=events.append))("a {b}")
    assert events[0]["line"] == "a {b}"
    assert log.describe(events[0])[0] == "a {b}"


@pytest.mark.parametrize("logins", ["all", "refused"])
def test_a_change_has_its_line_whoever_wants_to_read_of_logins(logins):
    """Somebody else's password may have been changed."""
    login_log = LoginLog(LogSettings(logins=logins), lambda _: None, lambda: 0.0)
    for done in (model.PASSWORD_CHANGED, model.USER_REGISTERED):
        assert login_log.wants(done)
    for refused in (model.PASSWORD_MISMATCH, model.unavailable(Reason.OVERLOADED)):
        assert login_log.wants(refused)
    for login in (model.PASSWORD_MATCHES, model.USER_EXISTS):
        assert login_log.wants(login) is (logins == "all")


def test_the_settings_are_read(tmp_path):
    mistakes = Mistakes()
    table = Table({"format": "json", "logins": "refused"}, "log", mistakes, tmp_path)
    assert LogSettings.read(table) == LogSettings(json=True, logins="refused")
    mistakes.check()


# --- tokens ---------------------------------------------------------------------------------------

TOKEN = {"front_end": "http", "caller": "website", "jid": "alice@example.org", "token": "0a" * 16}


def token_line(lines, outcome, settings=LogSettings()):  # noqa: B008 - it is frozen
    LoginLog(settings, lines.append, lambda: 1_800_000_000.25).token(
        "boot-7", "issue_token", outcome, TOKEN
    )
    (line,) = lines
    return line


ISSUED = model.Outcome(model.Verdict.ACCEPTED, Reason.TOKEN_ISSUED)


def test_what_is_done_with_tokens_has_a_line(lines):
    assert token_line(lines, ISSUED) == (
        "2027-01-15T08:00:00.250Z token id=boot-7 operation=issue_token verdict=accepted "
        f"reason=token_issued front_end=http caller=website jid=alice@example.org token={'0a' * 16}"
    )


def test_or_an_object_of_the_same(lines):
    assert json.loads(token_line(lines, ISSUED, JSON)) == TOKEN | {
        "time": "2027-01-15T08:00:00.250Z", "event": "token", "id": "boot-7",
        "operation": "issue_token", "verdict": "accepted", "reason": "token_issued",
    }  # fmt: skip


@pytest.mark.parametrize(
    "outcome", [model.rejected(Reason.TOKEN_NEVER), model.unavailable(Reason.STATE_UNAVAILABLE)]
)
def test_what_is_not_done_with_them_has_one_too(lines, outcome):
    words = f" verdict={outcome.verdict.value} reason={outcome.reason.value} "
    assert words in token_line(lines, outcome)


@pytest.mark.parametrize("logins", ["all", "refused"])
def test_a_token_has_its_line_whoever_wants_to_read_of_logins(lines, logins):
    assert token_line(lines, ISSUED, LogSettings(logins=logins))
