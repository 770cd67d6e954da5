"""The settings of [checkers.NAME] that say which answer of a website is a yes and which a no."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

from authbridge.settings import Table
from authbridge.wire.website import OF_SECRET, OF_SIGNATURE, OK, Manner, Rules, Value, is_one_of

_WITHOUT_A_BODY = frozenset({204, 205})
_YES = range(200, 300)
_NO = (*range(200, 300), *range(400, 500))


def read_rules(table: Table, manner: Manner) -> Rules:
    """What an answer to a password means."""
    # Where we show a secret of our own, a refusal may well be meant for us.
    refused = () if manner.secret is not None else (401,)
    member = _path(table, "answer_member")
    values = {"accepted_value": True, "refused_value": False, "unknown_value": None}
    yes, no, nobody = _read_values(table, "answer_member", values, given="answer_member" in table)
    rules = Rules(
        accepted=_statuses(table, "accepted", (OK,), _YES),
        refused=_statuses(table, "refused", refused, _NO),
        unknown=_statuses(table, "unknown", (), _NO),
        member=member,
        accepted_values=yes,
        refused_values=no,
        unknown_values=nobody,
        user=_path(table, "user_member"),
        of_secret=OF_SIGNATURE if manner.request == "xcauth" else OF_SECRET,
    )
    _check_statuses(table, rules)
    if rules.looks_closer:
        if rules.accepted & _WITHOUT_A_BODY:
            table.wrong("accepted", "holds a status without a body, which answer_member is about")
        if manner.method == "HEAD":
            table.wrong(
                "method", "HEAD gets no body, which answer_member and user_member are about"
            )
    elif (
        manner.request != "basic"
        and OK in rules.accepted
        and table.mistaken.isdisjoint(("answer_member", "user_member"))
    ):
        table.wrong(
            "accepted",
            "takes 200 for a yes, which a page with a login form has as well: say which member of "
            "a JSON answer tells (answer_member, user_member), or name another status",
        )
    return rules


def read_exists_rules(table: Table, request: str, rules: Rules, *, offered: bool) -> Rules:
    """What an answer to "does the user exist?" means; `offered` where the site is asked that."""
    member = "data.isUser"
    offered = offered and request != "xcauth"
    if offered:
        member = _path(table, "exists_member") or "exists"
    else:
        words = "is about exists_url, and there is none"
        if request == "xcauth":
            words = f'is {member} with request = "xcauth"'
        table.misplaced("exists_member", words)
    values = {"exists_value": True, "missing_value": False}
    yes, nobody = _read_values(table, "exists_url", values, given=offered)
    return Rules(unknown=rules.unknown, member=member, accepted_values=yes, unknown_values=nobody)


def _statuses(
    table: Table, setting: str, default: tuple[int, ...], possible: Collection[int]
) -> frozenset[int]:
    table.knows(setting)
    given = table.data.get(setting, list(default))
    if isinstance(given, list) and all(type(one) is int and one in possible for one in given):
        return frozenset(given)
    range_ = "200 to 299" if possible is _YES else "200 to 299 and 400 to 499"
    table.wrong(setting, f"should be a list of statuses, of {range_}; a redirect is no answer")
    return frozenset()


def _check_statuses(table: Table, rules: Rules) -> None:
    if not rules.accepted and "accepted" not in table.mistaken:
        table.wrong("accepted", "names no status, so that nobody could log in")
    for setting, statuses, others in (
        ("refused", rules.refused, rules.accepted),
        ("unknown", rules.unknown, rules.accepted | rules.refused),
    ):
        if twice := sorted(statuses & others):
            table.wrong(setting, f"{twice[0]} has another meaning already")


def _path(table: Table, setting: str) -> str:
    path = table.text(setting, "")
    if path and not all(path.split(".")):
        table.wrong(setting, 'should be the name of a member, as in "user" or "data.user"')
        return ""
    return path


def _read_values(
    table: Table, about: str, defaults: Mapping[str, Value | None], *, given: bool
) -> list[tuple[Value, ...]]:
    """Values of a member, each of which has one meaning."""
    found: list[tuple[Value, ...]] = []
    for setting, default in defaults.items():
        if not given:
            table.misplaced(setting, f"is about {about}, and there is none")
        values = _values(table, setting, default)
        if twice := [one for others in found for one in others if is_one_of(one, values)]:
            table.wrong(setting, f"{json.dumps(twice[0])} has another meaning already")
        found.append(values)
    return found


def _values(table: Table, setting: str, default: Value | None) -> tuple[Value, ...]:
    table.knows(setting)
    if setting not in table:
        return () if default is None else (default,)
    value: Any = table.data[setting]
    values = value if isinstance(value, list) else [value]
    if values and all(type(one) in (str, bool, int, float) and is_in_json(one) for one in values):
        return tuple(values)
    table.wrong(setting, "should be a string, a number, true or false, or a list of them")
    return ()


def is_in_json(value: Value) -> bool:
    """TOML has numbers that JSON has not."""
    return not isinstance(value, float) or math.isfinite(value)
