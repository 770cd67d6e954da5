"""`authbridge client new`: a program that may call `listen.http`, and its secret."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from authbridge import preparation
from authbridge.frontends import clients

FOLDER = Path("/etc/authbridge/clients")


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("client", help="make a caller of listen.http")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="make a secret, print what to paste where")
    new.add_argument("name", metavar="NAME")
    new.add_argument("--domain", action="append", metavar="DOMAIN", help="that it may ask about")
    new.add_argument("--folder", type=Path, default=FOLDER, help=f"of the secrets ({FOLDER})")
    new.add_argument("--json", action="store_true", help="print it as JSON")
    new.set_defaults(command=new_client)


def new_client(chosen: argparse.Namespace) -> int:
    """Write the secret to a file of its own, print the stanza and Prosody's setting."""
    if not clients.NAME.fullmatch(chosen.name):
        print("A client's name is letters, digits, dot, _ and -.", file=sys.stderr)
        return 2
    domains = chosen.domain or ["example.org"]
    for domain in domains:
        try:
            preparation.domain(os.fsencode(domain))
        except preparation.Unprepared as error:
            print(f"{domain!a}: {error}", file=sys.stderr)
            return 2
    secret = secrets.token_urlsafe(32)
    path = (chosen.folder / chosen.name).absolute()
    try:
        write_secret(path, secret)
    except FileExistsError:
        print(f"{path} exists; a client of that name has its secret already", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 2
    stanza = (
        f"[clients.{_key(chosen.name)}]\n"
        f"secret_file = {json.dumps(str(path))}\n"
        'may = ["check_password", "user_exists"]\n'
        f"domains = {json.dumps(domains, ensure_ascii=False)}\n"
    )
    credentials = f'http_auth_credentials = "{chosen.name}:{secret}"'
    if chosen.json:
        print(json.dumps({"stanza": stanza, "prosody": credentials}, ensure_ascii=False))
    else:
        print(f"# authbridge.toml\n{stanza}\n-- prosody.cfg.lua\n{credentials}")
    return 0


def write_secret(path: Path, secret: str) -> None:
    """A new file that its owner alone reads; made by root, its folder's group reads it too, which
    is how the daemon comes to it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        if os.geteuid() == 0:
            os.fchown(descriptor, -1, path.parent.stat().st_gid)
            os.fchmod(descriptor, 0o640)
        file.write(secret + "\n")


def _key(name: str) -> str:
    return f'"{name}"' if "." in name else name
