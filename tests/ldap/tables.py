"""[checkers.corp] of a test, as far as it is about the directory's servers."""

from __future__ import annotations

from authbridge.ldap.presets import PRESETS
from authbridge.ldap.settings import DirectorySettings
from authbridge.settings import Mistakes, Table
from tests.ldap.certificates import Authority

SERVICE = "cn=service,dc=example,dc=org"
SECRET = b"through-the-glass"
OURS = Authority("ours")


def read(folder, *, preset="openldap", **given):
    """The settings, and the mistakes in them."""
    mistakes = Mistakes()
    data = {"servers": ["ldaps://ldap.example.org"], **given}
    data = {name: value for name, value in data.items() if value is not None}
    table = Table(data, "checkers.corp", mistakes, folder)
    settings = DirectorySettings.read(table, PRESETS[preset])
    table.close()
    return settings, list(mistakes)
