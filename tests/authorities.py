"""A kind of checker (`authbridge.checkers`) that says of itself what a test wants it to say."""

from __future__ import annotations

from types import SimpleNamespace

from authbridge import model
from authbridge.tokens.shapes import Shape
from tests.doubles import ScriptedChecker


def read_settings(table):
    given = SimpleNamespace(
        knows_users=table.boolean("knows_users", False),
        own_tokens=table.boolean("own_tokens", False),
        own_issuer=table.text("issuer", ""),
        takes_all=table.boolean("takes_all", False),
        shape=Shape.read(table),
    )
    table.close()
    return given


def make_checker(settings, surroundings):
    return ScriptedChecker(model.NOT_A_TOKEN)
