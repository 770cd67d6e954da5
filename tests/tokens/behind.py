"""A kind of checker that stands behind the tokens', and remembers what it was shown."""

from __future__ import annotations

from authbridge import model
from authbridge.checkers import Surroundings
from authbridge.settings import Table
from tests.doubles import ScriptedChecker


def read_settings(table: Table) -> None:
    table.close()


def make_checker(settings: None, surroundings: Surroundings) -> ScriptedChecker:
    return ScriptedChecker(model.PASSWORD_MISMATCH)
