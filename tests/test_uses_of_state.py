"""What the state is needed for."""

from __future__ import annotations

from authbridge.checkers import CheckerSettings, token
from authbridge.checkers.token import TokenSettings
from authbridge.domains import DomainSettings
from authbridge.uses_of_state import uses_of_state
from tests.issuers.folders import settings


def checker(accept):
    return CheckerSettings(token, None if accept is None else TokenSettings(frozenset(accept)))


def issuer(folder, kind="jwt", **given):
    return settings(folder, kind, **given)


def test_signed_tokens_alone_have_no_use_for_it(tmp_path):
    checkers = {"tokens": checker(["jwt", "compact", "xcauth"]), "file": checker(None)}
    domains = {"example.org": DomainSettings(("tokens",), True)}
    assert uses_of_state(checkers, {"www": issuer(tmp_path)}, domains) == ()


def test_a_checker_with_a_mistake_says_nothing_of_it():
    assert uses_of_state({"tokens": None}, {}, {}) == ()


def test_each_use_is_named_by_its_setting(tmp_path):
    checkers = {"tokens": checker(["jwt", "temporary"]), "my tokens": checker(["temporary"])}
    issuers = {
        "www": issuer(tmp_path, single_use=True),
        "https://both.example": issuer(tmp_path, single_use=True, revocable=True),
        "forum": issuer(tmp_path, "compact", revocable=True),
    }
    domains = {"example.org": DomainSettings(("tokens",), (), seen=True)}
    assert uses_of_state(checkers, issuers, domains) == (
        'checkers.tokens.accept has "temporary"',
        'checkers."my tokens".accept has "temporary"',
        "issuers.www.single_use is true",
        'issuers."https://both.example".single_use is true',
        'issuers."https://both.example".revocable is true',
        "issuers.forum.revocable is true",
        'domains."example.org".exists is "seen"',
    )
