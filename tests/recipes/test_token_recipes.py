"""docs/tokens.md: what its recipes sign is what its configuration accepts, and its vectors hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from twisted.internet import reactor

from authbridge import config, preparation, wiring
from authbridge.issuers.settings import IssuerSettings
from authbridge.model import Outcome, Reason
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.tokens import base64url, compact, xcauth
from tests.recipes import sites, temporary
from tests.recipes.document import ROOT, blocks, example, languages, tables, write
from tests.recipes.sites import Answer

#: The examples by language, and what only one of them has in it.
EXAMPLES = {
    "toml": ("checkers.corp]", "guest-tokens", "jwks_url", "nextcloud", *temporary.TOML),
    "sh": ("key new", "genpkey", "--issuer forum", "token explain", *temporary.SH),
    "text": ("thumbprint", "What it says", "signer=https", "signer=temporary"),
    "json": ('"password"', '"active"'),
    "python": ("def compact_token", "django", "chat = Blueprint", *temporary.PYTHON),
    "php": ("function compact_token", "session_start", "openssl_sign", *temporary.PHP),
    "js": ("converse.initialize", "exports.compactToken", "createServer", *temporary.JS),
}
VECTORS = ROOT / "tests" / "vectors" / "tokens"
MEMBER = "member-1"
KINDS = "| | `jwt` | `compact` | `xcauth` | `temporary` |"
_OF_TOKENS = ("token_", "tokens_", "keys_", "rate_", "state_")
LENGTHS = r"(\d+) to (\d+) \("
"""Of signed tokens, least and most, in the table of kinds: with ES256, RS256 of two sizes."""


def vectors(name: str) -> list[dict[str, str | int]]:
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]


def test_every_example_is_known_here() -> None:
    """So that none is left out of the tests; the drawing is in no language."""
    assert languages() == {"", *EXAMPLES}
    for language, marks in EXAMPLES.items():
        assert {example(language, mark) for mark in marks} == set(blocks(language))
        assert len(blocks(language)) == len(marks)


# The vectors.


def secret(shown: str) -> bytes:
    """A secret as the document's tables show it: a text, or its octets with some left out."""
    if shown.startswith("text "):
        return shown.removeprefix("text `").encode()
    first, last = shown.partition("`")[0].split(" … ")
    return bytes(range(int(first[:2], 16), int(last, 16) + 1))


def test_document_shows_the_vectors_of_compact_tokens() -> None:
    """All of them, in their order."""
    shown = [
        {
            "secret_hex": secret(row["secret"]).hex(),
            "jid": row["JID"],
            "expiry": int(row["expiry"]),
            "purpose": row["purpose"],
            "token": row["token"],
        }
        for row in tables("| secret | JID | expiry | purpose | token |")
    ]
    assert shown == vectors("compact")


def test_document_shows_the_vectors_of_xcauth_tokens() -> None:
    """All of them, in their order."""
    shown = [
        {
            "secret_hex": secret(row["secret"]).hex(),
            "jid": row["JID"],
            "expiry": int(row["expiry"]),
            "purpose": "login",
            "token": row["token"],
        }
        for row in tables("| secret | JID | expiry | token |")
    ]
    assert shown == vectors("xcauth")


def test_vectors_are_what_is_made_here() -> None:
    """For JIDs that are prepared."""
    for vector in vectors("compact") + vectors("xcauth"):
        jid = preparation.jid(str(vector["jid"]))
        assert f"{jid.local}@{jid.domain}" == vector["jid"]
    for vector in vectors("compact"):
        assert compact.make(*arguments(vector), purpose=str(vector["purpose"])) == vector["token"]
    for vector in vectors("xcauth"):
        assert xcauth.make(*arguments(vector)) == vector["token"]


def arguments(vector: Mapping[str, str | int]) -> tuple[bytes, str, int]:
    return bytes.fromhex(str(vector["secret_hex"])), str(vector["jid"]), int(vector["expiry"])


def in_python(folder: Path, logins: list[dict[str, str | int]]) -> list[str]:
    module = sites.python(
        write(folder / "compact_token.py", example("python", "def compact_token"), {})
    )
    return [module.compact_token(*arguments(vector)) for vector in logins]


