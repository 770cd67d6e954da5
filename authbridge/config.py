"""The configuration file: each module's own settings, composed, and what must fit together."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from authbridge import preparation, site_rules
from authbridge.checkers import CheckerSettings
from authbridge.checkers.token import TEMPORARY, TokenSettings
from authbridge.domain_names import ANY_DOMAIN
from authbridge.domains import DomainSettings
from authbridge.frontends.clients import Client
from authbridge.frontends.extauth import LONGEST_DEADLINE, ExtauthSettings
from authbridge.frontends.http import HttpSettings
from authbridge.frontends.sites import Site
from authbridge.frontends.web import WebSettings
from authbridge.issuers import key_files
from authbridge.issuers.keyring import Keyring, contradictions
from authbridge.issuers.settings import KINDS, OF_KEYS, IssuerSettings
from authbridge.listeners import Listener, read_listeners
from authbridge.log import LogSettings
from authbridge.settings import ConfigurationError, Mistakes, Table, did_you_mean, full_name
from authbridge.stores.settings import StateSettings
from authbridge.takers import Takers
from authbridge.uses_of_state import uses_of_state

DEADLINE = 8.0
"""Seconds; ejabberd gives up after 30, and a login may have waited in its queue before."""
LEAST_LEFT = 1.5
"""Seconds that a second server must have, the daemon's head start over the connector included."""
OF_LISTENERS = ("listen", "http", "web", "clients", "sites")
"""Sections that are there for listeners alone."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that the file says."""

    deadline: float
    state: StateSettings
    listen_extauth: tuple[Listener, ...]
    listen_http: tuple[Listener, ...]
    listen_web: tuple[Listener, ...]
    listen_control: tuple[Listener, ...]
    extauth: ExtauthSettings
    http: HttpSettings
    web: WebSettings
    log: LogSettings
    clients: Mapping[str, Client]
    sites: Mapping[str, Site]
    domains: Mapping[str, DomainSettings]
    """By prepared name, or "*"."""
    checkers: Mapping[str, CheckerSettings]
    issuers: Mapping[str, IssuerSettings]
    uses_of_state: tuple[str, ...] = ()
    """What `state` is needed for, by setting; without any it is not opened."""


def load(path: Path, *, listens: bool = True, standalone: bool = False) -> Configuration:
    """Read and judge a file. Raises ConfigurationError with every mistake in it.

    With `standalone` it is for `authbridge-extauth --standalone`, of which ejabberd starts several.
    Without `listens` it is for a program that opens no listener: [listen], [http] and [clients]
    need not be there, and nothing in them is looked at, so that no mistake of theirs and no secret
    or key that cannot be read keeps anybody out.
    """
    try:
        data = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigurationError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path} is not UTF-8"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([f"{path} is not TOML: {error}"]) from None
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        raise ConfigurationError(
            [f"{path} is nested too deeply, or has too long a number"]
        ) from None
    if not listens:
        data = {section: value for section, value in data.items() if section not in OF_LISTENERS}
    mistakes = Mistakes()
    configuration = _read(Table(data, "", mistakes, path.absolute().parent), listens=listens)
    uses = configuration.uses_of_state
    if standalone and uses and not configuration.state.shared:
        mistakes.add(
            "authbridge.state",
            f"{uses[0]}, and ejabberd starts several --standalone programs, which cannot share one "
            'SQLite file; give state = "redis://…", or run the daemon',
        )
    mistakes.check()
    return configuration


def _read(root: Table, *, listens: bool = True) -> Configuration:
    general = root.table("authbridge")
    deadline = general.duration("deadline", DEADLINE, least=0.1, most=LONGEST_DEADLINE)
    state = StateSettings.read(general)
    general.close()
    listen = root.table("listen")
    listen_extauth = read_listeners(listen, "extauth")
    listen_http = read_listeners(listen, "http")
    listen_web = read_listeners(listen, "web")
    listen_control = read_listeners(listen, "control")
    listen.close()
    seen: set[str] = set()
    for listener in listen_extauth + listen_http + listen_web + listen_control:
        where = str(listener.path or listener.text)
        if where in seen:
            listen.mistakes.add("listen", f'"{listener.text}" is given twice')
        seen.add(where)
    for listener in listen_extauth + listen_control:
        if listener.kind not in ("unix", "systemd"):
            listen.mistakes.add(
                "listen", f'"{listener.text}" must be a Unix socket: the kernel says who calls'
            )
    checkers = {
        name: CheckerSettings.read(table) for name, table in root.named_tables("checkers").items()
    }
    if None in checkers.values():
        root.mistaken.add("checkers")
    http = HttpSettings.read(root.table("http"), deadline)
    issuers, rings = _read_issuers(root)
    domains = _read_domains(root, checkers)
    configuration = Configuration(
        deadline=deadline,
        state=state,
        listen_extauth=listen_extauth,
        listen_http=listen_http,
        listen_web=listen_web,
        listen_control=listen_control,
        extauth=ExtauthSettings.read(root.table("extauth"), deadline, serves=bool(listen_extauth)),
        http=http,
        web=WebSettings.read(root.table("web"), deadline),
        log=LogSettings.read(root.table("log")),
        clients={
            name: Client.read(name, table, http.deadline)
            for name, table in root.named_tables("clients").items()
        },
        sites={name: Site.read(name, table) for name, table in root.named_tables("sites").items()},
        domains=domains,
        checkers={name: checker for name, checker in checkers.items() if checker is not None},
        issuers=issuers,
        uses_of_state=uses_of_state(checkers, issuers, domains),
    )
    root.close()
    _check_issuers(root, configuration)
    site_rules.check_keys(root, configuration.sites, rings)
    if listens:
        _check_listeners(root, configuration)
    _check_deadlines(root, configuration)
    _check_namesakes(root, configuration)
    return configuration


