"""ldap3 SAFE_SYNC in threads, each with a connection for searches and one for binds that stay open.

Its traps are avoided: no schema is read, Nagle is off, the tuples are looked into.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

import ldap3
from ldap3.core.results import RESULT_INVALID_CREDENTIALS, RESULT_SUCCESS
from ldap3.utils.conv import escape_filter_chars
from ldap3.utils.dn import escape_rdn

from bench.ldap_threads import ATTRIBUTES, Arguments, Command, Login, serve

PATIENCE = 5


def main() -> None:
    """Serve until stdin ends."""
    given = Arguments.read()
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=given.certificate_authority)
    servers: Any = {
        "plain": ldap3.Server(given.plain, get_info=ldap3.NONE, connect_timeout=PATIENCE),
        "tls": ldap3.Server(given.tls, get_info=ldap3.NONE, connect_timeout=PATIENCE, tls=tls),
    }

    def opened(link: str) -> Any:
        connection: Any = ldap3.Connection(
            servers[link],
            given.service_dn,
            given.service_password,
            client_strategy=ldap3.SAFE_SYNC,
            auto_referrals=False,
            receive_timeout=PATIENCE,
        )
        connection.open()
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted, *_ = connection.bind()
        if not accepted:
            raise RuntimeError("the service account was refused")
        return connection

    def connect(command: Command) -> Login:
        binding = opened(command.link)
        searching = opened(command.link) if command.operation == "search" else None

        def bind(dn: str, password: str) -> bool:
            accepted, result, *_ = binding.rebind(dn, password)
            code = result["result"]
            if (code, accepted) not in (
                (RESULT_SUCCESS, True),
                (RESULT_INVALID_CREDENTIALS, False),
            ):
                raise RuntimeError(f"bind: {result}")
            return code == RESULT_SUCCESS

        def directly(user: str, password: str) -> bool:
            return bind(given.user_dn.replace("{user}", escape_rdn(user)), password)

        def found(user: str, password: str) -> bool:
            text = given.filter.replace("{user}", escape_filter_chars(user))
            done, result, entries, _ = searching.search(
                given.base, text, ldap3.SUBTREE, attributes=ATTRIBUTES, size_limit=2
            )
            if not done:
                raise RuntimeError(f"search: {result}")
            (entry,) = entries
            if entry["attributes"]["uid"] != [user]:
                raise RuntimeError(f"{user}: somebody else's entry")
            return bind(entry["dn"], password)

        return found if command.operation == "search" else directly

    serve(connect)


if __name__ == "__main__":
    main()