def in_php(folder: Path, logins: list[dict[str, str | int]]) -> list[str]:
    program = write(folder / "compact_token.php", example("php", "function compact_token"), {})
    code = """
        require $argv[1];
        foreach (json_decode(stream_get_contents(STDIN), true) as $one) {
            $token = compact_token(hex2bin($one['secret_hex']), $one['jid'], $one['expiry']);
            echo $token, "\\n";
        }
    """
    return output(["php", "-r", code, str(program)], logins)


def in_javascript(folder: Path, logins: list[dict[str, str | int]]) -> list[str]:
    program = write(folder / "compact_token.js", example("js", "exports.compactToken"), {})
    code = """
        const { compactToken } = require(process.argv[1]);
        for (const one of JSON.parse(require('node:fs').readFileSync(0, 'utf8'))) {
            console.log(compactToken(Buffer.from(one.secret_hex, 'hex'), one.jid, one.expiry));
        }
    """
    return output(["node", "-e", code, str(program)], logins)


def output(command: list[str], given: object) -> list[str]:
    """The lines that a program prints, which is given something as JSON."""
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("made", [in_python, in_php, in_javascript])
def test_recipe_makes_the_tokens_of_the_vectors(
    tmp_path: Path, made: Callable[[Path, list[dict[str, str | int]]], list[str]]
) -> None:
    """Names in any script, ends from 1970 on, secrets shorter and longer than a block."""
    logins = [vector for vector in vectors("compact") if vector["purpose"] == "login"]
    assert made(tmp_path, logins) == [vector["token"] for vector in logins]


# The back ends.


@dataclass(frozen=True)
class Bridge:
    """The documented configuration, with keys that the documented commands have made."""

    folder: Path
    there: Mapping[str, str]
    made: subprocess.CompletedProcess[str]
    """What the commands have said that make keys."""
    listed: subprocess.CompletedProcess[str]
    """And the one that lists them, while there were no others."""
    house: wiring.House
    log: list[str]
    """The lines of logins."""

    def judge(self, jid: str, password: str) -> Outcome:
        """Of a login; nothing is waited for."""
        user, _, domain = jid.partition("@")
        judged = self.house.authenticator.check_password(
            "extauth", user.encode(), domain.encode(), Secret(password.encode()), 8.0
        )
        outcome: Outcome = judged.result
        return outcome


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    """There are two pairs for the website: one of `key new`, and one that it has made itself."""
    folder = tmp_path_factory.mktemp("bridge")
    there = {
        "/etc/authbridge": str(folder / "authbridge"),
        "/etc/www": str(folder / "www"),
        "/root": str(folder / "root"),
    }
    for name in ("authbridge", "www", "root"):  # all that is there on a fresh machine
        (folder / name).mkdir()
    write(folder / "bin" / "authbridge", _COMMAND.format(python=sys.executable, folder=folder), {})
    (folder / "bin" / "authbridge").chmod(0o700)
    made = shell(folder, there, example("sh", "key new"))
    assert made.returncode == 0, made.stderr
    keys = folder / "authbridge" / "keys"
    (secret_file,) = (keys / "forum").iterdir()
    shutil.copy(secret_file, folder / "www" / "chat-secret")
    write(folder / "authbridge" / "bind-password", "of the tests\n", {})
    guests = OKPKey.generate_key("Ed25519").as_pem(private=False).decode()
    write(keys / "guests.pem", guests, {})
    write(keys / "nextcloud.secret", "abcdefghijklmnopqrstuvw", {})
    path = write(
        folder / "authbridge" / "authbridge.toml", example("toml", "checkers.corp]"), there
    )
    listed = shell(folder, there, "authbridge key list")
    assert shell(folder, there, example("sh", "genpkey")).returncode == 0
    shutil.copy(folder / "public.pem", keys / "www" / "site.pem")
    log: list[str] = []
    house = wiring.build(config.load(path, listens=False), log.append, reactor)
    return Bridge(folder, there, made, listed, house, log)


# The commands look into /etc/authbridge unless they are told another place.
_COMMAND = """#!/bin/sh
case $1$2 in
    keynew) set -- "$@" --folder {folder}/authbridge/keys ;;
    tokenexplain) set -- "$@" --token-stdin --config {folder}/authbridge/authbridge.toml ;;
    *) set -- "$@" --config {folder}/authbridge/authbridge.toml ;;
esac
exec {python} -m authbridge "$@"
"""


def shell(
    folder: Path, there: Mapping[str, str], text: str, given: str = ""
) -> subprocess.CompletedProcess[str]:
    """Do what an example in sh says."""
    script = write(folder / "documented.sh", text, there)
    return subprocess.run(
        ["sh", "-eu", str(script)],
        cwd=folder,
        env=os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        input=given,
        capture_output=True,
        text=True,
        timeout=90,
    )


