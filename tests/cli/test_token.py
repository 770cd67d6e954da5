"""`authbridge token`: tokens that are issued are accepted, and those that are not are explained."""

from __future__ import annotations

import getpass
import io
import json
import shutil
import sys

import pytest
from joserfc import jwk

from authbridge.cli.main import main
from authbridge.cli.passwords import LONGEST_LINE
from authbridge.cli.shared import print_json
from authbridge.tokens.base64url import encode
from tests.cli.folders import configuration, run, short_folder, write
from tests.cli.tokens import SITE, by_url, token_configuration

ALICE = "alice@chat.example.org"


@pytest.fixture(scope="module")
def folder():
    folder = short_folder()
    token_configuration(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def issue(folder, here):
    """Call the command; its exit status, and what it printed to stdout and stderr."""
    path = folder / "authbridge.toml"
    return lambda *arguments: here("token", "issue", *arguments, "--config", path)


@pytest.fixture
def explain(folder, here):
    path = folder / "authbridge.toml"

    def explained(token, *arguments):
        command = ["token", "explain", *arguments, "--token-stdin", "--config", path]
        return here(*command, stdin=token.encode() + b"\n")

    return explained


def test_a_json_web_token_is_issued_with_the_sites_key_and_explained(folder):
    path = str(folder / "authbridge.toml")
    key = str(folder / "site.pem")
    command = ["token", "issue", "Alice@chat.example.org", "--key", key, "--ttl", "5m"]
    issued = run(*command, "--config", path)
    assert (issued.returncode, issued.stderr) == (0, b"")
    token = issued.stdout.decode().strip()
    command = ["token", "explain", "--token-stdin", "--config", path]
    told = run(*command, stdin=issued.stdout)
    assert told.returncode == 0
    text = told.stdout.decode()
    assert f"sub             '{ALICE}'" in text
    assert "Login: accepted — the token is good (token_valid)" in text
    assert text.endswith(f"  signer          {SITE}#www-1\n")
    assert "s from now" in text
    assert token not in text
    assert token.rpartition(".")[2] not in text


def test_a_token_of_somebody_else_is_told_to_be_his(issue, explain, folder):
    _, token, _ = issue(ALICE, "--key", folder / "site.pem")
    status, text, _ = explain(token.strip(), "bob@chat.example.org")
    assert status == 1
    assert f"`sub` is '{ALICE}'" in text


@pytest.mark.parametrize("issuer", ["forum", "nextcloud"])
def test_a_secret_in_the_configuration_issues_tokens(issue, explain, issuer):
    _, issued, _ = issue(ALICE, "--issuer", issuer, "--json", "--ttl", "2m")
    told = json.loads(issued)
    assert (told["jid"], told["id"]) == (ALICE, None)
    status, printed, _ = explain(told["password"], ALICE, "--json")
    assert status == 0
    found = json.loads(printed)
    assert (found["reason"], found["signer"]) == ("token_valid", f"{issuer}#{issuer}")
    status, printed, error = explain(told["password"])
    assert (status, printed) == (2, "")
    assert "authbridge token explain USER@DOMAIN" in error


BOTH = "--issuer forum --kid forum, --issuer nextcloud --kid nextcloud"
UNISSUED = [
    ("alice", 2, "'alice' is no user@domain: there is no @ in it"),
    (f"{ALICE} --ttl soon", 2, "--ttl: 'soon' is no duration"),
    (f"{ALICE} --issuer forumm", 2, "there is no issuer 'forumm'; did you mean \"forum\"?"),
    (ALICE, 2, f"choose one: {BOTH}"),
    (f"{ALICE} --issuer {SITE}", 2, f"{SITE}: no key here signs for chat.example.org; public ones"),
    (f"{ALICE} --kid wrong", 2, f"--kid: there is no key 'wrong' here; what signs is {BOTH}"),
    (f"{ALICE} --kid www-1", 2, "--kid: 'www-1' is a public key, which only verifies; what signs"),
    (f"{ALICE} --issuer {SITE} --key nowhere", 2, "nowhere: No such file or directory"),
    (f"{ALICE} --issuer {SITE} --key forum", 2, "forum is for HS256"),
    (f"{ALICE} --key www/www-1.pem", 2, "www-1.pem is the public half of a key and only verifies"),
    (f"{ALICE} --key rsa.pem", 2, f"{SITE}: "),
    (f"{ALICE} --issuer forum --key rsa.pem", 2, "rsa.pem is no secret, and this kind of token"),
    ("alice@example.com --issuer forum", 2, "forum may not sign for example.com\n`domains` of for"),
    ("alice@example.com", 2, "no issuer may sign for example.com\n"),
    ("alice@example.com", 2, "\n`domains` of nextcloud: chat.example.org\n"),
    ("admin@chat.example.org --issuer forum", 1, "`never` of chat.example.org names admin"),
    (f"{ALICE} --issuer forum --ttl 2h", 1, "lives longer than its issuer's `max_lifetime`"),
]


@pytest.mark.parametrize(("arguments", "status", "said"), UNISSUED)
def test_what_cannot_be_issued_is_said(folder, issue, monkeypatch, arguments, status, said):
    monkeypatch.chdir(folder)
    if not (folder / "rsa.pem").exists():
        write(folder / "rsa.pem", jwk.RSAKey.generate_key(2048).as_pem(private=True).decode())
    done, printed, error = issue(*arguments.split())
    assert (done, printed) == (status, "")
    assert said in error


def test_a_key_of_another_algorithm_is_judged_by_the_issuer_that_comes_nearest(folder, issue):
    pair = jwk.ECKey.generate_key("P-384").as_pem(private=True).decode()
    key = write(folder / "other.pem", pair)
    _, _, error = issue(ALICE, "--key", key)
    assert error == f"{SITE}: {key} is for ES384, which `algorithms` does not name\n"


def test_a_key_of_a_set_signs_beside_what_is_no_key(folder, issue, explain):
    pair = jwk.import_key((folder / "site.pem").read_text(), "EC").as_dict(private=True)
    keys = json.dumps({"keys": [{"kty": "new"}, pair]})
    status, token, _ = issue(ALICE, "--key", write(folder / "site.jwks", keys))
    assert status == 0
    assert explain(token.strip())[0] == 0
    keys = json.dumps({"keys": [{"kty": "new"}]})
    status, _, error = issue(ALICE, "--issuer", SITE, "--key", write(folder / "new.jwks", keys))
    assert status == 2
    assert "JWK of no type that is known" in error


def test_a_file_that_holds_no_key_is_told_for_what_it_is(folder, issue):
    key = write(folder / "broken.pem", "-----BEGIN PRIVATE KEY-----\n")
    assert issue(ALICE, "--key", key) == (2, "", f"{key} is no PEM of a key that can be read\n")


def test_without_issuers_there_is_nobody_who_signs(tmp_path, here):
    status, _, error = here("token", "issue", ALICE, "--config", configuration(tmp_path))
    assert status == 2
    assert error == "the configuration has no [issuers], and so nobody who signs tokens\n"


def test_a_refusal_is_json_where_json_was_asked_for(issue):
    status, printed, error = issue("admin@chat.example.org", "--issuer", "forum", "--json")
    assert (status, error) == (1, "")
    told = json.loads(printed)
    assert told["error"].startswith("it would be refused: the domain's `never` names this user")
    assert (told["jid"], told["verdict"]) == ("admin@chat.example.org", "rejected")
    assert told["reason"] == "token_never"
    assert "password" not in told


@pytest.mark.parametrize(
    ("token", "jid", "said"),
    [
        ("wonderland", ALICE, "This does not look like a token."),
        ("abtc1_short", ALICE, "a compact token has 62 characters"),
        ("abtx1_anything", ALICE, "(token_not_accepted)"),
        ("eyJhbGciOiJub25lIn0.e30.", ALICE, "there is no `iss`"),
        ("abtc1_short", "alice@example.org", 'no checker of example.org is of kind "token"'),
        ("abtc1_short", "alice@example.com", "example.com is not served"),
    ],
)
def test_what_is_no_good_token_is_told_why(explain, token, jid, said):
    status, printed, error = explain(token, jid)
    assert (status, error) == (1, "")
    assert said in printed


@pytest.mark.parametrize("issuer", [SITE, "forum", "nextcloud"])
@pytest.mark.parametrize("domain", ["example.org", "example.com"])
def test_a_token_is_read_wherever_it_is_shown(folder, issue, explain, issuer, domain):
    """Even where the domain is not served, or takes none."""
    key = ["--key", folder / "site.pem"] if issuer == SITE else []
    _, token, _ = issue(ALICE, "--issuer", issuer, *key)
    status, text, _ = explain(token.strip(), f"alice@{domain}")
    assert status == 1
    assert "does not look like a token" not in text
    assert "s from now" in text
    assert f"{domain} is" in text


def test_a_wrapped_token_is_told_to_be_wrapped(folder, issue, explain):
    _, token, _ = issue(ALICE, "--key", folder / "site.pem")
    middle = len(token) // 2
    status, text, _ = explain(token[:middle] + "\n" + token[middle:].strip(), ALICE)
    assert status == 1
    assert "true or not:\n  form            it has 2 lines, and a token is one" in text
    assert "(token_malformed)" in text
    status, _, error = explain(token[:middle] + "\n" + token[middle:].strip())
    assert status == 2
    assert "it has 2 lines, and a token is one" in error


def test_one_line_end_is_no_part_of_a_token_and_two_are_told(issue, explain):
    _, token, _ = issue(ALICE, "--issuer", "forum")
    assert explain(token.strip() + "\r", ALICE)[0] == 0
    status, text, _ = explain(token, ALICE)
    assert status == 1
    assert "there are blanks or line ends around it" in text


def unsigned(**claims):
    parts = ({"alg": "ES256"}, claims)
    return ".".join(encode(json.dumps(part).encode()).decode() for part in parts) + ".e30"


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (unsigned(iss=SITE, sub="bob"), "is for 'bob', and does not say of which domain he is"),
        (unsigned(iss=SITE, sub="b b@example.org"), "is for 'b b@example.org', who is no user@dom"),
        (unsigned(iss=SITE, sub="\ud800@example.org"), "who is no user@domain"),
        (unsigned(iss=SITE), "does not say for whom it is: it has no `sub`"),
        (unsigned(iss=SITE, sub=7), "does not say for whom it is: it has no `sub`"),
        ("wonderland", "does not say for whom it is: not three parts of base64url"),
    ],
)
def test_a_token_without_a_jid_has_to_be_given_one(explain, token, said):
    status, printed, error = explain(token)
    assert (status, printed) == (2, "")
    assert said in error
    assert error.endswith("; give it: authbridge token explain USER@DOMAIN\n")


