"""The commands, as a person types them."""

from __future__ import annotations

import json
import shutil
import socket
from types import SimpleNamespace

import pytest
from joserfc import jwk

from authbridge import __version__, model, password_hash, wiring
from authbridge.checkers import Surroundings
from authbridge.cli import check_config
from authbridge.model import Reason
from authbridge.outbound.bosh import BoshRefused, BoshUnreachable
from authbridge.sessions.shown import CannotTell
from tests.cli.folders import configuration, run, short_folder, write
from tests.cli.tokens import SITE, by_url, token_configuration
from tests.doubles import named_checker, now


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


def test_the_version_is_told():
    assert run("--version").stdout.decode().strip() == f"authbridge {__version__}"


def test_without_a_command_the_usage_is_an_error():
    done = run()
    assert done.returncode == 2
    assert b"usage: authbridge" in done.stderr


def test_a_good_configuration_is_good(folder):
    path = str(configuration(folder))
    done = run("check-config", path)
    assert (done.returncode, done.stdout.decode()) == (0, f"{path} is good\n")
    done = run("check-config", path, "--json")
    assert json.loads(done.stdout) == {"file": path, "mistakes": []}


def test_check_config_takes_a_file_without_listeners_for_standalone_alone(tmp_path):
    path = configuration(tmp_path)
    without = path.read_text().partition("[extauth]")[2]
    write(path, "[extauth]" + without)
    done = run("check-config", str(path))
    assert done.returncode == 2
    assert b"nothing listens" in done.stderr
    assert run("check-config", "--standalone", str(path)).returncode == 0


def test_every_mistake_of_a_bad_one_is_named_on_a_line_of_its_own(folder):
    path = configuration(folder)
    write(path, path.read_text().replace("[log]", "[lgo]").replace('"users"', '"user"'))
    done = run("check-config", str(path))
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2
    assert 'lgo: there is no such setting; did you mean "log"?' in lines
    done = run("check-config", str(path), "--json")
    assert done.returncode == 2
    assert len(json.loads(done.stdout)["mistakes"]) == 2


def test_a_probe_of_nothing_that_could_fail_is_good(folder):
    path = str(configuration(folder))
    done = run("check-config", path, "--probe")
    assert (done.returncode, done.stdout.decode()) == (0, f"{path}: the settings are good\n")
    assert done.stderr == b""
    done = run("check-config", path, "--probe", "--json")
    assert json.loads(done.stdout) == {"file": path, "mistakes": [], "probes": {}}


def test_a_probe_of_a_bad_configuration_probes_nothing(folder):
    path = configuration(folder)
    write(path, path.read_text().replace("[log]", "[lgo]"))
    done = run("check-config", str(path), "--probe", "--json")
    assert done.returncode == 2
    assert set(json.loads(done.stdout)) == {"file", "mistakes"}


