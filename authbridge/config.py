"""The configuration file: each module's own settings, composed, and what must fit together."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from authbridge import preparation
from authbridge.authenticator import ANY_DOMAIN
from authbridge.checkers import CheckerSettings
from authbridge.frontends.clients import Client
from authbridge.frontends.extauth import LONGEST_DEADLINE, ExtauthSettings
from authbridge.frontends.http import HttpSettings
from authbridge.listeners import Listener, read_listeners
from authbridge.log import LogSettings
from authbridge.settings import ConfigurationError, Mistakes, Table, did_you_mean

DEADLINE = 8.0
"""Seconds; ejabberd gives up after 30, and a login may have waited in its queue before."""
LEAST_LEFT = 1.5
"""Seconds that a second server must have, the daemon's head start over the connector included."""
OF_LISTENERS = ("listen", "http", "clients")
"""Sections that are there for listeners alone."""


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """[domains."NAME"]: names of checkers."""

    check: tuple[str, ...]
    exists: tuple[str, ...] | bool
    """True: "always"; False: "never"."""

    @classmethod
    def read(cls, table: Table, checkers: Mapping[str, CheckerSettings | None]) -> DomainSettings:
        """Read the table, and close it."""
        check = table.texts("check")
        if "check" in table and not check:
            table.wrong("check", "names no checker, so that nobody could log in")
        exists: tuple[str, ...] | bool = check
        if table.given_as_text("exists"):
            exists = table.choice("exists", ("always", "never"), "never") == "always"
        elif "exists" in table:
            exists = table.texts("exists")
        table.close()
        for name in exists if isinstance(exists, tuple) else ():
            if (checker := checkers.get(name)) is not None and not checker.knows_users:
                table.wrong(
                    "exists",
                    f'{name} binds as the user and cannot tell who exists; give "always" or '
                    '"never", or a checker that can',
                )
        _check_registration(table, exists, {name: checkers.get(name) for name in check})
        for setting, names in (("check", check), ("exists", exists)):
            for name in names if isinstance(names, tuple) else ():
                if name not in checkers:
                    table.wrong(
                        setting, f"there is no [checkers.{name}]{did_you_mean(name, checkers)}"
                    )
            if exists is check:
                break  # the same names: one mistake is one line
        return cls(check, exists)


def _check_registration(
    table: Table, exists: tuple[str, ...] | bool, chain: Mapping[str, CheckerSettings | None]
) -> None:
    registers = any(checker is not None and checker.registers for checker in chain.values())
    if exists is True or not registers:
        return  # where everybody exists, nobody is registered
    for name, checker in chain.items():
        if checker is not None and not checker.knows_users:
            table.wrong(
                "check",
                f"{name} cannot tell who exists, so that with another checker's new_users a "
                "stranger could register the name of one of its users",
            )


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that the file says."""

    deadline: float
    listen_extauth: tuple[Listener, ...]
    listen_http: tuple[Listener, ...]
    listen_control: tuple[Listener, ...]
    extauth: ExtauthSettings
    http: HttpSettings
    log: LogSettings
    clients: Mapping[str, Client]
    domains: Mapping[str, DomainSettings]
    """By prepared name, or "*"."""
    checkers: Mapping[str, CheckerSettings]


def load(path: Path, *, listens: bool = True) -> Configuration:
    """Read and judge a file. Raises ConfigurationError with every mistake in it.

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
    mistakes.check()
    return configuration


def _read(root: Table, *, listens: bool = True) -> Configuration:
    general = root.table("authbridge")
    deadline = general.duration("deadline", DEADLINE, least=0.1, most=LONGEST_DEADLINE)
    general.close()
    listen = root.table("listen")
    listen_extauth = read_listeners(listen, "extauth")
    listen_http = read_listeners(listen, "http")
    listen_control = read_listeners(listen, "control")
    listen.close()
    seen: set[str] = set()
    for listener in listen_extauth + listen_http + listen_control:
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
    http = HttpSettings.read(root.table("http"), deadline)
    configuration = Configuration(
        deadline=deadline,
        listen_extauth=listen_extauth,
        listen_http=listen_http,
        listen_control=listen_control,
        extauth=ExtauthSettings.read(root.table("extauth"), deadline, serves=bool(listen_extauth)),
        http=http,
        log=LogSettings.read(root.table("log")),
        clients={
            name: Client.read(name, table, http.deadline)
            for name, table in root.named_tables("clients").items()
        },
        domains=_read_domains(root, checkers),
        checkers={name: checker for name, checker in checkers.items() if checker is not None},
    )
    root.close()
    if listens:
        _check_listeners(root, configuration)
    _check_deadlines(root, configuration)
    _check_namesakes(root, configuration)
    return configuration


def _read_domains(
    root: Table, checkers: Mapping[str, CheckerSettings | None]
) -> dict[str, DomainSettings]:
    domains: dict[str, DomainSettings] = {}
    for name, table in root.named_tables("domains").items():
        settings = DomainSettings.read(table, checkers)
        try:
            prepared = name if name == ANY_DOMAIN else preparation.domain(name.encode())
        except preparation.Unprepared as error:
            root.mistakes.add(table.key, str(error))
            continue
        if prepared in domains:
            root.mistakes.add(table.key, f"is the same domain as another table: {prepared}")
        domains[prepared] = settings
    if not domains:
        root.mistakes.add("domains", 'no domain is served; [domains."example.org"] adds one')
    return domains


def _check_listeners(root: Table, configuration: Configuration) -> None:
    """What listens fits together with who may call."""
    add = root.mistakes.add
    if not (configuration.listen_extauth or configuration.listen_http):
        add("listen", 'nothing listens; give extauth = ["unix:…"] or http = ["tcp:…"]')
    outside = [listener.text for listener in configuration.listen_http if not listener.local]
    if configuration.http.anonymous and outside:
        add(
            "http.anonymous",
            f"is only for listeners on loopback or a Unix socket; {', '.join(outside)} is neither",
        )
    _check_peers(root, configuration)
    http = configuration.http
    if http.connections and http.peer_connections and http.peer_connections > http.connections:
        add("http.peer_connections", f"is more than http.connections, {http.connections}")
    if configuration.listen_http and not (configuration.clients or configuration.http.anonymous):
        add("clients", "listen.http serves nobody yet; `authbridge client new NAME` makes a client")
    if ANY_DOMAIN not in configuration.domains:
        for name, client in configuration.clients.items():
            for domain in sorted(client.domains - {ANY_DOMAIN} - configuration.domains.keys()):
                add(
                    f"clients.{name}.domains",
                    f'"{domain}" is not served{did_you_mean(domain, configuration.domains)}',
                )


def _check_peers(root: Table, configuration: Configuration) -> None:
    unix = any(listener.kind in ("unix", "systemd") for listener in configuration.listen_http)
    for name, client in configuration.clients.items():
        if client.unix and configuration.listen_http and not unix:
            root.mistakes.add(
                f"clients.{name}.peers", '"unix", and no listener of http is a Unix socket'
            )


def _check_deadlines(root: Table, configuration: Configuration) -> None:
    shortest = configuration.extauth.deadline
    if configuration.listen_http:
        shortest = min(shortest, configuration.http.deadline)
    for name, checker in configuration.checkers.items():
        if checker.patience and checker.patience + LEAST_LEFT > shortest:
            root.mistakes.add(
                f"checkers.{name}.timeout",
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
                        f'domains."{name}".check',
                        f"{checker} registers users here, who may then log in at {other}, where "
                        f"{' and '.join(unasked)} may have another of the name; ask them here too, "
                        "or give each domain a checker of its own",
                    )