def test_the_subject_of_a_token_without_an_issuer_is_explained(explain):
    status, text, _ = explain(unsigned(sub=ALICE))
    assert status == 1
    assert text.startswith(f"{ALICE}\n")


@pytest.mark.parametrize(("length", "cut"), [(LONGEST_LINE, True), (LONGEST_LINE - 1, False)])
def test_a_line_that_the_terminal_has_cut_is_no_token(folder, here, monkeypatch, length, cut):
    monkeypatch.setattr(getpass, "getpass", lambda prompt: "a" * length)
    command = ["token", "explain", ALICE, "--config", folder / "authbridge.toml"]
    status, _, error = here(*command)
    assert status == (2 if cut else 1)
    assert ("give it with --token-stdin < FILE" in error) is cut


def test_a_terminal_as_stdin_cuts_as_well(folder, here, monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    terminal = Terminal(io.BytesIO(b"a" * LONGEST_LINE + b"\n"))
    path = str(folder / "authbridge.toml")
    monkeypatch.setattr(sys, "stdin", terminal)
    assert main(["token", "explain", ALICE, "--token-stdin", "--config", path]) == 2


def test_a_file_of_that_length_is_not_cut(explain):
    assert explain("a" * LONGEST_LINE, ALICE)[0] == 1


def test_the_end_of_input_at_the_prompt_is_a_usage_error(folder, here, monkeypatch):
    def end(prompt):
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", end)
    with pytest.raises(SystemExit, match="2"):
        here("token", "explain", ALICE, "--config", folder / "authbridge.toml")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("token issue alice --config {}", "'alice' is no user@domain: there is no @ in it"),
        ("token issue alice@a --config nowhere", "nowhere: No such file or directory"),
        ("token explain alice --config {}", "'alice' is no user@domain: there is no @ in it"),
        ("key list --config nowhere", "nowhere: No such file or directory"),
        ("key new .. --folder {}", "A key's name is letters, digits, dot, _ and -."),
        ("client new a:b", "A client's name is letters, digits, dot, _ and -."),
        ("password hash alice", "'alice' is no user@domain: there is no @ in it"),
        ("explain alice@a --config nowhere", "nowhere: No such file or directory"),
    ],
)
def test_mistakes_are_json_where_json_was_asked_for(folder, here, command, said):
    arguments = command.format(folder / "authbridge.toml").split()
    if "explain" in command and "nowhere" not in command:
        arguments.append("--token-stdin")
    status, printed, error = here(*arguments, "--json")
    assert (status, error) == (2, "")
    assert json.loads(printed) == {"mistakes": [said]}
    status, printed, error = here(*arguments)
    assert (status, printed, error) == (2, "", f"{said}\n")


