"""python-ldap in threads, each with a connection for searches and one for binds that stay open."""

from __future__ import annotations

from typing import Any

import ldap
from ldap.dn import escape_dn_chars
from ldap.filter import escape_filter_chars

from bench.ldap_threads import ATTRIBUTES, Arguments, Command, Login, serve

PATIENCE = 5.0


def main() -> None:
    """Serve until stdin ends."""
    given = Arguments.read()
    options: Any = ldap
    for option, value in (
        ("OPT_X_TLS_CACERTFILE", given.certificate_authority),
        ("OPT_X_TLS_REQUIRE_CERT", options.OPT_X_TLS_DEMAND),
        ("OPT_X_TLS_PROTOCOL_MIN", options.OPT_X_TLS_PROTOCOL_TLS1_2),
        ("OPT_REFERRALS", 0),
        ("OPT_X_TLS_NEWCTX", 0),  # one context for all connections
    ):
        options.set_option(getattr(options, option), value)

    def opened(link: str) -> Any:
        connection = options.initialize(given.tls if link == "tls" else given.plain)
        connection.network_timeout = connection.timeout = PATIENCE
        connection.simple_bind_s(given.service_dn, given.service_password)
        return connection

    def connect(command: Command) -> Login:
        binding = opened(command.link)
        searching = opened(command.link) if command.operation == "search" else None

        def bind(dn: str, password: str) -> bool:
            try:
                binding.simple_bind_s(dn, password)
            except options.INVALID_CREDENTIALS:
                return False
            return True

        def directly(user: str, password: str) -> bool:
            return bind(given.user_dn.replace("{user}", escape_dn_chars(user)), password)

        def found(user: str, password: str) -> bool:
            text = given.filter.replace("{user}", escape_filter_chars(user))
            subtree = options.SCOPE_SUBTREE
            entries = searching.search_ext_s(
                given.base, subtree, text, ATTRIBUTES, timeout=PATIENCE, sizelimit=2
            )
            ((dn, attributes),) = entries
            if attributes["uid"] != [user.encode()]:
                raise RuntimeError(f"{user}: somebody else's entry")
            return bind(dn, password)

        return found if command.operation == "search" else directly

    serve(connect)


if __name__ == "__main__":
    main()
