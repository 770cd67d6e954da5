"""An XMPP server that speaks BOSH, as far as a login goes; or what a test has it say instead."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.outbound import web

BOSH = "http://jabber.org/protocol/httpbind"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SESSION = "urn:ietf:params:xml:ns:xmpp-session"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
CLIENT = "jabber:client"


def body(inside: str = "", **attributes: object) -> bytes:
    """A whole answer of HTTP with this in its body."""
    named = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return web.answer(
        f"<body xmlns='{BOSH}' xmlns:stream='http://etherx.jabber.org/streams'{named}>"
        f"{inside}</body>".encode()
    )


def features(*inside: str) -> str:
    return f"<stream:features>{''.join(inside)}</stream:features>"


def mechanisms(*names: str) -> str:
    offered = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    return f"<mechanisms xmlns='{SASL}'>{offered}</mechanisms>"


def end(condition: str) -> bytes:
    """The server's own end of a session."""
    return body(type="terminate", condition=condition)


def failure(condition: str) -> bytes:
    return body(f"<failure xmlns='{SASL}'><{condition}/></failure>")


def error(name: str, condition: str) -> bytes:
    return body(
        f"<iq xmlns='{CLIENT}' type='error' id='{name}'>"
        f"<error type='cancel'><{condition} xmlns='{STANZAS}'/></error></iq>"
    )


OFFER_BIND = f"<bind xmlns='{BIND}'/>"
OPTIONAL = f"<session xmlns='{SESSION}'><optional/></session>"
REQUIRED = f"<session xmlns='{SESSION}'/>"
PASSWORD = b"one-use token"


@dataclass(frozen=True)
class Asked:
    """One request."""

    kind: str
    rid: int
    element: ET.Element
    connection: web.WebServer


Instead = bytes | Callable[[web.WebServer], bytes | None] | None


class Chat:
    """The server. `answer` is a web.WebServer's."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.created: dict[str, object] = {"inactivity": 60}
        """Attributes of the first answer."""
        self.offers = [OFFER_BIND, OPTIONAL]
        """What is offered after the login."""
        self.instead: dict[str, list[Instead]] = {}
        """By the kind of a request: what is said in place of what would be."""
        self.users: dict[str, str] = {}
        """Of each session."""

    @property
    def kinds(self) -> list[str]:
        return [one.kind for one in self.asked]

    @property
    def rids(self) -> list[int]:
        return [one.rid for one in self.asked]

    def of(self, kind: str) -> list[Asked]:
        return [one for one in self.asked if one.kind == kind]

    def answer(self, connection: web.WebServer, request: web.Request) -> bytes | None:
        assert request.first.startswith("POST /http-bind ")
        assert request.headers["content-type"] == "text/xml; charset=utf-8"
        element = ET.fromstring(request.body)
        asked = Asked(kind_of(element), int(element.get("rid", "")), element, connection)
        self.asked.append(asked)
        instead = self.instead.get(asked.kind)
        if instead:
            says = instead.pop(0)
            return says(connection) if callable(says) else says
        said: bytes | None = getattr(self, f"_{asked.kind}")(element)
        return said

    def _create(self, element: ET.Element) -> bytes:
        sid = f"sid-{len(self.users)}"
        self.users[sid] = ""
        given = {"sid": sid, **self.created}
        return body(features(mechanisms("SCRAM-SHA-1", "PLAIN")), **given)

    def _auth(self, element: ET.Element) -> bytes:
        authzid, user, password = base64.b64decode(element[0].text or "").split(b"\0")
        assert (element[0].get("mechanism"), authzid) == ("PLAIN", b"")
        if password != PASSWORD:
            return failure("not-authorized")
        self.users[element.get("sid", "")] = user.decode()
        return body(f"<success xmlns='{SASL}'/>")

    def _restart(self, element: ET.Element) -> bytes:
        return body(features(*self.offers))

    def _bind(self, element: ET.Element) -> bytes:
        resource = element.findtext(f".//{{{BIND}}}resource")
        return bound(f"{self.users[element.get('sid', '')]}@example.org/{resource}")

    def _session(self, element: ET.Element) -> bytes:
        return body(f"<iq xmlns='{CLIENT}' type='result' id='{element[0].get('id')}'/>")

    def _pause(self, element: ET.Element) -> None:
        """Which ejabberd never answers."""

    def _terminate(self, element: ET.Element) -> bytes:
        return body(type="terminate")

    def _empty(self, element: ET.Element) -> bytes:
        return body()


def bound(jid: str) -> bytes:
    return body(
        f"<iq xmlns='{CLIENT}' type='result' id='bind'>"
        f"<bind xmlns='{BIND}'><jid>{escape(jid)}</jid></bind></iq>"
    )


def kind_of(element: ET.Element) -> str:
    if element.get("sid") is None:
        return "create"
    if element.get("type") == "terminate":
        return "terminate"
    if element.get("pause") is not None:
        return "pause"
    if element.get("{urn:xmpp:xbosh}restart") == "true":
        return "restart"
    if not len(element):
        return "empty"
    inner = element[0] if element[0].tag == f"{{{SASL}}}auth" else element[0][0]
    return inner.tag.rpartition("}")[2]
