"""`authbridge token`: issue a signed token, and tell why one is refused.

What only the running daemon can do is in `temporary`.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import Any

from authbridge import config, preparation, wiring
from authbridge.cli import temporary
from authbridge.cli.ask_daemon import CONTROL_SOCKET
from authbridge.cli.passwords import read_token
from authbridge.cli.shared import CONFIGURATION, print_json, read_jid, read_ttl, unusable
from authbridge.cli.signing import Wanted, choose, sign
from authbridge.config import Configuration
from authbridge.domain_names import ANY_DOMAIN
from authbridge.domains import DomainSettings
from authbridge.issuers.settings import IssuerSettings
from authbridge.model import JID, Outcome, Reason, Trace, Verdict, rejected
from authbridge.secret import Secret
from authbridge.settings import ConfigurationError
from authbridge.tokens import jws, jwt
from authbridge.tokens.describe import describe
from authbridge.tokens.forms import recognise
from authbridge.tokens.refusals import Malformed, quoted

TTL = "60s"
OF_SIGNED = ("issuer", "key", "kid", "config")
OF_TEMPORARY = ("uses", "device", "note", "control")
STATUS = {Verdict.ACCEPTED: 0, Verdict.UNAVAILABLE: 3}


def add_to(commands: Any) -> None:
    """Add the subcommands."""
    parser = commands.add_parser("token", help="issue, explain, list and revoke tokens")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    issuing = actions.add_parser("issue", help="make a token, and print it")
    issuing.add_argument("jid", metavar="USER@DOMAIN")
    issuing.add_argument("--ttl", metavar="DURATION", help=f"{TTL} if not given")
    signed = issuing.add_argument_group("a signed token")
    signed.add_argument("--issuer", metavar="NAME", help="that signs; needed where several may")
    signed.add_argument("--key", type=Path, metavar="FILE", help="that signs, if not in `keys`")
    signed.add_argument("--kid", metavar="KID", help="of the key, where the issuer has several")
    asked = issuing.add_argument_group("a temporary token, of the running daemon")
    asked.add_argument("--temporary", action="store_true", help="ask the daemon for one")
    asked.add_argument("--uses", metavar="N", help='how many logins, or "any"; 1 if not given')
    asked.add_argument("--device", metavar="NAME", help="shown where it is listed")
    asked.add_argument("--note", metavar="TEXT", help="shown where it is listed")
    asked.add_argument("--control", metavar="PATH", help=f"{CONTROL_SOCKET} if not given")
    issuing.set_defaults(command=issue)
    explaining = actions.add_parser("explain", help="read a token, tell what becomes of it and why")
    explaining.add_argument(
        "jid", nargs="?", metavar="USER@DOMAIN", help="who shows it; of a JWT its subject"
    )
    explaining.add_argument("--token-stdin", action="store_true", help="read it from stdin")
    explaining.set_defaults(command=explain)
    for group, one in ((signed, issuing), (explaining, explaining)):
        group.add_argument("--config", type=Path, metavar="FILE", help=f"{CONFIGURATION}")
        one.add_argument("--json", action="store_true", help="print it as JSON")
    temporary.add_to(actions)


def issue(chosen: argparse.Namespace) -> int:
    """Print a token."""
    misplaced = OF_SIGNED if chosen.temporary else OF_TEMPORARY
    given = [f"--{name}" for name in misplaced if getattr(chosen, name) is not None]
    if given and chosen.temporary:
        names = ", ".join(given)
        raise unusable(f"{names}: not with --temporary; the running daemon needs nobody who signs")
    if given:
        raise unusable(f"{', '.join(given)}: only with --temporary; signed tokens are not kept")
    return temporary.issue(chosen) if chosen.temporary else issue_signed(chosen)


def issue_signed(chosen: argparse.Namespace) -> int:
    """Print a token that this configuration accepts; 1 where it would not accept it."""
    configuration = config.load(chosen.config or CONFIGURATION, listens=False)
    jid = read_jid(chosen.jid)
    seconds = read_ttl(chosen.ttl or TTL)
    wanted = Wanted(chosen.issuer, chosen.kid, chosen.key)
    settings, key = choose(configuration.issuers, jid, wanted)
    now = int(time.time())
    number, expiry = secrets.token_hex(16), now + int(seconds)
    token = sign(settings, key, jid, now, expiry, number)
    told = ask(configuration, jid, token.encode())
    if told.outcome.verdict is not Verdict.ACCEPTED and not told.by_daemon:
        why = f"it would be refused: {told.outcome.reason.words}: {told.steps[-1][1]}"
        if chosen.json:
            print_json({"error": why, **told.as_json()})
        else:
            print(why, file=sys.stderr)
        return STATUS.get(told.outcome.verdict, 1)
    if chosen.json:
        print_json(_as_answer(jid, token, expiry, number, settings))
    else:
        print(token)
    return 0


def explain(chosen: argparse.Namespace) -> int:
    """Print what a token says, and each step to the verdict; the status is the verdict's."""
    configuration = config.load(chosen.config or CONFIGURATION, listens=False)
    token = read_token(from_stdin=chosen.token_stdin)
    jid = _subject(configuration, token) if chosen.jid is None else read_jid(chosen.jid)
    told = ask(configuration, jid, token)
    if chosen.json:
        print_json(told.as_json())
    else:
        print(told.as_text())
    return STATUS.get(told.outcome.verdict, 1)


