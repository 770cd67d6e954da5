"""`authbridge key`: keys that can be used at once, and who has which."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tomllib

import pytest
from joserfc import jwk

from authbridge.cli import files, key
from authbridge.cli.main import main
from authbridge.issuers import key_files
from authbridge.issuers.settings import IssuerSettings
from authbridge.settings import Mistakes, Table
from authbridge.tokens.keys import ALGORITHMS
from tests.cli.folders import run, short_folder, write
from tests.cli.tokens import SITE, by_url, token_configuration


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make(folder, capsys):
    """Call the command; its exit status, and what it printed to stdout and stderr."""

    def made(*arguments):
        private = str(folder / "private.pem")
        status = main(["key", "new", "--folder", str(folder), *arguments])
        return status, private, *capsys.readouterr()

    return made


def keys_of(stanza, folder):
    """The keys that a daemon with this stanza has."""
    mistakes = Mistakes()
    ((name, data),) = tomllib.loads(stanza)["issuers"].items()
    settings = IssuerSettings.read(name, Table(data, "issuers", mistakes, folder))
    keys = key_files.load(settings, lambda words: mistakes.add("keys", words))
    assert list(mistakes) == []
    return list(keys)


@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "compact", "xcauth"])
def test_a_new_key_is_in_force_where_the_stanza_is(folder, make, algorithm):
    arguments = ["www", "--algorithm", algorithm, "--json"]
    if algorithm in ALGORITHMS and not algorithm.startswith("HS"):
        arguments += ["--private", str(folder / "private.pem")]
    status, _, printed, _ = make(*arguments)
    assert status == 0
    told = json.loads(printed)
    (key,) = keys_of(told["stanza"], folder)
    assert key.source == told["file"]
    assert told["kid"] in (key.kid, None)
    for path in (folder / "www").iterdir():
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022
    private = folder / "private.pem"
    assert private.exists() == ("--private" in arguments)
    if private.exists():
        assert told["private"] == str(private)
        assert not stat.S_IMODE(private.stat().st_mode) & 0o037
        assert "PRIVATE" not in (folder / "www" / f"{told['kid']}.pem").read_text()


def test_two_keys_stand_side_by_side(folder, make, monkeypatch):
    ends = iter(("5f3a", "5f3b"))  # of their names: two of a day are the same once in 65,536 times
    monkeypatch.setattr(key.secrets, "token_hex", lambda _octets: next(ends))
    for _ in range(2):
        status, _, printed, _ = make("forum", "--algorithm", "compact")
        assert status == 0
    stanza = printed.split("\n\n")[0]
    assert len(keys_of(stanza, folder)) == 2
    assert "Who signs needs" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a/b"], "A key's name is letters"),
        ([".."], "A key's name is letters"),
        (["www", "--algorithm", "ES265"], 'did you mean "ES256"?'),
        (["www", "--algorithm", "none"], "'none' is not known"),
        (["www", "--algorithm", "HS256", "--private", "x"], "HS256 has one secret"),
        (["www", "--private", "/nonexistent/a"], "/nonexistent/a: No such file or directory"),
        (["www", "--folder", "/dev/null"], "/dev/null/www: Not a directory"),
    ],
)
def test_what_cannot_be_made_is_said(make, arguments, said):
    status, _, printed, error = make(*arguments)
    assert (status, printed) == (2, "")
    assert said in error


def test_an_existing_private_file_is_left_alone(folder, make):
    (folder / "private.pem").write_text("mine")
    status, private, _, error = make("www", "--private", str(folder / "private.pem"))
    assert status == 2
    assert f"{private}: File exists" in error
    assert (folder / "private.pem").read_text() == "mine"
    assert list((folder / "www").iterdir()) == []


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def system(folder, monkeypatch):
    """A fresh machine's folder of this program; without --folder keys go below it."""
    system = folder / "authbridge"
    system.mkdir(mode=0o750)
    monkeypatch.setattr(key, "FOLDER", system / "keys")
    monkeypatch.chdir(folder)
    return system


