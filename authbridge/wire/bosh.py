"""BOSH (XEP-0124, XEP-0206) as its client speaks it: bodies out, and what the server's say.

Only what a login takes: create a session, SASL PLAIN, restart, bind, session, pause, terminate.
Whoever is at the other end, the XML is read by expat with a cap on octets and on depth; document
types, entities, processing instructions and comments, of which XMPP has none (RFC 6120, 11.1), are
refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from authbridge.secret import Secret

CONTENT_TYPE = "text/xml; charset=utf-8"
MOST_OCTETS = 256 << 10
"""Of an answer; the features of a server with everything are 3 kB."""
MOST_DEPTH = 16
WAIT = 60
"""Seconds for which the server may hold a request of whoever gets the session."""
LEAST_RID, MOST_RID = 1 << 31, 1 << 52
"""The first rid is between them: far from 2^53, above which a page's numbers are not exact."""

BIND_ID, SESSION_ID = "bind", "session"

_BOSH = "http://jabber.org/protocol/httpbind"
_XBOSH = "urn:xmpp:xbosh"
_STREAM = "http://etherx.jabber.org/streams"
_STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_SESSION = "urn:ietf:params:xml:ns:xmpp-session"
_STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
_CLIENT = "jabber:client"

_UNDEFINED = "undefined-condition"
_CONDITION = re.compile(r"[a-z][a-z-]{0,39}")
_SECONDS = re.compile(r"[0-9]{1,6}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


class Malformed(ValueError):
    """This is no answer of BOSH; the text says why, without a word of it."""


# --- what is sent ---------------------------------------------------------------------------------


def create(rid: int, domain: str) -> bytes:
    """Asks for a session with the server of this domain."""
    return (
        f"<body content={quoteattr(CONTENT_TYPE)} hold='1' wait='{WAIT}' rid='{rid}' "
        f"to={quoteattr(domain)} ver='1.6' xml:lang='en' xmpp:version='1.0' xmlns='{_BOSH}' "
        f"xmlns:xmpp='{_XBOSH}'/>"
    ).encode()


def empty(rid: int, sid: str) -> bytes:
    """Asks whether there is anything new."""
    return _body(rid, sid)


def plain(rid: int, sid: str, user: str, password: Secret) -> bytes:
    """A login by SASL PLAIN (RFC 4616), as nobody else than the user."""
    initial = base64.b64encode(b"\0" + user.encode() + b"\0" + password.reveal()).decode("ascii")
    return _body(rid, sid, inside=f"<auth xmlns='{_SASL}' mechanism='PLAIN'>{initial}</auth>")


def restart(rid: int, sid: str, domain: str) -> bytes:
    """A new stream, after a login (XEP-0206, 5)."""
    more = f" to={quoteattr(domain)} xml:lang='en' xmpp:restart='true' xmlns:xmpp='{_XBOSH}'"
    return _body(rid, sid, more)


def bind(rid: int, sid: str, resource: str) -> bytes:
    """Asks for this resource (RFC 6120, 7); it is one that `can_be_sent`."""
    inside = f"<bind xmlns='{_BIND}'><resource>{escape(resource)}</resource></bind>"
    return _body(rid, sid, inside=_request(BIND_ID, inside))


def session(rid: int, sid: str) -> bytes:
    """Asks for a session, which servers of RFC 3921 want."""
    return _body(rid, sid, inside=_request(SESSION_ID, f"<session xmlns='{_SESSION}'/>"))


def pause(rid: int, sid: str, seconds: int) -> bytes:
    """Says that nothing will be heard for so long (XEP-0124, 12)."""
    return _body(rid, sid, f" pause='{seconds}'")


def terminate(rid: int, sid: str) -> bytes:
    """Ends the session."""
    return _body(rid, sid, " type='terminate'")


def can_be_sent(text: str) -> bool:
    """Whether XML can carry this text as it is."""
    return not _NOT_XML.search(text) and "\r" not in text


def _body(rid: int, sid: str, more: str = "", *, inside: str = "") -> bytes:
    start = f"<body rid='{rid}' sid={quoteattr(sid)}{more} xmlns='{_BOSH}'"
    return (f"{start}>{inside}</body>" if inside else f"{start}/>").encode()


def _request(name: str, inside: str) -> str:
    return f"<iq xmlns='{_CLIENT}' type='set' id='{name}'>{inside}</iq>"


# --- what is answered -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Features:
    """What the server offers now."""

    mechanisms: frozenset[str] = frozenset()
    bind: bool = False
    session: bool = False
    """Whether there is no session without a request for it."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a request of ours."""

    id: str
    jid: str = ""
    """The one that was bound."""
    error: str = ""
    """The condition, where it was refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One body of the server's."""

    sid: str = field(default="", repr=False)
    inactivity: int = 0
    """Seconds without a request after which the session is gone; 0 where nothing is said."""
    maxpause: int = 0
    """Seconds for which the session can be left alone; 0 where that is not offered."""
    ended: str = ""
    """The condition, where the server ends the session, or has none."""
    features: Features | None = None
    accepted: bool = False
    """Whether the password was right."""
    failure: str = ""
    """The condition, where it was not, or could not be looked at."""
    results: tuple[Result, ...] = ()


def read(octets: bytes) -> Answer:
    """What a body says. Raises Malformed."""
    body = _parse(octets)
    if body.name != f"{_BOSH} body":
        raise Malformed("its XML is no body of BOSH")
    features = body.child(_STREAM, "features")
    failure = body.child(_SASL, "failure")
    return Answer(
        sid=body.attributes.get("sid", ""),
        inactivity=_seconds(body.attributes.get("inactivity", "")),
        maxpause=_seconds(body.attributes.get("maxpause", "")),
        ended=_end(body),
        features=None if features is None else _features(features),
        accepted=body.child(_SASL, "success") is not None,
        failure="" if failure is None else _condition(failure, _SASL),
        results=tuple(_results(body)),
    )


def _seconds(text: str) -> int:
    return int(text) if _SECONDS.fullmatch(text) else 0


def _end(body: _Element) -> str:
    kind = body.attributes.get("type", "")
    error = body.child(_STREAM, "error")
    if kind not in ("terminate", "error") and error is None:
        return ""
    if error is not None:
        return _condition(error, _STREAM_ERRORS)
    return _named(body.attributes.get("condition", ""))


def _features(element: _Element) -> Features:
    mechanisms = element.child(_SASL, "mechanisms")
    offered = () if mechanisms is None else mechanisms.children
    session = element.child(_SESSION, "session")
    return Features(
        mechanisms=frozenset(one.text for one in offered if one.name == f"{_SASL} mechanism"),
        bind=element.child(_BIND, "bind") is not None,
        session=session is not None and session.child(_SESSION, "optional") is None,
    )


def _results(body: _Element) -> Iterator[Result]:
    for iq in body.children:
        name, kind = iq.attributes.get("id", ""), iq.attributes.get("type", "")
        if iq.name != f"{_CLIENT} iq":
            continue
        if kind == "result":
            bound = iq.child(_BIND, "bind")
            jid = None if bound is None else bound.child(_BIND, "jid")
            yield Result(name, jid="" if jid is None else jid.text)
        elif kind == "error":
            error = iq.child(_CLIENT, "error")
            condition = _UNDEFINED if error is None else _condition(error, _STANZAS)
            yield Result(name, error=condition)


def _condition(element: _Element, namespace: str) -> str:
    """The name of the defined condition in an error."""
    for child in element.children:
        space, _, name = child.name.rpartition(" ")
        if space == namespace and name != "text":
            return _named(name)
    return _UNDEFINED


def _named(condition: str) -> str:
    """A condition that is fit for the log."""
    return condition if _CONDITION.fullmatch(condition) else _UNDEFINED


# --- XML ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Element:
    name: str
    """Namespace and name, with a blank between them."""
    attributes: dict[str, str]
    children: list[_Element] = field(default_factory=list)
    text: str = ""

    def child(self, namespace: str, name: str) -> _Element | None:
        """The first one of this name."""
        wanted = f"{namespace} {name}"
        return next((one for one in self.children if one.name == wanted), None)


class _Tree:
    """Builds elements of what expat finds."""

    def __init__(self) -> None:
        self.open: list[_Element] = []
        self.root: _Element | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """See StartElementHandler."""
        if len(self.open) == MOST_DEPTH:
            raise Malformed("its XML is nested too deeply")
        element = _Element(name, attributes)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, _name: str) -> None:
        """See EndElementHandler."""
        self.open.pop()

    def data(self, text: str) -> None:
        """See CharacterDataHandler."""
        self.open[-1].text += text


def _refuse(*_what: object) -> NoReturn:
    raise Malformed("there is something in its XML that XMPP does not know")


def _parse(octets: bytes) -> _Element:
    if len(octets) > MOST_OCTETS:
        raise Malformed("it is too large")
    tree = _Tree()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.CommentHandler = _refuse
    try:
        octets.decode()  # expat would believe a mark of UTF-16
        parser.Parse(octets, True)
    except (UnicodeDecodeError, expat.ExpatError):
        raise Malformed("it is no XML") from None
    assert tree.root is not None  # expat finds no document in what has none
    return tree.root
