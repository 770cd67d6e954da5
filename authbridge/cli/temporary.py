"""`authbridge token` of temporary tokens, and revoking: what the running daemon is asked to do."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from authbridge.cli.ask_daemon import CONTROL_SOCKET, NoDaemon, as_text, ask_daemon
from authbridge.cli.passwords import read_token
from authbridge.cli.shared import escaped, print_json, read_jid, read_ttl, unusable
from authbridge.model import Reason
from authbridge.tokens.temporary import is_id
from authbridge.wire.token_api import ANY, MOST_USES

Told = dict[str, Any]

NO_STATE = "only a running daemon keeps tokens"
COLUMNS = ("id", "issued", "expires", "uses left", "last used", "client", "device", "note")
FORMS = (
    "ID, --user USER@DOMAIN, --issuer NAME --jti JTI, --issuer NAME [--before TIME], or "
    "--token-stdin [--user USER@DOMAIN]"
)

_NUMBER = re.compile("[0-9]{1,9}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def add_to(actions: Any) -> None:
    """Add the subcommands of tokens that only a daemon can do something about."""
    listing = actions.add_parser("list", help="list a user's temporary tokens")
    listing.add_argument("jid", metavar="USER@DOMAIN")
    listing.set_defaults(command=list_tokens)
    revoking = actions.add_parser(
        "revoke",
        help="revoke tokens",
        description=f"What is revoked: {FORMS}. Without any of them it asks for a token.",
    )
    revoking.add_argument("id", nargs="?", metavar="ID", help="of a temporary token, as listed")
    revoking.add_argument("--user", metavar="USER@DOMAIN", help="all tokens of a user")
    revoking.add_argument("--issuer", metavar="NAME", help="tokens that this issuer has signed")
    revoking.add_argument("--jti", metavar="JTI", help="the one of this `jti`")
    revoking.add_argument("--before", metavar="TIME", help="those signed before; now if not given")
    revoking.add_argument("--token-stdin", action="store_true", help="the token that is on stdin")
    revoking.set_defaults(command=revoke)
    for one in (listing, revoking):
        one.add_argument("--control", metavar="PATH", help=f"{CONTROL_SOCKET} if not given")
        one.add_argument("--json", action="store_true", help="print it as JSON")


def issue(chosen: argparse.Namespace) -> int:
    """Print a temporary token; 1 where the daemon issues none."""
    question = {
        "command": "token-issue",
        "jid": str(read_jid(chosen.jid)),
        "ttl": None if chosen.ttl is None else read_ttl(chosen.ttl),
        "uses": _read_uses(chosen.uses),
        "device": chosen.device or "",
        "note": chosen.note or "",
    }
    return _ask(chosen, question, lambda told: str(told["password"]))


def list_tokens(chosen: argparse.Namespace) -> int:
    """Print a user's temporary tokens that can still be used, and never a token itself."""
    jid = str(read_jid(chosen.jid))
    return _ask(chosen, {"command": "token-list", "jid": jid}, as_table)


def revoke(chosen: argparse.Namespace) -> int:
    """Say how many tokens were revoked; 1 where there is none."""
    question, words = _read_revoked(chosen)
    hint = ""
    if question.get("jid", "") is None:
        hint = "; if it does not say for whom it is, give --user USER@DOMAIN"
    return _ask(chosen, {"command": "token-revoke", **question}, words, hint)


def as_table(told: Told) -> str:
    """The tokens of a user for people."""
    tokens = told["tokens"]
    if not tokens:
        return f"{told['jid']} has no temporary token that can still be used"
    rows = [COLUMNS, *map(_row, tokens)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(token: Told) -> tuple[str, ...]:
    texts = (escaped(token[name]) or "-" for name in ("client", "device", "note"))
    return (
        str(token["id"]),
        _when(token["issued_at"]),
        _when(token["expires_at"]),
        str(token["uses_left"]),
        _when(token["last_used_at"]),
        *texts,
    )


def _when(moment: int | None) -> str:
    if moment is None:
        return "-"
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ask(
    chosen: argparse.Namespace, question: Told, words: Callable[[Told], str], hint: str = ""
) -> int:
    """Ask, and print the answer, for people in `words`. `hint` follows where there is no such
    token. The exit status."""
    try:
        told = ask_daemon(chosen.control or CONTROL_SOCKET, question, NO_STATE)
    except NoDaemon as error:
        told = {"error": str(error)}
    if "error" not in told:
        if chosen.json:
            print_json(told)
        else:
            print(words(told))
        return 0
    why, reason = told["error"], told.get("reason")
    if reason == Reason.TOKEN_UNKNOWN.value:
        why += hint
    if chosen.json:
        print_json({"error": why, "reason": reason})
    else:
        print(escaped(f"{why} ({reason})" if reason else why), file=sys.stderr)
    return 1 if told.get("unavailable") is False else 3


def _read_uses(text: str | None) -> int | str:
    if text is None:
        return 1
    if text == ANY:
        return ANY
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MOST_USES:
        raise unusable(f'--uses: {text!a} is no number from 1 to {MOST_USES}, nor "{ANY}"')
    return int(text)


def _read_revoked(chosen: argparse.Namespace) -> tuple[Told, Callable[[Told], str]]:
    """What is to be revoked, and the words for it when it is. Raises ConfigurationError."""
    names = ("id", "user", "issuer", "jti", "before")
    given = {name for name in names if getattr(chosen, name) is not None}
    jid = None if chosen.user is None else str(read_jid(chosen.user))
    if chosen.token_stdin or not given:
        if not given <= {"user"}:
            raise unusable(f"what is to be revoked is one of {FORMS}")
        token = read_token(from_stdin=chosen.token_stdin).strip()
        if not token:
            raise unusable("there was no token")
        return {"token": as_text(token), "jid": jid}, _counted
    if given == {"id"}:
        if not is_id(chosen.id):  # and is not shown: it may be a token
            raise unusable(
                "an ID is 32 hexadecimal digits, as `authbridge token list` shows them; a token "
                "itself does not belong on the command line: --token-stdin"
            )
        return {"id": chosen.id}, _counted
    if given == {"user"}:
        also = f"; what a revocable issuer has signed for {jid} up to now is refused as well"
        return {"jid": jid}, lambda told: _counted(told, "temporary ") + also
    issuer = chosen.issuer
    if given == {"issuer", "jti"}:
        return {"issuer": issuer, "jti": chosen.jti}, _counted
    if given in ({"issuer"}, {"issuer", "before"}):
        before = None if chosen.before is None else _read_moment(chosen.before)
        words = f"all tokens that {escaped(issuer)} has signed before {chosen.before or 'now'}"
        return {"issuer": issuer, "before": before}, lambda _told: f"{words} are revoked"
    raise unusable(f"what is to be revoked is one of {FORMS}")


def _counted(told: Told, kind: str = "") -> str:
    count = told["revoked"]
    return f"1 {kind}token revoked" if count == 1 else f"{count} {kind}tokens revoked"


def _read_moment(text: str) -> float:
    """Seconds since the epoch. Raises ConfigurationError."""
    if _MOMENT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            pass  # the 30th of February
    raise unusable(f"--before: {text!a} is no moment such as 2026-01-31T12:00:00Z")
