"""Domains as the configuration names them: prepared, or "*"."""

from __future__ import annotations

from authbridge import preparation
from authbridge.settings import Table

ANY_DOMAIN = "*"


def read_domains(table: Table, setting: str) -> frozenset[str]:
    """The prepared domains of a list in the configuration; "*" stands for all."""
    prepared = set()
    for name in table.texts(setting):
        try:
            prepared.add(name if name == ANY_DOMAIN else preparation.domain(name.encode()))
        except preparation.Unprepared as error:
            table.wrong(setting, f'"{name}": {error}')
    return frozenset(prepared)