def _read_domains(
    root: Table, checkers: Mapping[str, CheckerSettings | None]
) -> dict[str, DomainSettings]:
    domains: dict[str, DomainSettings] = {}
    tables = root.named_tables("domains")
    for name, table in tables.items():
        settings = DomainSettings.read(table, checkers)
        try:
            prepared = name if name == ANY_DOMAIN else preparation.domain(name.encode())
        except preparation.Unprepared as error:
            root.mistakes.add(table.key, str(error))
            root.mistaken.add("domains")
            continue
        if prepared in domains:
            root.mistakes.add(table.key, f"is the same domain as another table: {prepared}")
            root.mistaken.add("domains")
        domains[prepared] = settings
    if not tables and "domains" not in root.mistaken:
        root.mistakes.add("domains", 'no domain is served; [domains."example.org"] adds one')
    return domains


def _read_issuers(root: Table) -> tuple[dict[str, IssuerSettings], dict[str, Keyring]]:
    """The issuers and their keys. These are read, so that a mistake in them is one here; but not
    with settings that are mistaken, of which every key might seem to be the mistake."""
    issuers: dict[str, IssuerSettings] = {}
    rings: dict[str, Keyring] = {}
    sources: dict[str, str] = {}
    for name, table in root.named_tables("issuers").items():
        settings = issuers[name] = IssuerSettings.read(name, table)
        if not settings.kind:
            root.mistaken.add("issuers")
        if settings.jwks is not None or not table.mistaken.isdisjoint(OF_KEYS):
            continue
        source = sources[name] = "secret_file" if settings.bare else "keys"
        ring = rings[name] = key_files.load(settings, partial(table.wrong, source))
        if not ring and source not in table.mistaken:
            folders = ", ".join(map(str, settings.keys))
            table.wrong(source, f"no key is in {folders}; `authbridge key new` makes one")
    for name, words, _ in contradictions(rings):
        root.mistakes.add(full_name("issuers", name, sources[name]), words)
    return issuers, rings


def _check_issuers(root: Table, configuration: Configuration) -> None:
    """Issuers, the checkers that take their tokens, and the domains fit together. Where a mistake
    leaves open what a table means, nothing is said that may only follow from it."""
    accept = {
        name: checker.settings.accept
        for name, checker in configuration.checkers.items()
        if isinstance(checker.settings, TokenSettings)
    }
    if "issuers" not in root.mistaken:
        signed = {issuer.kind for issuer in configuration.issuers.values()}
        for name, kinds in accept.items():
            for kind in sorted(kinds.intersection(KINDS) - signed):
                words = f'"{kind}", and there is no issuer of that kind'
                root.mistakes.add(full_name("checkers", name, "accept"), words)
    for name, checker in configuration.checkers.items():
        if checker.own_issuer in configuration.issuers:
            root.mistakes.add(
                full_name("checkers", name, "issuer"),
                f"is {full_name('issuers', checker.own_issuer)} too: who judges its tokens would "
                "be anybody's guess; keep one of the two",
            )
    takers = Takers(
        {name: domain.check for name, domain in configuration.domains.items()},
        configuration.checkers,
        accept,
    )
    missed = {
        issuer.kind
        for name, issuer in configuration.issuers.items()
        if _misses_takers(root, configuration, name, takers)
    }
    _check_issuing(root, configuration, takers)
    site_rules.check_sites(root, configuration.sites, takers)
    site_rules.check_strangers(root, configuration.sites)
    site_rules.check_issuers(root, configuration.sites, configuration.issuers)
    for name, kinds in takers.idle.items():
        if "domains" not in root.mistaken and missed.isdisjoint(kinds):
            root.mistakes.add(
                full_name("checkers", name), "is in no domain's check, so that it is never asked"
            )


def _misses_takers(root: Table, configuration: Configuration, name: str, takers: Takers) -> bool:
    """Whether a domain of this issuer has nobody who takes its tokens, which is said."""
    issuer, key = configuration.issuers[name], full_name("issuers", name, "domains")
    _check_served(root, configuration, key, issuer.domains)
    if issuer.kind and not takers.of(issuer.kind):
        if "checkers" not in root.mistaken:
            root.mistakes.add(
                full_name("issuers", name),
                f'is of kind "{issuer.kind}", which no checker of kind "token" accepts',
            )
    elif issuer.kind and "domains" not in root.mistaken:
        lacking = {domain: takers.lacks(domain, issuer.kind) for domain in sorted(issuer.domains)}
        for domain, words in lacking.items():
            if words:
                root.mistakes.add(key, f'"{domain}": {words}')
        return any(lacking.values())
    return False