# What differs each time: kids, thumbprints, key ids, tokens' numbers, moments, durations, folders.
_VARYING = (
    r"\d{4}-\d\d-\d\d-[0-9a-f]{4}",
    r"(?<![\w-])[\w-]{43}(?![\w-])",
    r"\b[0-9a-f]{32}\b",
    r"\b[0-9a-f]{8}\b",
    r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    r"\d+ s (?=ago|from)",
    r"id=\w+-\w+",
    r"ms=[\d.]+",
)


def normal(bridge: Bridge, text: str) -> str:
    """A text without what differs each time."""
    for shown, here in bridge.there.items():
        text = text.replace(here, shown)
    for pattern in _VARYING:
        text = re.sub(pattern, "…", text)
    return text


def test_documented_commands_make_the_keys_that_are_shown(bridge: Bridge) -> None:
    """With the tables of the configuration, and what is in force afterwards."""
    assert (bridge.made.returncode, bridge.made.stderr) == (0, "")
    shown = tomllib.loads(example("toml", "checkers.corp]"))["issuers"]
    shown["forum"].pop("users")
    tables = re.findall(
        r"^\[issuers.*?(?:\n\n|\Z)", normal(bridge, bridge.made.stdout), re.MULTILINE | re.DOTALL
    )
    assert tomllib.loads("".join(tables))["issuers"] == shown
    assert (bridge.listed.returncode, bridge.listed.stderr) == (0, "")
    assert normal(bridge, bridge.listed.stdout) == normal(bridge, example("text", "thumbprint"))


def test_documented_commands_issue_and_explain_tokens(bridge: Bridge) -> None:
    """The log has the line that is shown."""
    issued = shell(bridge.folder, bridge.there, example("sh", "--issuer forum"))
    assert (issued.returncode, issued.stderr) == (0, "")
    of_member, of_alice = issued.stdout.split()
    assert f"kind jwt, {len(of_alice)} octets" in example("text", "What it says")
    assert bridge.judge("member-1@example.org", of_member).reason is Reason.TOKEN_VALID
    assert bridge.judge("alice@example.org", of_alice).reason is Reason.TOKEN_VALID
    assert normal(bridge, bridge.log[-1] + "\n") == normal(bridge, example("text", "signer=https"))
    told = shell(bridge.folder, bridge.there, example("sh", "token explain"), of_alice + "\n")
    assert (told.returncode, told.stderr) == (1, "")
    assert normal(bridge, told.stdout) == normal(bridge, example("text", "What it says"))


BACK_ENDS = {
    "django": sites.django,
    "flask": sites.flask,
    "node": sites.node,
    "php": sites.php,
}


@pytest.fixture(scope="module", params=BACK_ENDS)
def answers(request: pytest.FixtureRequest, bridge: Bridge) -> dict[str, Answer]:
    """What a back end says to whom."""
    users = [MEMBER, "", "Member-1", "member-1@example.com", "member-1\n", "çelik"]
    folder = bridge.folder / request.param
    return dict(zip(users, BACK_ENDS[request.param](folder, bridge.there, users), strict=True))


def test_back_end_answers_who_is_logged_in(answers: dict[str, Answer]) -> None:
    """With what Converse takes, and nobody keeps."""
    answer = answers[MEMBER]
    assert answer.status == 200
    assert answer.content_type == "application/json"
    assert answer.cache_control == "no-store"
    assert answer.body.keys() == {"jid", "password"}
    assert answer.body["jid"] == f"{MEMBER}@example.org"


def test_back_ends_token_is_accepted(bridge: Bridge, answers: dict[str, Answer]) -> None:
    """For him, and for nobody else."""
    body = answers[MEMBER].body
    assert bridge.judge(body["jid"], body["password"]).reason is Reason.TOKEN_VALID
    assert bridge.judge("member-2@example.org", body["password"]).reason in (
        Reason.TOKEN_USER_WRONG,
        Reason.TOKEN_SIGNATURE_WRONG,
    )


def test_back_ends_token_has_the_length_that_is_documented(answers: dict[str, Answer]) -> None:
    """As far as names do not make it longer."""
    (row,) = (row for row in tables(KINDS) if row[""].startswith("characters"))
    token = answers[MEMBER].body["password"]
    if token.startswith("abtc1_"):
        assert len(token) == int(row["compact"])
    else:
        least, most = map(int, re.findall(LENGTHS, row["jwt"])[0])
        assert least <= len(token) <= most


