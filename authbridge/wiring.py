"""What answers logins, wired: checkers, authenticator, and where tokens are kept; no listener."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred

from authbridge.authenticator import Authenticator
from authbridge.chains import Domain, NamedChecker
from authbridge.checkers import AT_ONCE, MOST_WAITING, Surroundings
from authbridge.checkers.token import TokenSettings
from authbridge.config import Configuration
from authbridge.control import Explainer
from authbridge.domain_names import ANY_DOMAIN
from authbridge.frontends.extauth import ExtauthFrontEnd
from authbridge.frontends.http import HttpFrontEnd
from authbridge.frontends.http_cookie import CookieLogins, CookieSite
from authbridge.frontends.http_oauth import OAuthPaths
from authbridge.frontends.http_tickets import Tickets
from authbridge.frontends.web import OpenSite, WebFrontEnd
from authbridge.issuers import published
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.issuers.signed import SignedTokens
from authbridge.localparts import Localparts
from authbridge.log import LoginLog, Write
from authbridge.model import JID
from authbridge.outbound.bosh import BoshServer
from authbridge.prebind import Prebind
from authbridge.seen_users import SeenUsers
from authbridge.sessions.shown import Session
from authbridge.stores.clock import Clock
from authbridge.stores.ledger import Ledger
from authbridge.stores.operations import StoreFault
from authbridge.token_office.lookup import Kinds
from authbridge.token_office.office import TokenOffice
from authbridge.turns import Turns
from authbridge.workers import Workers

HASHES_WAITING = 1000
"""Passwords that may wait to be hashed; at 30 ms each, more would not be done in time anyway."""


@dataclass(frozen=True, slots=True)
class House:
    """What answers logins, without the listeners: the daemon's, and that of `--standalone`."""

    authenticator: Authenticator
    checkers: Mapping[str, NamedChecker]
    surroundings: Surroundings
    configuration: Configuration
    office: TokenOffice | None
    """None where the configuration has no use for one."""
    bosh_servers: Mapping[str, BoshServer]
    """Of each domain that has one, "*" for all others."""
    prebind: Prebind | None
    """None where no domain has a `bosh_url`, or nothing keeps tokens."""
    sessions: Mapping[str, Session]
    """Of each site."""

    def open_state(self) -> None:
        """Open the file with the state, so that a daemon that must not use it does not start.
        SystemExit says why. What may be well in a moment, such as a full disk, is waited for."""
        ledger = self.surroundings.ledger
        if ledger is None or self.configuration.state.shared:
            return
        try:
            ledger.open()
        except StoreFault as fault:
            if fault.refused:
                raise SystemExit(f"authbridge: state {ledger.name}: {fault.words}") from None

    def start(self) -> None:
        """Let the work begin."""
        self.surroundings.workers.start()
        self.surroundings.issuers.start()
        for start in self.surroundings.at_start:
            start()
        if self.surroundings.ledger is not None:
            self.surroundings.ledger.start()
        for session in self.sessions.values():
            session.start()

    def stop(self) -> None:
        """End it."""
        for stop in self.surroundings.at_stop:
            stop()
        self.surroundings.issuers.stop()
        for session in self.sessions.values():
            session.stop()
        for server in self.bosh_servers.values():
            server.close()
        if self.surroundings.ledger is not None:
            self.surroundings.ledger.stop()
        self.surroundings.workers.stop()

    def extauth(self) -> ExtauthFrontEnd:
        """The front end of ejabberd."""
        return ExtauthFrontEnd(self.authenticator, self.configuration.extauth)

    def http(self, machine: str) -> HttpFrontEnd:
        """The front end of programs. `machine` is the name of this one."""
        configuration, logins = self.configuration, self.authenticator.logins
        never = self.surroundings.never_token
        seen = self.authenticator.has_logged_in
        cookies = CookieLogins(self._cookie_sites(), logins, never, seen, HttpFrontEnd.NAME)
        oauth = OAuthPaths(
            self.authenticator,
            Tickets(time.monotonic, os.urandom),
            configuration.clients,
            time.time,
            configuration.http.deadline,
            HttpFrontEnd.NAME,
        )
        return HttpFrontEnd(
            self.authenticator,
            configuration.http,
            configuration.clients,
            machine,
            self.office,
            self.prebind,
            cookies,
            oauth,
        )

    def _cookie_sites(self) -> Mapping[str, CookieSite]:
        return {
            site.domain: CookieSite(f"site:{name}", self.sessions[name], site.user)
            for name, site in self.configuration.sites.items()
            if site.session.of_cookies
        }

    def web(self) -> WebFrontEnd:
        """The front end of browsers."""
        sites: dict[str, OpenSite] = {}
        for name, site in self.configuration.sites.items():
            at = OpenSite(site, self.sessions[name], time.monotonic)
            sites |= dict.fromkeys(site.hosts, at)
        deadline = self.configuration.web.deadline
        return WebFrontEnd(sites, self.office, self.prebind, self.authenticator.logins, deadline)

    def explainer(self) -> Explainer:
        """What `explain` asks."""
        configuration = self.configuration
        return Explainer(self.authenticator, configuration.extauth, configuration.deadline)