class Told:
    """What was found about a token."""

    def __init__(self, jid: JID) -> None:
        self.jid = jid
        self.looks = False
        """Whether it is in the form of a token, good or broken."""
        self.says: list[tuple[str, str]] = []
        """The token itself, unverified."""
        self.steps: list[tuple[str, str]] = []
        self.outcome = rejected(Reason.NO_CHECKER)
        self.by_daemon = False
        """Whether all that is left to be said of it is the running daemon's to say."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "jid": str(self.jid),
            "says": self.says,
            "steps": self.steps,
            "verdict": self.outcome.verdict.value,
            "reason": self.outcome.reason.value,
            "words": self.outcome.reason.words,
            "signer": self.outcome.signer or None,
        }

    def as_text(self) -> str:
        """For people."""
        outcome = self.outcome
        title = "What it says, true or not:" if self.looks else "This does not look like a token."
        lines = [f"{self.jid}", title, *(f"  {name:<15} {words}" for name, words in self.says)]
        lines.append(
            f"Login: {outcome.verdict.value} — {outcome.reason.words} ({outcome.reason.value})"
        )
        lines += [f"  {name:<15} {words}" for name, words in self.steps]
        if outcome.signer:
            lines.append(f"  {'signer':<15} {outcome.signer}")
        return "\n".join(lines)


def ask(configuration: Configuration, jid: JID, token: bytes) -> Told:
    """What it is, and what the token checker of the user's domain says of it."""
    told = Told(jid)
    domains = configuration.domains
    domain = domains.get(jid.domain) or domains.get(ANY_DOMAIN)

    async def walk(house: wiring.House) -> None:
        form = recognise(token, house.surroundings.issuers.xcauth_key_ids)
        if form is not None:
            told.looks = True
            told.says = describe(form, token, time.time())
        if wrapping := _wrapping(token):
            told.says.insert(0, ("form", wrapping))
        if domain is None:
            told.steps.append(("domain", f"{jid.domain} is not served"))
            told.outcome = rejected(Reason.DOMAIN_UNKNOWN)
            return
        name = _token_checker(configuration, domain)
        if name is None:
            told.steps.append(("domain", f'no checker of {jid.domain} is of kind "token"'))
            return
        trace = Trace()
        outcome: Outcome = await house.checkers[name].checker.check_password(
            jid, Secret(token), trace
        )
        told.steps, told.outcome = trace.steps, outcome
        # It is asked last: what a signed token says and its signature are right.
        told.by_daemon = (
            outcome.reason is Reason.STATE_UNAVAILABLE and not configuration.state.shared
        )
        if told.by_daemon:
            told.steps.append(("instead", f"authbridge explain {jid} asks the daemon"))

    wiring.visit(configuration, walk)
    return told


def _token_checker(configuration: Configuration, domain: DomainSettings) -> str | None:
    names = (name for name in domain.check if configuration.checkers[name].recognises)
    return next(names, None)


def _wrapping(token: bytes) -> str:
    """What is to be said of line ends and blanks in it that come with copying; or nothing."""
    lines = len(token.splitlines())
    if lines > 1:
        return f"it has {lines} lines, and a token is one: was it wrapped when it was copied?"
    return "there are blanks or line ends around it" if token != token.strip() else ""


def _subject(configuration: Configuration, token: bytes) -> JID:
    """Whom a JWT is for by its own words."""
    try:
        claims = jwt.read_claims(jws.read(token.strip()))
    except Malformed as error:
        raise _nobody(f"does not say for whom it is: {_wrapping(token) or error.words}") from None
    name = claims.get("iss")
    issuer = configuration.issuers.get(name) if isinstance(name, str) else None
    claim = "sub" if issuer is None else issuer.rules.subject
    subject = claims.get(claim)
    if not isinstance(subject, str):
        raise _nobody(f"does not say for whom it is: it has no `{claim}`")
    if "@" not in subject:
        raise _nobody(f"is for {quoted(subject)}, and does not say of which domain he is")
    try:
        return preparation.jid(subject)
    except preparation.Unprepared as error:
        raise _nobody(f"is for {quoted(subject)}, who is no user@domain: {error}") from None
    except UnicodeEncodeError:  # JSON can spell what is no character: halves of a surrogate
        raise _nobody(f"is for {quoted(subject)}, who is no user@domain") from None


def _nobody(words: str) -> ConfigurationError:
    return unusable(f"the token {words}; give it: authbridge token explain USER@DOMAIN")


def _as_answer(
    jid: JID, token: str, expiry: int, number: str, settings: IssuerSettings
) -> dict[str, Any]:
    return {
        "jid": str(jid),
        "password": token,
        "expires_at": expiry,
        "id": number if settings.kind == "jwt" else None,
    }
