"""`authbridge explain`: one login, step by step, as the daemon sees it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from authbridge import config, wiring
from authbridge.cli.ask_daemon import CONTROL_SOCKET, NoDaemon, as_text, ask_daemon
from authbridge.cli.passwords import read_password
from authbridge.cli.shared import print_json
from authbridge.secret import Secret

STATUS = {"accepted": 0, "rejected": 1, "unavailable": 3}


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("explain", help="walk one login and tell every step")
    parser.add_argument("jid", metavar="USER@DOMAIN")
    parser.add_argument("--config", type=Path, metavar="FILE", help="without a daemon")
    parser.add_argument("--control", default=CONTROL_SOCKET, metavar="PATH", help=CONTROL_SOCKET)
    parser.add_argument("--password-stdin", action="store_true", help="read it from stdin")
    parser.add_argument("--no-password", action="store_true", help="only: does the user exist?")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.set_defaults(command=explain)


def explain(chosen: argparse.Namespace) -> int:
    """Print the steps and verdicts. The status is the login's, without a password the user's."""
    configuration = None if chosen.config is None else config.load(chosen.config)
    password = None
    if not chosen.no_password:
        password = read_password(from_stdin=chosen.password_stdin, twice=False)
    if configuration is None:
        told = ask_there(chosen.control, chosen.jid, password)
    else:
        told = ask_here(configuration, chosen.jid, password)
    if "error" in told:
        if chosen.json:
            print_json(told)
        else:
            print(told["error"], file=sys.stderr)
        return 3
    if chosen.json:
        print_json(told)
    else:
        print(render(told))
    return STATUS[(told["login"] or told["exists"])["verdict"]]


def ask_there(path: str, jid: str, password: Secret | None) -> dict[str, Any]:
    """Have the running daemon walk the login."""
    encoded = None if password is None else as_text(password.reveal())
    question = {"command": "explain", "jid": jid, "password": encoded}
    try:
        return ask_daemon(path, question, "--config FILE asks no daemon")
    except NoDaemon as error:
        return {"error": str(error)}


def ask_here(
    configuration: config.Configuration, jid: str, password: Secret | None
) -> dict[str, Any]:
    """Walk the login in this process, without a daemon."""
    told: dict[str, Any] = {}

    async def walk(house: wiring.House) -> None:
        told.update(await house.explainer().explain(jid, password))

    wiring.visit(configuration, walk)
    return told


def render(told: dict[str, Any]) -> str:
    """The same for people."""
    lines = []
    for title, part in (("Login", told["login"]), ("User", told["exists"])):
        if part is None:
            continue
        lines.append(f"{title}: {part['verdict']} — {part['words']} ({part['reason']})")
        lines.append(f"  {'id':<15} {part['id']}")
        lines += [f"  {name:<15} {found}" for name, found in part["steps"]]
        lines += [f"  {'→ ' + name:<15} {answer}" for name, answer in part["answers"].items()]
    return "\n".join([told["jid"].encode("utf-8", "backslashreplace").decode(), *lines])
