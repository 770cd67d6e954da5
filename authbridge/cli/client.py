"""`authbridge client new`: a program that may call `listen.http`, and its secret."""

from __future__ import annotations

import argparse
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from authbridge import preparation
from authbridge.cli.files import unwritable, write_secret
from authbridge.cli.shared import print_json
from authbridge.domain_names import ANY_DOMAIN
from authbridge.frontends import clients
from authbridge.peers import UNIX
from authbridge.settings import Mistakes, Table, did_you_mean

FOLDER = Path("/etc/authbridge/clients")
BY_SECRET = ("check_password", "user_exists")
"""What a client may ask unless it is said: what Prosody's mod_auth_http asks."""
BY_ADDRESS = ("basic",)
"""The same of one that is known by its address."""
OTHERS = "basic_auth of MongooseIM and ejabberd-contrib"
ANYBODY = "Basic credentials: in the address (http://NAME:SECRET@...) or where the program has them"
"""Where credentials go, beside Prosody's setting and without it."""


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("client", help="make a caller of listen.http")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a secret, print what to paste where")
    new.add_argument("name", metavar="NAME")
    new.add_argument(
        "--may",
        action="append",
        metavar="VERB",
        help=f"that it may ask: {', '.join(sorted(clients.VERBS))} (again for each; "
        f"{' and '.join(BY_SECRET)}; with --peer {BY_ADDRESS[0]})",
    )
    new.add_argument("--domain", action="append", metavar="DOMAIN", help="that it may ask about")
    new.add_argument(
        "--peer",
        action="append",
        metavar="ADDRESS",
        help="that it calls from, in place of a secret, for basic, cookie, json and oauth: an "
        f'address, a network or "{UNIX}"',
    )
    new.add_argument("--folder", type=Path, default=FOLDER, help=f"of the secrets ({FOLDER})")
    new.add_argument("--json", action="store_true", help="print it as JSON")
    new.set_defaults(command=new_client)


def new_client(chosen: argparse.Namespace) -> int:
    """Write the secret to a file of its own, print the stanza and what the caller needs."""
    peers = _once(chosen.peer or ())
    may = _once(chosen.may or (BY_ADDRESS if peers else BY_SECRET))
    domains = _once(chosen.domain or ("example.org",))
    check(chosen.name, may, peers, domains)
    secret = None
    path = (chosen.folder / chosen.name).absolute()
    if not peers:
        secret = secrets.token_urlsafe(32)
        try:
            write_secret(path, secret + "\n")
        except OSError as error:
            raise unwritable(error, "a client of that name has its secret already") from None
    caller = f"peers = {json.dumps(peers)}" if peers else f"secret_file = {json.dumps(str(path))}"
    stanza = (
        f"[clients.{_key(chosen.name)}]\n"
        f"{caller}\n"
        f"may = {json.dumps(may)}\n"
        f"domains = {json.dumps(domains, ensure_ascii=False)}\n"
    )
    credentials = secret and f"{chosen.name}:{secret}"
    prosody = None
    if credentials and "check_password" in may:
        prosody = f'http_auth_credentials = "{credentials}"'
    if chosen.json:
        print_json({"stanza": stanza, "credentials": credentials, "prosody": prosody})
        return 0
    print(f"# authbridge.toml\n{stanza}", end="")
    if prosody:
        print(f"\n-- prosody.cfg.lua\n{prosody}")
    if credentials:
        print(f"\n# {OTHERS if prosody else ANYBODY}\n{credentials}")
    return 0


def check(name: str, may: Sequence[str], peers: Sequence[str], domains: Sequence[str]) -> None:
    """Raises ConfigurationError with what the configuration would say of such a client, in the
    words of this command."""
    found = Mistakes()
    if not clients.NAME.fullmatch(name):
        found.add("", "A client's name is letters, digits, dot, _ and -.")
    for verb in may:
        if verb not in clients.VERBS:
            found.add("--may", f"{verb!a} is not known{did_you_mean(verb, clients.VERBS)}")
        elif verb == "basic" and not peers:
            found.add(
                "--may basic", "cannot carry a secret: give --peer, the address of the caller"
            )
        elif peers and verb not in clients.PEER_VERBS:
            found.add("--peer", f"{verb} needs a secret; {clients.PEERS_ARE_FOR}")
    if peers:
        clients.read_peers(Table({"peers": list(peers)}, "", found, Path("/")))
    for domain in domains:
        try:
            if domain != ANY_DOMAIN:
                preparation.domain(os.fsencode(domain))
        except preparation.Unprepared as error:
            found.add("--domain", f"{domain!a}: {error}")
    found.check()


def _once(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _key(name: str) -> str:
    return f'"{name}"' if "." in name else name
