"""`authbridge password hash`: a line for a file of users."""

from __future__ import annotations

import argparse
from typing import Any

from authbridge import password_hash, preparation
from authbridge.cli.passwords import read_password
from authbridge.cli.shared import print_json, unusable


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("password", help="hash a password for a file of users")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    hashing = actions.add_parser("hash", help="read a password, print its line for a file of users")
    hashing.add_argument("jid", nargs="?", metavar="USER@DOMAIN", help="in front of the hash")
    hashing.add_argument("--password-stdin", action="store_true", help="read it from stdin")
    hashing.add_argument("--json", action="store_true", help="print it as JSON")
    hashing.set_defaults(command=hash_password)


def hash_password(chosen: argparse.Namespace) -> int:
    """Print the line: the JID, a colon and the PHC string; without a JID the PHC string."""
    jid = None
    if chosen.jid is not None:
        try:
            jid = str(preparation.jid(chosen.jid))
        except preparation.Unprepared as error:
            raise unusable(f"{chosen.jid!a} is no user@domain: {error}") from None
    password = read_password(from_stdin=chosen.password_stdin, twice=True)
    octets = password.reveal()
    if not octets.strip() or b"\0" in octets:
        raise unusable("A blank password, or one with a NUL in it, is always refused.")
    phc = password_hash.make(octets)
    if chosen.json:
        print_json({"jid": jid, "phc": phc})
    else:
        print(phc if jid is None else f"{jid}:{phc}")
    return 0
