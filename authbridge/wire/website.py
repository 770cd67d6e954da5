"""What a website is asked about a user and his password, and what its answers say.

    form     POST, application/x-www-form-urlencoded
    json     POST, a JSON object
    basic    credentials in an Authorization header (RFC 7617)
    xcauth   POST of a form that is signed, as JSXC's app for Nextcloud and ownCloud is asked:
             operation=auth|isuser, username, domain, password;
             X-JSXC-SIGNATURE: sha1=<HMAC-SHA-1 of the body with the secret, in hex>

A name and a password get into a body or behind "Basic" encoded, and nowhere else: there is nothing
in them that could end a field or a header.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import urlencode

from authbridge.secret import Secret

Value = str | bool | int | float
"""What a member of an answer is compared with, its type included: true is not 1."""

REQUESTS = ("form", "json", "basic", "xcauth")
SIGNATURE = "X-JSXC-SIGNATURE"
OK = 200

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
OF_SECRET = frozenset({401, 403})
OF_SIGNATURE = OF_SECRET | {500}
"""JSXC answers 500 where the signature is wrong."""


class Unaskable(ValueError):
    """The question cannot be put in this way; the text says why, without the name."""


class SaysNothing(ValueError):
    """The answer says neither yes nor no; the text says why, and holds nothing of it."""


class Says(enum.Enum):
    """What an answer says."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "there is no such user"
    ANOTHER = "yes, to another user"

    def __bool__(self) -> NoReturn:
        raise TypeError("what a website says is compared, never tested for truth")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: bytes
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a website wants to be asked."""

    request: str
    """One of REQUESTS."""
    method: str = "POST"
    user: str = "username"
    """The fields' names."""
    password: str = "password"  # noqa: S105 - the name of a field
    domain: str = ""
    """Empty: it is not sent."""
    whole: bool = False
    """The site's names for its users end in @ and the domain."""
    fields: Mapping[str, Value] = field(default_factory=dict)
    """What is sent besides."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The same of headers."""
    secret: Secret | None = None
    """Signs (xcauth), or goes behind "Bearer"."""

    def ask_password(self, name: str, domain: str, password: str) -> Asked:
        """Whether it is the user's. `name`: what stands before the @. Raises Unaskable."""
        if self.request == "basic":
            return self._basic(self._name(name, domain), password)
        if self.request == "xcauth":
            return self._signed("auth", name, domain, {"password": password})
        return self._plain(name, domain, {self.password: password})

    def ask_user(self, name: str, domain: str) -> Asked:
        """Whether there is such a user; basic has no place for that."""
        if self.request == "xcauth":
            return self._signed("isuser", name, domain, {})
        return self._plain(name, domain, {})

    def _name(self, name: str, domain: str) -> str:
        return f"{name}@{domain}" if self.whole else name

    def _basic(self, name: str, password: str) -> Asked:
        if ":" in name:
            raise Unaskable("a name with a colon in it has no place in Basic (RFC 7617, 2)")
        credentials = base64.b64encode(f"{name}:{password}".encode()).decode("ascii")
        return self._asked({"Authorization": f"Basic {credentials}"}, b"")

    def _plain(self, name: str, domain: str, more: Mapping[str, Value]) -> Asked:
        members: dict[str, Value] = {**self.fields, self.user: self._name(name, domain)}
        if self.domain:
            members[self.domain] = domain
        members |= more
        headers: dict[str, str] = {}
        if self.secret is not None:
            headers["Authorization"] = f"Bearer {self.secret.reveal().decode('ascii')}"
        if self.request == "form":
            return self._asked(headers | {"Content-Type": _FORM}, urlencode(members).encode())
        return self._asked(headers | {"Content-Type": _JSON}, json.dumps(members).encode())

    def _signed(self, operation: str, name: str, domain: str, more: Mapping[str, str]) -> Asked:
        assert self.secret is not None  # of xcauth there is one
        members = {"operation": operation, "username": name}
        if self.domain:
            members["domain"] = domain
        body = urlencode({**members, **more}).encode()
        # SHA-1 as JSXC wants it: broken for signatures, not for an HMAC.
        mac = hmac.new(self.secret.reveal(), body, hashlib.sha1).hexdigest()
        return self._asked({"Content-Type": _FORM, SIGNATURE: f"sha1={mac}"}, body)

    def _asked(self, headers: Mapping[str, str], body: bytes) -> Asked:
        return Asked(self.method.encode(), {"Accept": _JSON, **self.headers, **headers}, body)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the answers of a website mean. Statuses first; where a status says yes, the members of
    the JSON object that came with it have the last word."""

    accepted: frozenset[int] = frozenset({OK})
    refused: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()
    member: str = ""
    """The one with the answer, "a.b" for b within a; empty: the status alone decides."""
    accepted_values: tuple[Value, ...] = ()
    refused_values: tuple[Value, ...] = ()
    unknown_values: tuple[Value, ...] = ()
    user: str = ""
    """The member that names the user, in the same way; or empty."""
    of_secret: frozenset[int] = OF_SECRET
    """Statuses that may be about our own secret, where one was sent."""

    @property
    def looks_closer(self) -> bool:
        """Whether a yes is a yes only by what the body says."""
        return bool(self.member or self.user)

    def by_status(self, status: int, *, secret: bool = False) -> Says:
        """What a status says. Raises SaysNothing. `secret`: one was sent, and may be wrong."""
        if status in self.accepted:
            return Says.YES
        if status in self.refused:
            return Says.NO
        if status in self.unknown:
            return Says.UNKNOWN
        if 300 <= status < 400:
            elsewhere = "it points elsewhere, to a login page perhaps, and is not followed"
            raise SaysNothing(f"answers {status}: {elsewhere}")
        if secret and status in self.of_secret:
            raise SaysNothing(f"answers {status}: is secret_file right?")
        hint = ", which neither accepted nor refused nor unknown names" if status < 500 else ""
        raise SaysNothing(f"answers {status}{hint}")

    def by_members(self, members: Mapping[str, Any]) -> Says:
        """What the body of a yes says. Raises SaysNothing."""
        if not self.member:
            return Says.YES
        value = _find(members, self.member)
        for values, says in (
            (self.accepted_values, Says.YES),
            (self.refused_values, Says.NO),
            (self.unknown_values, Says.UNKNOWN),
        ):
            if is_one_of(value, values):
                return says
        raise SaysNothing(f"answers a `{self.member}` that is none of the values of the settings")

    def name_in(self, members: Mapping[str, Any]) -> str:
        """Whom the site has let in, by its own name. Raises SaysNothing."""
        name = _find(members, self.user)
        if not isinstance(name, str):
            raise SaysNothing(f"answers a `{self.user}` that is no string")
        return name


def is_one_of(value: Any, values: Iterable[Value]) -> bool:
    """Whether it is the same as one of these, its type included."""
    return any(type(value) is type(one) and value == one for one in values)


def _find(members: Mapping[str, Any], path: str) -> Any:
    found: Any = members
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            raise SaysNothing(f"answers an object without the member `{path}`")
        found = found[name]
    return found
