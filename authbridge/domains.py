"""[domains."NAME"]: who is asked about the users of a domain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authbridge.checkers import CheckerSettings
from authbridge.localparts import Localparts, read_localparts
from authbridge.prebind import BoshSettings
from authbridge.settings import Table, did_you_mean

_WORDS = ("always", "never", "seen")
_ANY = '"always", "never" or "seen"'

Checkers = Mapping[str, CheckerSettings | None]
"""By name; None is one with a mistake in it."""


@dataclass(frozen=True, slots=True)
class DomainSettings:
    """[domains."NAME"]: names of checkers."""

    check: tuple[str, ...]
    exists: tuple[str, ...] | bool
    """True: "always"; False: "never"."""
    never: Localparts = field(default_factory=Localparts)
    """Users whom no token is accepted for."""
    seen: bool = False
    """Who has logged in before exists, and nobody else; `exists` names nobody."""
    bosh: BoshSettings | None = None
    """Where users are logged in for a page."""

    @classmethod
    def read(cls, table: Table, checkers: Checkers) -> DomainSettings:
        """Read the table, and close it."""
        check = table.some_texts("check", "names no checker, so that nobody could log in")
        tokens = tuple(name for name in check if _recognises(checkers.get(name)))
        exists = _read_exists(table, check, checkers)
        never = _read_never(table, check, checkers)
        bosh = BoshSettings.read(table)
        table.close()
        _check_tokens(table, check, tokens)
        _check_takers(table, check, checkers)
        _check_alike(table, check, checkers)
        _check_registration(table, exists, {name: checkers.get(name) for name in check})
        _check_names(table, "check", check, checkers)
        if isinstance(exists, tuple) and "exists" in table:
            _check_names(table, "exists", exists, checkers)
        seen = table.data.get("exists") == "seen"
        return cls(check, exists, never, seen=seen, bosh=bosh)


def _read_exists(
    table: Table, check: tuple[str, ...], checkers: Checkers
) -> tuple[str, ...] | bool:
    table.knows("exists")
    given = table.data.get("exists")
    if table.given_as_text("exists") and (given in _WORDS or given not in checkers):
        word = table.choice("exists", _WORDS, "never")
        return () if word == "seen" else word == "always"
    if "exists" in table and not isinstance(given, list):
        example = given if isinstance(given, str) else "corp"
        words = f'should be "always", "never", "seen" or a list of checkers: ["{example}"]'
        table.wrong("exists", words)
        return ()
    if "exists" in table:
        exists = table.texts("exists")
    else:
        blind = [name for name in check if _has_tokens(checkers.get(name))]
        exists = tuple(name for name in check if name not in blind)
        if blind and not exists:
            table.wrong(
                "exists",
                f"is missing, and {blind[0]} cannot tell who exists; give {_ANY} "
                "(docs/tokens.md says what becomes of messages), or a checker that can",
            )
    for name in exists:
        if (checker := checkers.get(name)) is not None and not checker.knows_users:
            table.wrong(
                "exists",
                f"{name} cannot tell who exists; give {_ANY}, or a checker that can",
            )
    return exists


def _check_names(table: Table, setting: str, names: tuple[str, ...], checkers: Checkers) -> None:
    for name in names:
        if name not in checkers:
            table.wrong(setting, f"there is no [checkers.{name}]{did_you_mean(name, checkers)}")


def _recognises(checker: CheckerSettings | None) -> bool:
    return checker is not None and checker.recognises


def _has_tokens(checker: CheckerSettings | None) -> bool:
    """Whether it judges tokens, and says nothing of users who do not show one."""
    if checker is None:
        return False
    return checker.recognises or (checker.own_tokens and not checker.knows_users)


def _may_refuse(checker: CheckerSettings | None) -> bool:
    """Whether `never` means anything to it."""
    return checker is not None and (checker.recognises or checker.own_tokens)


def _read_never(table: Table, check: tuple[str, ...], checkers: Checkers) -> Localparts:
    names = table.texts("never", ())
    found = [checkers.get(name) for name in check]
    if names and found and None not in found and not any(map(_may_refuse, found)):
        table.wrong("never", 'is about tokens, and no checker of kind "token" is in check')
    return read_localparts(table, "never", names)


def _check_tokens(table: Table, check: tuple[str, ...], tokens: tuple[str, ...]) -> None:
    """Who stands before a token checker would get to see tokens."""
    if len(tokens) > 1:
        table.wrong("check", f"{tokens[1]} is never asked: {tokens[0]} decides on every token")
    elif tokens and check[0] != tokens[0]:
        table.wrong("check", f"{tokens[0]} has to come first: {check[0]} would be shown tokens")


def _check_takers(table: Table, check: tuple[str, ...], checkers: Checkers) -> None:
    """Who takes everything for a token would be shown the passwords of others."""
    chain = {name: checkers.get(name) for name in check}
    for name, checker in chain.items():
        if checker is None or not checker.takes_all:
            continue
        others = [
            other
            for other, elsewhere in chain.items()
            if other != name and elsewhere is not None and not elsewhere.recognises
        ]
        if others:
            table.wrong(
                "check",
                f"{name} would be shown the passwords of {others[0]}, and {others[0]} its tokens: "
                f"say what the tokens of {name} look like (token_length, token_prefix)",
            )


def _check_alike(table: Table, check: tuple[str, ...], checkers: Checkers) -> None:
    """Of those who recognise a token the last alone is asked: it must not be another's."""
    before: list[tuple[str, CheckerSettings]] = []
    for name in check:
        checker = checkers.get(name)
        if checker is None:
            continue
        for other, elsewhere in before:
            if checker.own_issuer and checker.own_issuer == elsewhere.own_issuer:
                words = f"the tokens of one issuer: {name} decides, and {other} is never asked"
                table.wrong("check", f"{other} and {name} have {words}")
            if checker.shape and elsewhere.shape and checker.shape.takes(elsewhere.shape):
                table.wrong(
                    "check",
                    f"{name} would be shown the tokens of {other}, which may look like its own: "
                    "say better what each look like (token_length, token_prefix)",
                )
        before.append((name, checker))


def _check_registration(table: Table, exists: tuple[str, ...] | bool, chain: Checkers) -> None:
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
