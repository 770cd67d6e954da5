"""[checkers.NAME] with kind = "http": what a website is asked, and what its answers mean."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from authbridge.checkers.http.presets import PRESETS, Preset
from authbridge.checkers.http.rules import is_in_json, read_exists_rules, read_rules
from authbridge.outbound.web_settings import WebSettings, read_host
from authbridge.secret import Secret
from authbridge.settings import Table, full_name
from authbridge.tokens.shapes import Shape
from authbridge.wire.http import B64TOKEN
from authbridge.wire.website import REQUESTS, Manner, Rules, Value

TIMEOUT = 5.0
"""Seconds."""
AT_ONCE, MOST_AT_ONCE = 64, 1000
"""Connections."""

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
    rules = read_rules(table, manner)
    exists_rules = read_exists_rules(table, request, rules, offered=bool(exists_url))
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
        if type(value) not in kinds or not name or not is_in_json(value):
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
