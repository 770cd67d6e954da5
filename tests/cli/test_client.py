"""`authbridge client new`: what it makes, what it prints, and whom it refuses to make."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tomllib

import pytest

from authbridge import config
from authbridge.cli.main import main
from authbridge.settings import ConfigurationError
from tests.cli.folders import configuration, run, short_folder, write

REFUSED = {
    "a:b": "A client's name is letters, digits, dot, _ and -.",
    "x/y": "A client's name is letters, digits, dot, _ and -.",
    "p --domain a..b": "--domain: 'a..b': ",
    "p --may jsn": "--may: 'jsn' is not known; did you mean \"json\"?",
    "p --may basic": "--may basic: cannot carry a secret: give --peer, the address of the caller",
    "p --may json --may basic": "--may basic: cannot carry a secret",
    "p --peer unix --may user_exists": "--peer: user_exists needs a secret; peers are for basic",
    "p --may token": "--may: 'token' is not known; did you mean \"tokens\"?",
    "p --peer unix --may tokens": (
        "--peer: tokens needs a secret; peers are for basic, cookie, json and oauth"
    ),
    "p --peer unix --may prebind": "--peer: prebind needs a secret; peers are for basic, cookie",
    "p --peer 10.0.0/24": 'peers: "10.0.0/24" is no address, network such as 10.0.0.0/24, or',
}


@pytest.fixture
def folder():
    folder = short_folder()
    yield folder
    shutil.rmtree(folder)


def with_tokens(folder):
    """A configuration in which somebody accepts the tokens that are issued."""
    path = configuration(folder)
    text = path.read_text().replace('check = ["local"]', 'check = ["tokens", "local"]')
    checker = '[checkers.tokens]\nkind = "token"\naccept = ["temporary"]\n'
    return write(path, text + checker)


@pytest.fixture
def make(folder, capsys):
    """Call the command; its exit status, and what it printed to stdout and stderr."""

    def made(arguments):
        status = main(["client", "new", "--folder", str(folder), *arguments.split()])
        return status, *capsys.readouterr()

    return made


def test_a_new_client_has_a_secret_of_its_own_and_what_to_paste(folder):
    done = run("client", "new", "prosody", "--folder", str(folder), "--domain", "b.org")
    assert done.returncode == 0
    secret = (folder / "prosody").read_text().strip()
    assert len(secret) >= 43
    assert stat.S_IMODE((folder / "prosody").stat().st_mode) & 0o037 == 0
    printed = done.stdout.decode()
    assert f'http_auth_credentials = "prosody:{secret}"' in printed
    assert f'secret_file = "{folder}/prosody"' in printed
    assert 'may = ["check_password", "user_exists"]' in printed
    assert 'domains = ["b.org"]' in printed
    again = run("client", "new", "prosody", "--folder", str(folder))
    assert again.returncode == 2
    assert (folder / "prosody").read_text().strip() == secret


def test_a_client_without_prosodys_verbs_gets_no_line_for_prosody(folder, make):
    status, printed, _ = make("web --may json")
    assert status == 0
    assert "http_auth_credentials" not in printed
    assert f"\nweb:{(folder / 'web').read_text()}" in printed


def test_a_website_that_asks_for_tokens_gets_credentials(folder, make):
    status, printed, _ = make("www --may tokens --may introspect --domain example.org")
    assert status == 0
    assert 'may = ["tokens", "introspect"]\ndomains = ["example.org"]\n' in printed
    assert f"\nwww:{(folder / 'www').read_text()}" in printed
    assert "http_auth_credentials" not in printed


def test_a_client_at_an_address_has_no_secret(folder, make):
    status, printed, _ = make("nginx --peer 127.0.0.1 --peer 10.0.0.0/24 --peer 127.0.0.1")
    assert (status, list(folder.iterdir())) == (0, [])
    assert printed == (
        "# authbridge.toml\n[clients.nginx]\n"
        'peers = ["127.0.0.1", "10.0.0.0/24"]\nmay = ["basic"]\ndomains = ["example.org"]\n'
    )


def test_as_json_it_tells_the_same(folder, make):
    told = json.loads(make("prosody --json")[1])
    secret = (folder / "prosody").read_text().strip()
    assert told["credentials"] == f"prosody:{secret}"
    assert told["prosody"] == f'http_auth_credentials = "prosody:{secret}"'
    assert told["stanza"] in make("other")[1].replace("other", "prosody")
    told = json.loads(make("web --may json --json")[1])
    assert (told["prosody"], told["credentials"][:4]) == (None, "web:")
    told = json.loads(make("nginx --peer unix --json")[1])
    assert (told["prosody"], told["credentials"]) == (None, None)


@pytest.mark.parametrize(
    "arguments",
    [
        "web.1",
        "p --may set_password --may register --may check_password",
        "p --may json --may remove_user",
        "p --may tokens --may introspect --may revoke",
        "p --may tokens --may check_password",
        "p --domain *",
        "p --peer ::1",
        "p --peer 127.0.0.1 --may json --may basic",
    ],
)
def test_a_clients_stanza_is_one_that_the_configuration_takes(folder, make, arguments):
    path = with_tokens(folder)
    stanza = json.loads(make(f"{arguments} --json")[1])["stanza"]
    write(path, path.read_text() + stanza)
    (name,) = tomllib.loads(stanza)["clients"]
    assert name in config.load(path).clients


@pytest.mark.parametrize("arguments", REFUSED)
def test_a_client_that_cannot_be_made_is_said_so(folder, make, arguments):
    status, printed, said = make(arguments)
    assert (status, printed, list(folder.iterdir())) == (2, "", [])
    assert said.startswith(REFUSED[arguments])
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("may", ["check_password", "json", "basic", "tokens", "jsn"])
@pytest.mark.parametrize("peers", [[], ["unix"], ["1.2.3"]])
def test_it_refuses_what_the_configuration_refuses(folder, make, may, peers):
    status, _, _ = make(" ".join(["p --may", may, *(f"--peer {peer}" for peer in peers)]))
    path = with_tokens(folder)
    caller = f"peers = {json.dumps(peers)}" if peers else 'secret_file = "secret"'
    text = path.read_text().replace("[clients", f'[clients.p]\nmay = ["{may}"]\n{caller}\n'
                                    'domains = ["example.org"]\n[clients')  # fmt: skip
    write(path, text.replace('http = ["', f'http = ["unix:{folder}/http.sock", "'))
    try:
        config.load(path)
    except ConfigurationError:
        assert status == 2
    else:
        assert status == 0


def test_a_missing_folder_is_named_with_the_command_that_makes_it(capsys):
    assert main(["client", "new", "p", "--folder", "/nonexistent/of clients"]) == 2
    made = "install -d -o root -g authbridge -m 750 '/nonexistent/of clients'\n"
    assert capsys.readouterr().err == f"there is no '/nonexistent/of clients': {made}"


def test_a_folder_that_is_none_is_told(folder, make):
    (folder / "file").touch()
    status, _, said = make(f"p --folder {folder}/file")
    assert (status, said) == (2, f"{folder}/file/p: Not a directory\n")


def test_a_secret_made_by_root_is_for_the_folders_group_too(folder, make, monkeypatch):
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: given.append((uid, gid)))
    assert make("p")[0] == 0
    assert given == [(-1, folder.stat().st_gid)]
    assert stat.S_IMODE((folder / "p").stat().st_mode) == 0o640