def test_json_of_run_is_about_its_log_and_not_its_mistakes(here, capsys):
    with pytest.raises(SystemExit, match="2"):
        here("run", "--json")
    assert capsys.readouterr().out == ""


def test_wrong_arguments_are_json_where_json_was_asked_for(here, capsys):
    for json_too in (["--json"], []):
        with pytest.raises(SystemExit, match="2"):
            here("token", "issue", *json_too)
        printed, error = capsys.readouterr()
        if json_too:
            said = "the following arguments are required: USER@DOMAIN"
            assert (json.loads(printed), error) == ({"mistakes": [said]}, "")
        else:
            assert printed == ""
            assert "USER@DOMAIN" in error


def test_what_a_terminal_would_obey_is_escaped_in_json(capsys):
    told = {"a\x9b2J": ["\u202e\U000e0001\ud800", 'ä "b"\n']}
    print_json(told)
    printed = capsys.readouterr().out.removesuffix("\n")
    assert printed.isprintable()
    assert "ä" in printed
    assert json.loads(printed) == told


def test_keys_that_cannot_be_fetched_are_an_outage(folder):
    path = folder / "authbridge.toml"
    mine = path.read_text(encoding="utf-8")
    url = by_url(path).encode()
    at = ["--config", str(path)]
    key = str(folder / "site.pem")
    try:
        issued = run("token", "issue", ALICE, "--issuer", SITE, "--key", key, *at)
        assert (issued.returncode, issued.stdout) == (3, b"")
        assert url in issued.stderr
        listed = run("key", "list", *at)
        assert listed.returncode == 3
        assert b"no key is in force" in listed.stdout
        assert url in listed.stderr
        probed = run("check-config", "--standalone", "--probe", str(path))
        assert probed.returncode == 3
        site = f"[issuers.{SITE}] fails: the issuer's keys could not be fetched\n  fault     "
        assert site.encode() in probed.stdout
        assert url in probed.stdout
    finally:
        write(path, mine)