def _check_issuing(root: Table, configuration: Configuration, takers: Takers) -> None:
    """Whoever may ask for temporary tokens has a domain that accepts one."""
    if not root.mistaken.isdisjoint(("checkers", "domains")):
        return
    for name, client in configuration.clients.items():
        verb = next((one for one in ("tokens", "prebind") if one in client.may), None)
        if verb is None:
            continue
        words = f'no checker of kind "token" accepts "{TEMPORARY}"'
        if takers.of(TEMPORARY):
            lacking = [takers.lacks(domain, TEMPORARY) for domain in sorted(client.domains)]
            words = lacking[0] if lacking and all(lacking) else ""
        if words:
            root.mistakes.add(full_name("clients", name, "may"), f'"{verb}": {words}')


def _check_served(
    root: Table, configuration: Configuration, key: str, domains: frozenset[str]
) -> None:
    served = configuration.domains
    if ANY_DOMAIN in served or "domains" in root.mistaken:
        return
    for domain in sorted(domains - {ANY_DOMAIN} - served.keys()):
        root.mistakes.add(key, f'"{domain}" is not served{did_you_mean(domain, served)}')


def _check_listeners(root: Table, configuration: Configuration) -> None:
    """What listens fits together with who may call."""
    add = root.mistakes.add
    if not (configuration.listen_extauth or configuration.listen_http or configuration.listen_web):
        add("listen", 'nothing listens; give extauth = ["unix:…"], http or web = ["tcp:…"]')
    outside = [listener.text for listener in configuration.listen_http if not listener.local]
    if configuration.http.anonymous and outside:
        add(
            "http.anonymous",
            f"is only for listeners on loopback or a Unix socket; {', '.join(outside)} is neither",
        )
    _check_peers(root, configuration)
    for table, limits in (("http", configuration.http), ("web", configuration.web)):
        if (
            limits.connections
            and limits.peer_connections
            and limits.peer_connections > limits.connections
        ):
            words = f"is more than {table}.connections, {limits.connections}"
            add(f"{table}.peer_connections", words)
    if configuration.listen_http and not (configuration.clients or configuration.http.anonymous):
        add("clients", "listen.http serves nobody yet; `authbridge client new NAME` makes a client")
    if configuration.listen_web and not configuration.sites and "sites" not in root.mistaken:
        add("sites", "listen.web serves nobody yet; [sites.NAME] adds a site")
    for name, client in configuration.clients.items():
        _check_served(root, configuration, full_name("clients", name, "domains"), client.domains)
    for name, site in configuration.sites.items():
        key = full_name("sites", name, "domain")
        _check_served(root, configuration, key, frozenset(filter(None, (site.domain,))))
    site_rules.check_callers(
        root,
        configuration.sites,
        configuration.clients,
        configuration.domains,
        anonymous=configuration.http.anonymous,
    )


def _check_peers(root: Table, configuration: Configuration) -> None:
    unix = any(listener.kind in ("unix", "systemd") for listener in configuration.listen_http)
    for name, client in configuration.clients.items():
        if client.unix and configuration.listen_http and not unix:
            root.mistakes.add(
                full_name("clients", name, "peers"),
                '"unix", and no listener of http is a Unix socket',
            )


def _check_deadlines(root: Table, configuration: Configuration) -> None:
    shortest = configuration.extauth.deadline
    if configuration.listen_http:
        shortest = min(shortest, configuration.http.deadline)
    for name, checker in configuration.checkers.items():
        if checker.patience and checker.patience + LEAST_LEFT > shortest:
            root.mistakes.add(
                full_name("checkers", name, "timeout"),
                f"with {checker.patience:g} s for a server, the deadline of {shortest:g} s leaves "
                f"less than {LEAST_LEFT:g} s to ask another",
            )


def _check_namesakes(root: Table, configuration: Configuration) -> None:
    """Whoever is registered in one domain may log in wherever the same checker is asked."""
    for name, domain in configuration.domains.items():
        if domain.exists is True:
            continue  # nobody is registered
        asked = set(domain.check) | set(domain.exists if isinstance(domain.exists, tuple) else ())
        registering = {
            checker
            for checker in domain.check
            if checker in configuration.checkers and configuration.checkers[checker].registers
        }
        for other, elsewhere in configuration.domains.items():
            unasked = sorted(set(elsewhere.check) - asked)
            for checker in sorted(registering & set(elsewhere.check)):
                if unasked:
                    root.mistakes.add(
                        full_name("domains", name, "check"),
                        f"{checker} registers users here, who may then log in at {other}, where "
                        f"{' and '.join(unasked)} may have another of the name; ask them here too, "
                        "or give each domain a checker of its own",
                    )
