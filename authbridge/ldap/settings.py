"""What [checkers.NAME] says of a directory's servers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from authbridge.client_tls import read_ca_file
from authbridge.ldap import names
from authbridge.ldap.discovery import PREFIX, Service
from authbridge.ldap.presets import Preset
from authbridge.ldap.server import Server, ServerMistake
from authbridge.settings import Table


@dataclass(frozen=True, slots=True)
class DirectorySettings:
    """What [checkers.NAME] says of the directory's servers."""

    servers: tuple[Server, ...]
    """Empty where they are found by `service`."""
    service: Service | None
    encrypted: bool
    ca_file: Path | None
    bind_dn: str | None
    bind_password_file: Path | None
    timeout: float
    bind_connections: int
    search_connections: int
    most_waiting: int
    second_server_after_bind: bool
    writes: bool
    preset: Preset

    @classmethod
    def read(cls, table: Table, preset: Preset) -> DirectorySettings:
        """Read them; the table stays open."""
        service = _read_service(table)
        servers = _read_servers(table) if service is None else ()
        encrypted = _read_encryption(table, preset, [*servers, *filter(None, [service])])
        ca_file = read_ca_file(table)
        if ca_file is not None and not encrypted:
            table.wrong("ca_file", "verifies nothing beside insecure_clear_text = true")
        bind_dn, password_file = _read_account(table, preset)
        return cls(
            servers=servers,
            service=service,
            encrypted=encrypted,
            ca_file=ca_file,
            bind_dn=bind_dn,
            bind_password_file=password_file,
            timeout=table.duration("timeout", 4.0, least=0.1, most=25.0),
            bind_connections=table.number("bind_connections", 16, least=1, most=1000),
            search_connections=table.number("search_connections", 2, least=1, most=100),
            most_waiting=table.number("most_waiting", 20_000, least=1, most=1_000_000),
            second_server_after_bind=table.boolean("second_server_after_bind", False),
            writes=_read_writes(table),
            preset=preset,
        )


def _read_encryption(table: Table, preset: Preset, servers: Sequence[Server | Service]) -> bool:
    clear = table.boolean("insecure_clear_text", False)
    starttls = table.boolean("starttls", not clear)
    plain = [server for server in servers if not server.ldaps]
    if clear and servers and not plain:
        table.wrong("insecure_clear_text", "is for ldap:// servers; these are all ldaps://")
    elif clear and len(plain) < len(servers):
        table.wrong("insecure_clear_text", "is for all servers, and some are ldaps://")
    if clear and starttls and "starttls" in table:
        table.wrong("insecure_clear_text", "contradicts starttls = true")
    if plain and not starttls and not clear:
        table.wrong(
            "starttls",
            f"without it, passwords would go to {plain[0]} unencrypted; "
            "insecure_clear_text = true is how to allow that",
        )
    elif plain and not preset.starttls and not clear:
        table.wrong("servers", f"{plain[0]} has no StartTLS; ldaps:// is what it has")
    if clear and any(isinstance(one, Service) for one in plain):
        table.wrong("insecure_clear_text", "with srv: nothing but DNS would vouch for the servers")
    return not clear


def _read_account(table: Table, preset: Preset) -> tuple[str | None, Path | None]:
    if "bind_dn" not in table:
        if "bind_password_file" in table:
            table.private_file("bind_password_file")
            table.wrong("bind_password_file", "is the password of bind_dn, which is missing")
        return None, None
    bind_dn = table.text("bind_dn")
    if not (preset.windows and names.is_logon_name(bind_dn)):
        names.check_setting(table, "bind_dn", bind_dn)
    table.secret_file("bind_password_file")
    given = table.given_as_text("bind_password_file")
    return bind_dn, table.path("bind_password_file") if given else None


def _read_writes(table: Table) -> bool:
    writes = table.boolean("writes", False)
    if writes and "bind_dn" not in table:
        table.wrong("writes", "needs bind_dn, who does the writing")
    return writes


def _read_service(table: Table) -> Service | None:
    if not table.given_as_text("servers"):
        return None
    text = table.text("servers")
    try:
        return Service.parse(text) if text.startswith(PREFIX) else None
    except ServerMistake as mistake:
        table.wrong("servers", str(mistake))
        return Service(text, "", ldaps=True)  # a stand-in: the mistake has been said


def _read_servers(table: Table) -> tuple[Server, ...]:
    servers = []
    urls = table.texts("servers")
    if "servers" in table and isinstance(table.data["servers"], list) and not urls:
        table.wrong("servers", 'names none; ["ldaps://ldap.example.org"] is one')
    for url in urls:
        try:
            servers.append(Server.parse(url))
        except ServerMistake as mistake:
            table.wrong("servers", str(mistake))
    return tuple(servers)