def test_lengths_of_rs256_are_those_of_es256_and_a_longer_signature() -> None:
    """Within 10 characters, to which the document rounds: the rest of the token is the same."""
    (row,) = (row for row in tables(KINDS) if row[""].startswith("characters"))
    (least, most), *others = [tuple(map(int, found)) for found in re.findall(LENGTHS, row["jwt"])]
    for (shortest, longest), bits in zip(others, (2048, 4096), strict=True):
        more = len(base64url.encode(bytes(bits // 8))) - len(base64url.encode(bytes(64)))
        assert abs(shortest - least - more) <= 10
        assert abs(longest - most - more) <= 10


def test_back_end_refuses_everybody_else(answers: dict[str, Answer]) -> None:
    """Who is logged in nowhere, and whose name has more than one form or leaves the domain."""
    for user, answer in answers.items():
        if user != MEMBER:
            assert (answer.status, answer.content_type) == (403, "application/json")
            assert answer.cache_control == "no-store"
            assert answer.body == {"error": "not logged in"}


def test_php_without_its_secret_signs_nothing(bridge: Bridge, tmp_path: Path) -> None:
    """What an empty secret signs would be refused, and Converse would not get over it."""
    there = {"/etc/www": str(tmp_path / "nowhere")}
    (answer,) = sites.php(tmp_path / "site", there, [MEMBER])
    assert answer.status == 503


def test_phps_jwt_is_accepted(bridge: Bridge, tmp_path: Path) -> None:
    """Often: in one of 128 a number is shorter than 32 octets, and in DER most have a zero more."""
    program = write(tmp_path / "jwt.php", example("php", "openssl_sign"), {})
    code = """
        require $argv[1];
        $claims = [
            'iss' => 'https://www.example.org', 'sub' => 'alice@example.org',
            'aud' => 'xmpp:example.org', 'iat' => time(), 'exp' => time() + 60,
        ];
        for ($number = 0; $number < 600; $number++) {
            echo jwt(file_get_contents($argv[2]), 'site', $claims), "\\n";
        }
    """
    key = bridge.folder / "www" / "chat-key.pem"
    tokens = output(["php", "-r", code, str(program), str(key)], None)
    assert len(set(tokens)) == 600
    print((bridge.folder / "public.pem").read_text())  # for whoever reads why a test failed
    judged = {token: bridge.judge("alice@example.org", token).reason for token in tokens}
    refused = {token: why for token, why in judged.items() if why is not Reason.TOKEN_VALID}
    assert refused == {}


def test_pages_script_is_a_script(tmp_path: Path) -> None:
    """And it asks where the back ends answer."""
    text = example("js", "converse.initialize")
    script = write(tmp_path / "page.js", text, {})
    subprocess.run(["node", "--check", str(script)], check=True, timeout=90)
    assert f"credentials_url: '{sites.CREDENTIALS}'" in text


# The configuration.


def test_documented_configurations_have_no_mistake(bridge: Bridge) -> None:
    """Each, and what is to be added to the first one."""
    with_xcauth = example("toml", "checkers.corp]").replace('"compact"]', '"compact", "xcauth"]')
    for text in (
        example("toml", "guest-tokens"),
        example("toml", "checkers.corp]") + example("toml", "jwks_url"),
        with_xcauth + example("toml", "nextcloud"),
    ):
        path = write(bridge.folder / "authbridge" / "other.toml", text, bridge.there)
        assert config.load(path, listens=False).issuers


def test_every_setting_of_an_issuer_is_documented() -> None:
    """And none that there is not."""
    table = Table({}, "issuers.somebody", Mistakes(), Path("/"))
    IssuerSettings.read("somebody", table)
    rows = tables("| `[issuers.NAME]` | default | |")
    assert {row["[issuers.NAME]"] for row in rows} - {"NAME"} == table._known


def test_every_reason_of_tokens_is_documented() -> None:
    """In the table, once."""
    rows = tables("| reason | it means | do |")
    shown = [reason for row in rows for reason in row["reason"].replace("`", "").split(", ")]
    there = [reason.value for reason in Reason if reason.value.startswith(_OF_TOKENS)]
    assert sorted(shown) == sorted(there)