@pytest.fixture
def dead_server():
    """An address that refuses connections, and is nobody else's meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"ldap://127.0.0.1:{bound.getsockname()[1]}"


def test_a_probe_of_a_dead_server_says_so_and_is_3(folder, dead_server):
    path = configuration(folder)
    write(path, path.read_text() + DIRECTORY.format(server=dead_server))
    assert run("check-config", str(path)).returncode == 0
    done = run("check-config", str(path), "--probe")
    assert done.returncode == 3
    assert done.stdout.decode() == (
        f"{path}: the settings are good\n"
        "[checkers.corp] fails: there is no connection to the directory\n"
        f"  fault           {dead_server}: connection refused\n"
    )
    done = run("check-config", str(path), "--probe", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["probes"] == {
        "corp": {
            "verdict": "unavailable",
            "reason": "directory_unreachable",
            "words": "there is no connection to the directory",
            "steps": [["fault", f"{dead_server}: connection refused"]],
        }
    }


DIRECTORY = """
[checkers.corp]
kind = "ldap"
servers = ["{server}"]
insecure_clear_text = true
base = "dc=example,dc=org"
"""


class Probing:
    """A checker that can be probed."""

    def __init__(self, outcome):
        self.outcome = outcome

    async def probe(self, trace):
        trace.step("connection", "made")
        return self.outcome


SURROUNDINGS = Surroundings(None, None, None, None)


def test_a_probe_tells_what_each_checker_found_that_depends_on_something(monkeypatch):
    checkers = {"good": Probing(model.USER_EXISTS), "file": object(),
                "bad": Probing(model.unavailable(Reason.DIRECTORY_SILENT))}  # fmt: skip
    named = {name: named_checker(name, checker) for name, checker in checkers.items()}
    house = wiring.House(None, named, SURROUNDINGS, None, None, {}, None, {})
    monkeypatch.setattr(wiring, "visit", lambda configuration, walk: now(walk(house)))
    found = check_config.probe(SimpleNamespace(uses_of_state=()))
    assert {name: one["verdict"] for name, one in found.items()} == {
        "checkers.good": "accepted",
        "checkers.bad": "unavailable",
    }
    assert found["checkers.good"]["steps"] == [("connection", "made")]
    assert check_config.render(found)[2:] == [
        "[checkers.bad] fails: the directory gave no answer in time",
        "  connection      made",
    ]


class ProbedSite:
    """A site, or an XMPP server, that says this to a probe."""

    url = "http://127.0.0.1:5280/http-bind"

    def __init__(self, said):
        self.said = said

    async def probe(self, *_domain):
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


def test_a_probe_tells_what_sites_and_bosh_services_say(monkeypatch):
    sites = {
        "www": ProbedSite("answers a made-up cookie with 401"),
        "old": ProbedSite(CannotTell(Reason.SITE_FAILED, "answers 500")),
        "proxy": object(),
    }
    servers = {
        "example.org": ProbedSite("offers PLAIN"),
        "example.net": ProbedSite(BoshUnreachable("connection refused")),
        "example.com": ProbedSite(BoshRefused("the server offers no PLAIN")),
    }
    house = wiring.House(None, {}, SURROUNDINGS, None, None, servers, None, sites)
    monkeypatch.setattr(wiring, "visit", lambda configuration, walk: now(walk(house)))
    found = check_config.probe(SimpleNamespace(uses_of_state=()))
    assert check_config.render(found) == [
        "[sites.www] answers",
        "  session         answers a made-up cookie with 401",
        "[sites.old] fails: the site did not say whose session this is",
        "  fault           answers 500",
        "[domains.example.org] answers",
        "  bosh_url        offers PLAIN",
        "[domains.example.net] fails: the XMPP server could not be asked at `bosh_url`",
        "  fault           http://127.0.0.1:5280/http-bind: connection refused",
        "[domains.example.com] fails: the XMPP server could not be asked at `bosh_url`",
        "  fault           http://127.0.0.1:5280/http-bind: the server offers no PLAIN",
    ]


def test_a_probe_tells_which_keys_are_published(folder, here):
    path = token_configuration(folder)
    by_url(path)
    keys = [
        {**jwk.ECKey.generate_key("P-256").as_dict(private=False), "kid": kid}
        for kid in ("www-2", "www 1")
    ]
    here.publish(json.dumps({"keys": keys}).encode())
    status, text, _ = here("check-config", path, "--probe")
    assert (status, text) == (
        0,
        f"{path}: the settings are good\n"
        f"[issuers.{SITE}] answers\n"
        "  keys            'www 1', www-2\n",
    )
    status, printed, _ = here("check-config", path, "--probe", "--json")
    assert status == 0
    assert json.loads(printed)["probes"] == {
        f"issuers.{SITE}": {
            "verdict": "accepted",
            "reason": "token_valid",
            "words": "the issuer's keys were fetched",
            "steps": [["keys", "'www 1', www-2"]],
        }
    }


def test_a_probe_of_keys_that_cannot_be_fetched_is_3(folder, here):
    path = token_configuration(folder)
    url = by_url(path)
    here.publish(None)
    status, text, _ = here("check-config", path, "--probe")
    assert (status, text) == (
        3,
        f"{path}: the settings are good\n"
        f"[issuers.{SITE}] fails: the issuer's keys could not be fetched\n"
        f"  fault           {url}: connection refused\n",
    )
    status, printed, _ = here("check-config", path, "--probe", "--json")
    assert status == 3
    found = json.loads(printed)["probes"][f"issuers.{SITE}"]
    assert (found["verdict"], found["reason"]) == ("unavailable", "keys_unavailable")
    assert here("check-config", path)[0] == 0


def test_a_login_at_a_dead_server_is_explained_and_is_3(folder, dead_server):
    path = configuration(folder)
    text = path.read_text().replace('check = ["local"]', 'check = ["corp"]')
    write(path, text + DIRECTORY.format(server=dead_server))
    command = ["explain", "alice@example.org", "--config", str(path), "--password-stdin"]
    done = run(*command, stdin=b"wonderland\n")
    assert done.returncode == 3
    assert f"{dead_server}: connection refused" in done.stdout.decode()
    assert "directory_unreachable" in done.stdout.decode()
    assert b"wonderland" not in done.stdout + done.stderr


def test_run_refuses_a_bad_configuration_with_the_same_words(folder):
    path = configuration(folder)
    write(path, path.read_text().replace("[log]", "[lgo]"))
    for its_log in ([], ["--json"]):
        done = run("run", "--config", str(path), *its_log)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"lgo: there is no such setting" in done.stderr


def test_a_hashed_password_makes_a_line_of_a_file_of_users():
    done = run("password", "hash", "Alice@example.org", "--password-stdin", stdin=b"wonderland\n")
    assert done.returncode == 0
    jid, _, phc = done.stdout.decode().strip().partition(":")
    assert jid == "alice@example.org"
    assert password_hash.verify(b"wonderland", phc)
    done = run("password", "hash", "--password-stdin", "--json", stdin=b"p\xc3\xa4ss")
    told = json.loads(done.stdout)
    assert told["jid"] is None
    assert password_hash.verify("päss".encode(), told["phc"])


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["alice"], b"x\n"),
        (["a b@example.org"], b"x\n"),
        ([], b"\n"),
        ([], b""),
        ([], b"  \n"),
        ([], b"a\0b\n"),
    ],
)
def test_what_could_never_log_in_is_not_hashed(arguments, stdin):
    done = run("password", "hash", "--password-stdin", *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (2, b"")