@pytest.fixture
def kept(tmp_path, here):
    """A configuration with tokens that only the daemon can tell the whole truth about; commands
    with it."""
    path = token_configuration(tmp_path)
    text = path.read_text(encoding="utf-8").replace('"xcauth"]', '"xcauth", "temporary"]')
    both = "single_use = true\nrevocable = true\n"
    write(path, text.replace('keys = ["www"]\n', f'keys = ["www"]\n{both}'))
    return lambda action, *more, **stdin: here("token", action, *more, "--config", path, **stdin)


def test_a_token_of_an_issuer_whose_tokens_may_be_revoked_is_issued(tmp_path, kept):
    status, token, error = kept("issue", ALICE, "--key", tmp_path / "site.pem")
    assert (status, error) == (0, "")
    status, text, _ = kept("explain", "--token-stdin", stdin=token.encode())
    assert status == 3
    assert "  signature       is right\n" in text
    assert "(state_unavailable)" in text
    assert text.endswith(f"  instead         authbridge explain {ALICE} asks the daemon\n")


def test_a_token_of_such_an_issuer_that_would_be_refused_is_not_issued(tmp_path, kept):
    key = ["--key", tmp_path / "site.pem"]
    assert kept("issue", "admin@chat.example.org", *key)[:2] == (1, "")


@pytest.mark.parametrize(
    ("token", "status", "said"),
    [
        ("abtt1_" + "A" * 43, 3, "  token           says nothing of itself; what it is good for"),
        ("abtt1_short", 1, "a temporary token has 49 characters"),
    ],
)
def test_a_temporary_token_is_told_to_be_the_daemons(kept, token, status, said):
    done, text, error = kept("explain", ALICE, "--token-stdin", stdin=token.encode())
    assert (done, error) == (status, "")
    assert said in text
    assert ("asks the daemon" in text) is (status == 3)
    assert token not in text
    done, _, error = kept("explain", "--token-stdin", stdin=token.encode())
    assert done == 2
    assert "does not say for whom it is" in error