def test_a_fresh_machine_needs_no_folders_made_by_hand(system, capsys):
    before = os.umask(0o077)
    try:
        assert main(["key", "new", "www", "--private", "private.pem"]) == 0
    finally:
        os.umask(before)
    assert mode(system / "keys") == mode(system / "keys/www") == 0o750
    (public,) = (system / "keys/www").iterdir()
    assert mode(public) == 0o644
    for path in (system / "keys", system / "keys/www"):
        assert path.stat().st_gid == system.stat().st_gid


def test_folders_that_root_makes_have_the_group_of_the_one_that_they_are_in(system, monkeypatch):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: given.append((path, uid, gid)))
    files.make_folders(system / "keys/www")
    group = system.stat().st_gid
    assert given == [(system / "keys", -1, group), (system / "keys/www", -1, group)]
    files.make_folders(system / "keys/www")
    assert len(given) == 2


def test_without_a_place_for_keys_the_command_that_makes_it_is_told(system, capsys):
    system.rmdir()
    assert main(["key", "new", "www"]) == 2
    made = f"install -d -o root -g authbridge -m 750 {system}\n"
    assert capsys.readouterr() == ("", f"there is no {system}: {made}")
    assert not system.exists()


@pytest.mark.parametrize("open_mode", [0o770, 0o757, 0o777])
@pytest.mark.parametrize("algorithm", ["ES256", "compact"])
def test_no_key_is_put_where_others_may_put_theirs(folder, make, open_mode, algorithm):
    (folder / "www").mkdir()
    (folder / "www").chmod(open_mode)
    status, _, printed, error = make("www", "--algorithm", algorithm)
    assert (status, printed) == (2, "")
    assert error == f"{folder}/www is open to others to write; chmod go-w {folder}/www\n"
    assert list((folder / "www").iterdir()) == []