def build(
    configuration: Configuration, write: Write, reactor: Any, *, visiting: bool = False
) -> House:
    """Wire the checkers and the authenticator. `write` takes the lines of logins. `visiting`: for a
    command, which must not take a state in a file from the daemon."""
    workers = Workers(reactor, threads=os.cpu_count() or 1, most_waiting=HASHES_WAITING)
    surroundings = Surroundings(
        reactor,
        workers,
        time.time,
        random.random,
        time.monotonic,
        os.urandom,
        issuers=make_issuers(configuration, reactor),
        never_token=never_token(configuration),
        ledger=make_ledger(configuration, reactor, visiting=visiting),
    )
    seen_users = SeenUsers(surroundings.ledger)
    turns, lookups = Turns(AT_ONCE, MOST_WAITING), Turns(AT_ONCE, MOST_WAITING)
    seen = NamedChecker("seen", seen_users, turns, lookups)
    checkers = {
        name: NamedChecker(
            name,
            settings.make(surroundings),
            turns=Turns(settings.at_once, settings.most_waiting),
            lookups=Turns(settings.at_once, settings.most_waiting),
        )
        for name, settings in configuration.checkers.items()
    }
    domains = {
        name: Domain(
            check=tuple(checkers[checker] for checker in settings.check),
            exists=settings.exists
            if isinstance(settings.exists, bool)
            else tuple(checkers[checker] for checker in settings.exists) + (seen,) * settings.seen,
            seen=seen_users.note if settings.seen else None,
        )
        for name, settings in configuration.domains.items()
    }
    login_log = LoginLog(configuration.log, write, time.time)
    boot = os.urandom(2).hex()
    authenticator = Authenticator(domains, login_log, reactor, boot)
    office = make_office(configuration, surroundings, login_log)
    servers = make_bosh_servers(configuration, reactor)
    return House(
        authenticator,
        checkers,
        surroundings,
        configuration,
        office,
        servers,
        Prebind(office, servers, time.monotonic) if office and servers else None,
        make_sessions(configuration, reactor),
    )


def make_bosh_servers(configuration: Configuration, reactor: Any) -> Mapping[str, BoshServer]:
    """Where users are logged in for a page, by domain."""
    return {
        name: domain.bosh.make(reactor, os.urandom)
        for name, domain in configuration.domains.items()
        if domain.bosh is not None
    }


def make_sessions(configuration: Configuration, reactor: Any) -> Mapping[str, Session]:
    """How each site's users are known."""
    return {
        name: site.session.make(name, reactor, time.time, random.random, os.urandom)
        for name, site in configuration.sites.items()
    }


def make_ledger(configuration: Configuration, reactor: Any, *, visiting: bool) -> Ledger | None:
    """The way to the state, if there is use for one."""
    state = configuration.state
    if not configuration.uses_of_state or (visiting and not state.shared):
        return None
    return Ledger(state.make(), reactor, Clock(time.time, time.monotonic), time.monotonic)


def make_office(
    configuration: Configuration, surroundings: Surroundings, login_log: LoginLog
) -> TokenOffice | None:
    """Who issues and revokes tokens, if there is anything to be kept of them."""
    if surroundings.ledger is None:
        return None
    never = surroundings.never_token
    return TokenOffice(
        surroundings.ledger,
        SignedTokens(surroundings.issuers, never, surroundings.wall),
        configuration.issuers,
        accepted_kinds(configuration),
        never,
        login_log,
        surroundings.wall,
        time.monotonic,
        os.urandom,
    )


def accepted_kinds(configuration: Configuration) -> Kinds:
    """The kinds of tokens that a domain's checkers accept; None of a domain that is not served."""
    none: frozenset[str] = frozenset()
    found = {
        name: none.union(
            *(
                checker.settings.accept
                for checker in map(configuration.checkers.__getitem__, domain.check)
                if isinstance(checker.settings, TokenSettings)
            )
        )
        for name, domain in configuration.domains.items()
    }
    return lambda domain: found.get(domain, found.get(ANY_DOMAIN))


def make_issuers(configuration: Configuration, reactor: Any) -> Issuers:
    """The issuers with their keys, of files or fetched."""
    found = []
    for settings in configuration.issuers.values():
        fetched = None
        if settings.jwks is not None:
            fetched = published.make(settings, settings.jwks, reactor, random.random)
        found.append(Issuer(settings, fetched))
    return Issuers(found, reactor.seconds)


def never_token(configuration: Configuration) -> Callable[[JID], bool]:
    """Whether a domain's `never` names a user."""
    everywhere = configuration.domains.get(ANY_DOMAIN)
    others = Localparts() if everywhere is None else everywhere.never
    never = {name: domain.never for name, domain in configuration.domains.items()}
    return lambda jid: jid.local in never.get(jid.domain, others)


def visit(configuration: Configuration, walk: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """Build a house for a command that asks something and ends, without a daemon."""
    from twisted.internet import reactor as installed
    from twisted.internet.task import react

    async def stay() -> None:
        house = build(configuration, lambda _line: None, installed, visiting=True)
        house.start()
        try:
            await walk(house)
        finally:
            house.stop()

    try:
        react(lambda _reactor: Deferred.fromCoroutine(stay()))
    except SystemExit as end:
        if end.code:
            raise
