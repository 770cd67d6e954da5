"""`authbridge check-config`: every mistake of a configuration, with its key; `--probe` also tries
what it names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from authbridge import config, wiring
from authbridge.checkers import Probed
from authbridge.cli import state_probe
from authbridge.cli.shared import print_json, shown
from authbridge.issuers.issuers import Issuer, KeysUnavailable
from authbridge.model import (
    SESSION_VALID,
    TOKEN_VALID,
    Outcome,
    Reason,
    Trace,
    Verdict,
    unavailable,
)
from authbridge.outbound.bosh import BoshRefused, BoshServer, BoshUnreachable
from authbridge.sessions.shown import CannotTell
from authbridge.sessions.shown import Probed as ProbedSession
from authbridge.settings import ConfigurationError
from authbridge.stores.operations import StoreFault
from authbridge.stores.settings import StateSettings

CHECKERS, ISSUERS, STATE = "checkers.", "issuers.", "authbridge.state"
SITES, DOMAINS = "sites.", "domains."


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("check-config", help="say what is wrong with a configuration")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--probe", action="store_true", help="also connect to what it names: 3 where that fails"
    )
    parser.add_argument(
        "--standalone", action="store_true", help="of `authbridge-extauth`: without listeners"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.set_defaults(command=check)


def check(chosen: argparse.Namespace) -> int:
    """Print every mistake; 2 where there is one, 3 where something does not answer."""
    mistakes: tuple[str, ...] = ()
    probes: dict[str, Any] = {}
    try:
        alone = chosen.standalone
        configuration = config.load(chosen.file, listens=not alone, standalone=alone)
    except ConfigurationError as error:
        mistakes = error.mistakes
    else:
        if chosen.probe:
            probes = probe(configuration)
    if chosen.json:
        told: dict[str, Any] = {"file": str(chosen.file), "mistakes": mistakes}
        if chosen.probe and not mistakes:
            told["probes"] = {key.removeprefix(CHECKERS): found for key, found in probes.items()}
        print_json(told)
    elif not mistakes:
        good = f"{chosen.file}: the settings are good" if chosen.probe else f"{chosen.file} is good"
        print("\n".join([good, *render(probes)]))
    else:
        for mistake in mistakes:
            print(mistake, file=sys.stderr)
    if mistakes:
        return 2
    well = all(found["verdict"] == Verdict.ACCEPTED.value for found in probes.values())
    return 0 if well else 3


def probe(configuration: config.Configuration) -> dict[str, Any]:
    """What each checker that depends on something finds, who publishes an issuer's keys, by the
    name of the table; and whether the state can be used, where there is use for it."""
    found: dict[str, Any] = {}

    async def walk(house: wiring.House) -> None:
        for name, named in house.checkers.items():
            if isinstance(named.checker, Probed):
                trace = Trace()
                outcome = await named.checker.probe(trace)
                found[CHECKERS + name] = _as_found(outcome, outcome.reason.words, trace)
        for issuer in house.surroundings.issuers:
            if issuer.fetched is not None:
                await issuer.fetched.ready()  # all are being fetched since the start
                found[ISSUERS + issuer.settings.name] = probe_issuer(issuer)
        for name, session in house.sessions.items():
            if isinstance(session, ProbedSession):
                found[SITES + name] = await probe_site(session)
        for name, server in house.bosh_servers.items():
            found[DOMAINS + name] = await probe_server(server, name)

    wiring.visit(configuration, walk)
    if configuration.uses_of_state:
        found[STATE] = probe_state(configuration.state)
    return found


def probe_issuer(issuer: Issuer) -> dict[str, Any]:
    """What was fetched for an issuer."""
    trace = Trace()
    try:
        keys = issuer.keys()
    except KeysUnavailable as error:
        trace.step("fault", str(error))
        outcome = unavailable(Reason.KEYS_UNAVAILABLE)
        return _as_found(outcome, "the issuer's keys could not be fetched", trace)
    trace.step("keys", ", ".join(sorted(shown(key.kid) for key in keys)))
    return _as_found(TOKEN_VALID, "the issuer's keys were fetched", trace)


async def probe_site(session: ProbedSession) -> dict[str, Any]:
    """Whether a site says who its users are."""
    trace = Trace()
    try:
        trace.step("session", await session.probe())
    except CannotTell as error:
        trace.step("fault", error.words)
        return _as_found(unavailable(error.reason), error.reason.words, trace)
    return _as_found(SESSION_VALID, "the site answers", trace)


async def probe_server(server: BoshServer, domain: str) -> dict[str, Any]:
    """Whether the users of a domain could be logged in at `bosh_url`."""
    trace = Trace()
    try:
        trace.step("bosh_url", await server.probe(domain))
    except (BoshRefused, BoshUnreachable) as error:
        trace.step("fault", f"{server.url}: {error.words}")
        outcome = unavailable(Reason.BOSH_UNREACHABLE)
        return _as_found(outcome, outcome.reason.words, trace)
    return _as_found(SESSION_VALID, "the XMPP server answers", trace)


def probe_state(state: StateSettings) -> dict[str, Any]:
    """Whether tokens can be kept."""
    trace = Trace()
    try:
        trace.step("state", state_probe.probe(state))
    except StoreFault as fault:
        trace.step("fault", f"{state.make().name} {fault.words}")
        return _as_found(unavailable(Reason.STATE_UNAVAILABLE), "tokens cannot be kept", trace)
    return _as_found(TOKEN_VALID, "tokens can be kept", trace)


def render(probes: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = []
    for key, found in probes.items():
        well = found["verdict"] == Verdict.ACCEPTED.value
        title = "[authbridge] state" if key == STATE else f"[{key}]"
        lines.append(f"{title} " + ("answers" if well else f"fails: {found['words']}"))
        lines += [f"  {step:<15} {words}" for step, words in found["steps"]]
    return lines


def _as_found(outcome: Outcome, words: str, trace: Trace) -> dict[str, Any]:
    return {
        "verdict": outcome.verdict.value,
        "reason": outcome.reason.value,
        "words": words,
        "steps": trace.steps,
    }
