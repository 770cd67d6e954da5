"""[checkers.NAME] with kind = "http": what a website is asked, and what its answers mean."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from authbridge.checkers.http.presets import PRESETS, Preset
from authbridge.outbound.web_settings import WebSettings, read_host
from authbridge.secret import Secret
from authbridge.settings import Table, full_name
from authbridge.tokens.shapes import Shape
from authbridge.wire.http import B64TOKEN
from authbridge.wire.website import (
    OF_SECRET,
    OF_SIGNATURE,
    OK,
    REQUESTS,
    Manner,
    Rules,
    Value,
    is_one_of,
)

TIMEOUT = 5.0
"""Seconds."""
AT_ONCE, MOST_AT_ONCE = 64, 1000
"""Connections."""

_WITHOUT_A_BODY = frozenset({204, 205})
_YES = range(200, 300)
_NO = (*range(200, 300), *range(400, 500))
_FIELDS = ("user_field", "password_field", "domain_field", "fields")
_METHODS = ("GET", "POST", "HEAD")
_NO_PRESET = Preset({})


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The settings of one website."""

    url: str
    exists_url: str
    """Where it is asked who exists; empty: it cannot tell."""
    host: str
    web: WebSettings
    manner: Manner
    rules: Rules
    exists_rules: Rules
    ignore_case: bool
    """The site has no two users whose names differ in capitals alone."""
    shape: Shape | None
    """Of the tokens that the site itself issues."""
    passwords: bool
    """Whether it is asked about anything else."""
    at_once: int

    @property
    def knows_users(self) -> bool:
        """Whether it can tell who exists."""
        return bool(self.exists_url)

    @property
    def takes_little(self) -> bool:
        """Whether what it takes for a yes may be said to anybody: a status alone, or the name that
        was asked about, which an answer to a wrong password may repeat."""
        if self.rules.member:
            return False
        return not self.rules.user or self.manner.request != "basic"

    @property
    def own_tokens(self) -> bool:
        """Whether it has tokens of its own."""
        return self.shape is not None


def read_settings(table: Table) -> HttpSettings:
    """Read the table, and close it."""
    preset = _NO_PRESET
    if table.choice("preset", PRESETS, "") in PRESETS:
        preset = PRESETS[table.data["preset"]]
    table = Table({**preset.settings, **table.data}, table.key, table.mistakes, table.folder)
    table.knows("kind", "preset")
    request = table.choice("request", REQUESTS, "form")
    web = WebSettings.read(table, TIMEOUT)
    url = web.read_url(table, "url")
    exists_url = _read_exists_url(table, request, url, web)
    web.check(table, *dict.fromkeys(filter(None, (url, exists_url))))
    manner = _read_manner(table, request, preset)
    rules = _read_rules(table, manner)
    exists_rules = _read_exists_rules(table, request, rules, offered=bool(exists_url))
    shape = Shape.read(table)
    passwords = table.boolean("passwords", True)
    if not passwords and shape is None:
        table.wrong("passwords", "leaves nothing to ask about where there is no token_length")
    settings = HttpSettings(
        url=url,
        exists_url=exists_url,
        host=read_host(table),
        web=web,
        manner=manner,
        rules=rules,
        exists_rules=exists_rules,
        ignore_case=_read_ignore_case(table, rules),
        shape=shape,
        passwords=passwords,
        at_once=table.number("at_once", AT_ONCE, least=1, most=MOST_AT_ONCE),
    )
    table.close()
    return settings


def _read_exists_url(table: Table, request: str, url: str, web: WebSettings) -> str:
    if request == "xcauth":
        table.misplaced("exists_url", 'is the same as `url` with request = "xcauth"')
        return url
    if request == "basic":
        words = 'means nothing with request = "basic", which asks nothing without a password'
        table.misplaced("exists_url", words)
    elif "exists_url" in table:
        return web.read_url(table, "exists_url")
    return ""


def _read_manner(table: Table, request: str, preset: Preset) -> Manner:
    method = "POST"
    if request == "basic":
        method = table.choice("method", _METHODS, "GET")
    else:
        table.misplaced("method", f'is POST with request = "{request}"')
    whole = table.choice("user", ("localpart", "jid"), "localpart") == "jid"
    names = {"user": "username", "password": "password", "domain": ""}
    fields: Mapping[str, Value] = {}
    if request in ("form", "json"):
        names = {name: table.text(f"{name}_field", default) for name, default in names.items()}
        fields = _read_fields(table, request)
        _check_names(table, names, fields)
    else:
        for setting in _FIELDS:
            table.misplaced(setting, f'means nothing with request = "{request}"')
        if request == "xcauth":
            table.misplaced("user", 'is the localpart with request = "xcauth"; see send_domain')
            whole = False
            if table.boolean("send_domain", True):
                names["domain"] = "domain"
    if request != "xcauth":
        table.misplaced("send_domain", 'is about request = "xcauth"; see domain_field')
    secret = _read_secret(table, request, needed=preset.secret)
    return Manner(
        request, method, **names, whole=whole, fields=fields, headers=preset.headers, secret=secret
    )


def _read_ignore_case(table: Table, rules: Rules) -> bool:
    if not rules.user and "user_member" not in table.mistaken:
        table.misplaced("ignore_case", "is about the name in user_member, which is not given")
    return table.boolean("ignore_case", False)


def _read_fields(table: Table, request: str) -> Mapping[str, Value]:
    """Constants, which are sent besides."""
    given = table.table("fields").data
    kinds: tuple[type, ...] = (str,) if request == "form" else (str, bool, int, float)
    for name, value in given.items():
        if type(value) not in kinds or not name or not _is_in_json(value):
            many = "a string" if request == "form" else "a string, a number, true or false"
            table.wrong("fields", f"{full_name(name)} should be {many}, and have a name")
    return given


def _check_names(table: Table, names: Mapping[str, str], fields: Collection[str]) -> None:
    taken = set(fields)
    for name, field in names.items():
        if field and field in taken:
            table.wrong(f"{name}_field", f'there is another field "{field}"')
        taken.add(field)


def _read_secret(table: Table, request: str, *, needed: bool) -> Secret | None:
    if request == "basic":
        table.misplaced("secret_file", "has no place beside the user's own credentials")
        return None
    if request != "xcauth" and not needed and "secret_file" not in table:
        table.knows("secret_file")
        return None
    secret = table.secret_file("secret_file")
    if "secret_file" in table.mistaken:
        return None
    if request != "xcauth" and not B64TOKEN.fullmatch(secret.reveal()):
        words = 'holds what cannot stand behind "Bearer": letters, digits and - . _ ~ + / can'
        table.wrong("secret_file", words)
    return secret


def _read_rules(table: Table, manner: Manner) -> Rules:
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


def _read_exists_rules(table: Table, request: str, rules: Rules, *, offered: bool) -> Rules:
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
    if values and all(type(one) in (str, bool, int, float) and _is_in_json(one) for one in values):
        return tuple(values)
    table.wrong(setting, "should be a string, a number, true or false, or a list of them")
    return ()


def _is_in_json(value: Value) -> bool:
    """TOML has numbers that JSON has not."""
    return not isinstance(value, float) or math.isfinite(value)