def test_no_half_of_a_pair_stays_behind_without_the_other(folder, make, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(key, "write_public", full)
    status, _, printed, error = make("www", "--private", str(folder / "private.pem"))
    assert (status, printed) == (2, "")
    assert error.startswith(f"{folder}/www/")
    assert error.endswith(".pem: No space left on device\n")
    assert not (folder / "private.pem").exists()


@pytest.mark.parametrize("algorithm", ["ES256", "compact"])
def test_a_file_that_could_not_be_written_as_a_whole_is_none(folder, make, monkeypatch, algorithm):
    def full(descriptor, mode):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    private = [] if algorithm == "compact" else ["--private", str(folder / "private.pem")]
    status, _, _, error = make("www", "--algorithm", algorithm, *private)
    assert status == 2
    assert error.startswith(str(folder))
    assert error.endswith(": No space left on device\n")
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_a_private_half_is_its_owners_alone_and_a_secret_the_folders_groups(
    folder, make, monkeypatch
):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    assert make("www", "--private", str(folder / "private.pem"))[0] == 0
    assert mode(folder / "private.pem") == 0o600
    assert given == []
    assert make("forum", "--algorithm", "compact")[0] == 0
    (secret,) = (folder / "forum").iterdir()
    assert mode(secret) == 0o640
    assert given == [(-1, (folder / "forum").stat().st_gid)]


def test_the_list_has_every_key_and_no_secret(folder):
    listed = run("key", "list", "--config", str(token_configuration(folder)))
    assert (listed.returncode, listed.stderr) == (0, b"")
    text = listed.stdout.decode()
    assert f"[issuers.{SITE}] jwt" in text
    assert "www-1                ES256, P-256, verifies;" in text
    assert "forum                compact, 44 octets, verifies and signs;" in text
    assert "key id " in text
    assert "forty characters" not in text


def listed(here, path):
    """What the command tells as JSON, by issuer, and as text."""
    status, printed, _ = here("key", "list", "--config", path, "--json")
    issuers = {issuer["issuer"]: issuer for issuer in json.loads(printed)["issuers"]}
    again, text, error = here("key", "list", "--config", path)
    assert (status, error != "") == (again, status != 0)
    return status, issuers, text


def test_the_list_has_thumbprints_of_public_keys_alone(folder, here):
    status, issuers, _ = listed(here, token_configuration(folder))
    assert status == 0
    assert issuers[SITE]["keys"][0]["thumbprint"] is not None
    assert issuers["forum"]["keys"][0]["thumbprint"] is None
    assert [issuer["trouble"] for issuer in issuers.values()] == ["", "", ""]


@pytest.mark.parametrize("content", [{}, {"keys": []}])
def test_a_secret_without_a_kid_is_not_listed_by_its_thumbprint(folder, here, content):
    path = token_configuration(folder)
    secret = jwk.OctKey.generate_key(256)
    members = {"kty": "oct", "alg": "HS256", **secret.as_dict(private=True)}
    members.pop("kid", None)
    members = {"keys": [members]} if "keys" in content else members
    write(folder / "chat.jwk", json.dumps(members))
    text = path.read_text(encoding="utf-8").replace('"ES256"', '"HS256"')
    write(path, text.replace('keys = ["www"]', 'keys = ["chat.jwk"]'))
    _, issuers, text = listed(here, path)
    assert issuers[SITE]["keys"][0]["for"] == "HS256"
    assert secret.thumbprint() not in json.dumps(issuers) + text


class Thing:
    """A key as the list asks for it, whatever reader it came from."""

    algorithm, thumbprint, size, signs, source = "HS256", "tell-tale", "32 octets", True, "a file"

    def __init__(self, kid):
        self.kid = kid


def test_a_kid_that_is_a_secrets_thumbprint_is_none():
    assert key.tell_key(Thing("tell-tale"))["kid"] is None
    assert key.tell_key(Thing("named"))["kid"] == "named"
    told = {"issuer": "a", "kind": "jwt", "empty": [], "keys": [key.tell_key(Thing("tell-tale"))]}
    line = "  (no kid)             HS256, 32 octets, verifies and signs; a file"
    assert key.render(told)[1:] == [line]


@pytest.mark.parametrize("kid", ["a\x9b2Jb", "a\nb", "a  ES256, P-256", "\u202e", "x" * 200])
def test_a_kid_that_would_pass_for_something_else_is_quoted(kid):
    told = key.tell_key(Thing(kid))
    assert told["kid"] == kid
    (line,) = key.render({"issuer": "a", "kind": "jwt", "empty": [], "keys": [told]})[1:]
    assert line.isprintable()
    assert line.startswith("  '")
    assert len(line) < 140


def test_an_empty_folder_is_told_to_be_empty(folder, here):
    path = token_configuration(folder)
    text = path.read_text(encoding="utf-8")
    write(path, text.replace('keys = ["www"]', 'keys = ["www", "next"]'))
    (folder / "next").mkdir(mode=0o700)
    write(folder / "next/.hidden.pem", "nothing")
    status, issuers, text = listed(here, path)
    assert status == 0
    assert issuers[SITE]["empty"] == [f"there is nothing in {folder}/next"]
    assert issuers["forum"]["empty"] == []
    assert f"\n  there is nothing in {folder}/next\n" in text
    write(folder / "next/www-2.key", "nothing")
    _, _, text = listed(here, path)
    assert f"  there is nothing in {folder}/next but www-2.key, without one of the endings" in text


def test_issuers_without_any_key_are_told_so():
    told = {"issuer": "a", "kind": "jwt", "keys": [], "empty": ["there is nothing in x"]}
    shown = ["[issuers.a] jwt", "  no key is in force", "  there is nothing in x"]
    assert key.render(told) == shown


def test_keys_by_url_are_listed_when_they_are_there(folder, here):
    path = token_configuration(folder)
    url = by_url(path)
    pair = jwk.ECKey.generate_key("P-256")
    here.publish(json.dumps({"keys": [{**pair.as_dict(private=False), "kid": "a b"}]}).encode())
    status, issuers, text = listed(here, path)
    assert (status, issuers[SITE]["trouble"]) == (0, "")
    assert issuers[SITE]["keys"][0]["kid"] == "a b"
    assert "  'a b'                ES256, P-256, verifies; key 1 of https://127.0.0.1:1/" in text
    here.publish(None)
    status, issuers, text = listed(here, path)
    assert (status, issuers[SITE]["trouble"]) == (3, f"{url}: connection refused")
    assert f"[issuers.{SITE}] jwt\n  no key is in force\n" in text
