"""Tokens with no daemon behind the program (`--standalone`)."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.tokens import mint

from . import signers
from .callers import Program, said_since
from .canary import secret
from .daemon import Daemon
from .key_folder import KeyFolder
from .signers import claims, compact, kept
from .waiting import wait_until

DOMAIN = "alone.example"
ALICE = f"alice@{DOMAIN}"
SECRETS = {kid: secret(f"the program's {kid} one, of 32 octets") for kid in ("old", "new")}

_CONFIGURATION = """
[domains."{domain}"]
check = ["tokens"]
exists = "always"

[checkers.tokens]
kind = "token"
accept = ["jwt", "compact"]

[issuers."{website}"]
keys = ["{folder}/website"]
algorithms = ["ES256"]
domains = ["*"]

[issuers.forum]
kind = "compact"
keys = ["{folder}/forum"]
domains = ["*"]
"""


@dataclass(frozen=True)
class Alone:
    """A program that serves itself, and its keys."""

    program: Program
    output: Path
    website: KeyFolder
    forum: KeyFolder


@pytest.fixture
def alone(workspace: Path) -> Iterator[Alone]:
    """The program with the keys called "old"; its configuration is no daemon's."""
    folder = workspace / "alone-keys"
    website, forum = KeyFolder(folder / "website"), KeyFolder(folder / "forum")
    website.add("old.pem", mint.key("ES256", "old").public_pem())
    forum.add("old.secret", SECRETS["old"])
    text = _CONFIGURATION.format(domain=DOMAIN, folder=folder, website=signers.WEBSITE)
    configuration = Daemon(workspace / "alone-tokens", (), others={DOMAIN: text}).configuration
    command = [str(Path(sys.executable).parent / "authbridge-extauth"), "--standalone"]
    output = workspace / "alone-tokens.out"
    program = Program([*command, "--config", str(configuration)], output)
    yield Alone(program, output, website, forum)
    program.close()


def token(kid: str) -> bytes:
    """A JSON Web Token of this key."""
    return kept(mint.jwt(claims(ALICE), mint.key("ES256", kid), kid=kid))


def test_program_alone_takes_tokens_and_the_keys_there_are_now(alone: Alone) -> None:
    """A key that is added counts at the next login, and so does that one is gone; it says so."""
    accepts = partial(alone.program.accepts, ALICE)
    assert accepts(token("old"))
    assert accepts(compact(ALICE, by=SECRETS["old"]))
    assert not accepts(compact(f"bob@{DOMAIN}", by=SECRETS["old"]))
    assert not accepts(token("new"))
    alone.website.add("new.pem", mint.key("ES256", "new").public_pem())
    alone.forum.add("new.secret", SECRETS["new"])
    new, old = token("new"), token("old")
    wait_until(partial(accepts, new), "the new key is there")
    assert accepts(compact(ALICE, by=SECRETS["new"]))
    assert accepts(token("old"))
    says = said_since(alone.output, alone.output.stat().st_size)
    alone.website.remove("old.pem")
    alone.forum.remove("old.secret")
    wait_until(lambda: not accepts(old), "the old key is gone")
    assert not accepts(compact(ALICE, by=SECRETS["old"]))
    assert accepts(token("new"))
    assert accepts(compact(ALICE, by=SECRETS["new"]))
    assert says(rf"issuer {signers.WEBSITE}: keys in force: new\n")
    assert says(r"issuer forum: keys in force: new\n")
