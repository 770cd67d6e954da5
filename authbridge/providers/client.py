"""How we show a provider who asks (RFC 6749, 2.3.1)."""

from __future__ import annotations

from dataclasses import dataclass

from authbridge.secret import Secret
from authbridge.settings import Table

CLIENT = ("client_id", "client_secret_file", "client_auth")
"""The settings."""


@dataclass(frozen=True, slots=True)
class Client:
    """One of the provider's clients."""

    name: str
    secret: Secret
    in_form: bool
    """The secret is sent there, and not in an Authorization header."""

    @classmethod
    def read(cls, table: Table) -> Client:
        """Read the settings."""
        return cls(
            table.text("client_id"),
            table.secret_file("client_secret_file"),
            table.choice("client_auth", ("basic", "post"), "basic") == "post",
        )
