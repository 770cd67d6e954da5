"""An XMPP client as small as the tests need: raw SASL bytes in, the server's exact outcome out.

A library would prepare user and password before sending them and hide the failure's condition;
both are what these tests are about.
"""

import base64
import socket
import ssl
from pathlib import Path
from types import TracebackType
from typing import Self
from xml.etree.ElementTree import Element, XMLPullParser
from xml.sax.saxutils import escape, quoteattr

STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
REGISTER = "jabber:iq:register"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

#: What `login` returns when the server accepted.
SESSION = "session"
#: What it returns when the server closed the stream instead of answering.
CLOSED = "closed"


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def condition(stanza: Element) -> str:
    """The defined condition of an error stanza or SASL failure; "" if there is none."""
    error = stanza if local(stanza) == "failure" else _child(stanza, "error")
    if error is None:
        return ""
    return next((local(child) for child in error if local(child) != "text"), "")


def _child(element: Element, name: str) -> Element | None:
    return next((child for child in element if local(child) == name), None)


class Closed(Exception):
    """The server ended the stream; the text is the stream error's condition, if it gave one."""


class Client:
    """One connection to an XMPP server on loopback; STARTTLS is required and verified."""

    def __init__(self, port: int, domain: str, ca: Path, limit: float = 90.0) -> None:
        self._domain = domain
        self._context = ssl.create_default_context(cafile=str(ca))
        self._socket: socket.socket = socket.create_connection(("127.0.0.1", port), limit)
        self._ids = iter(range(1, 1_000_000))
        #: Stanzas that arrived while the answer to something else was awaited.
        self.inbox: list[Element] = []
        #: Text the server gave with the last refusal.
        self.failure_text = ""
        self.jid = ""
        try:
            self._open_stream()
            self._features()
            self._start_tls()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection as a lost client would, without a word."""
        self._socket.close()

    def send(self, text: str) -> None:
        """Send XML as it is."""
        self._socket.sendall(text.encode())

    def receive(self) -> Element:
        """The next child of the stream; Closed at its end, TimeoutError after the limit."""
        while (element := self._parsed_child()) is None:
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Closed("")
            self._parser.feed(data)
        if element.tag == f"{{{STREAM}}}error":
            raise Closed(next((local(child) for child in element if local(child) != "text"), ""))
        return element

    def _open_stream(self) -> None:
        self._parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
        self._depth = 0
        self.send(
            f"<stream:stream xmlns='jabber:client' xmlns:stream='{STREAM}' version='1.0' "
            f"to={quoteattr(self._domain)}>"
        )

    def _parsed_child(self) -> Element | None:
        """The next complete child of the stream among what has arrived."""
        for parsed in self._parser.read_events():
            event, element = parsed[0], parsed[-1]
            assert isinstance(element, Element)
            self._depth += 1 if event == "start" else -1
            if event == "end" and self._depth == 1:
                return element
            if self._depth == 0:
                raise Closed("")
        return None

    def _features(self) -> Element:
        features = self.receive()
        assert features.tag == f"{{{STREAM}}}features", features.tag
        return features

    def _start_tls(self) -> None:
        self.send(f"<starttls xmlns='{TLS}'/>")
        answer = self.receive()
        assert answer.tag == f"{{{TLS}}}proceed", answer.tag
        self._socket = self._context.wrap_socket(self._socket, server_hostname=self._domain)
        self._open_stream()
        features = self._features()
        offered = features.iter(f"{{{SASL}}}mechanism")
        self.mechanisms = {mechanism.text or "" for mechanism in offered}

    def login(self, user: bytes, password: bytes, authzid: bytes = b"") -> str:
        """SASL PLAIN: `SESSION`, or the condition of the failure, or `CLOSED`.

        May be called again on the same connection after a refusal.
        """
        self.send_plain(user, password, authzid)
        return self.outcome()

    def send_plain(self, user: bytes, password: bytes, authzid: bytes = b"") -> None:
        """The first half of `login`; the test does something while the server waits."""
        initial = base64.b64encode(b"\0".join((authzid, user, password))).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{initial}</auth>")

    def outcome(self) -> str:
        """The second half of `login`."""
        try:
            answer = self.receive()
        except Closed as closed:
            self.failure_text = str(closed)
            return CLOSED
        if answer.tag == f"{{{SASL}}}success":
            self.restart()
            return SESSION
        assert answer.tag == f"{{{SASL}}}failure", answer.tag
        text = _child(answer, "text")
        self.failure_text = "" if text is None else text.text or ""
        return condition(answer)

    def restart(self) -> None:
        """Begin the stream again, as everybody does who is let in."""
        self._open_stream()
        self._features()

    def bind(self, resource: str = "tests") -> str:
        """Bind a resource after a login; the full JID the server gave."""
        body = f"<bind xmlns='{BIND}'><resource>{escape(resource)}</resource></bind>"
        answer = self.iq("set", body)
        jid = answer.find(f"{{{BIND}}}bind/{{{BIND}}}jid")
        assert jid is not None, "no JID in the answer to bind"
        assert jid.text, "an empty JID in the answer to bind"
        self.jid = jid.text
        return self.jid

    def iq(self, kind: str, body: str, to: str = "") -> Element:
        """Send an IQ and return its answer; other stanzas go to the inbox."""
        number = f"q{next(self._ids)}"
        receiver = f" to={quoteattr(to)}" if to else ""
        self.send(f"<iq type='{kind}' id='{number}'{receiver}>{body}</iq>")
        while True:
            stanza = self.receive()
            if local(stanza) == "iq" and stanza.get("id") == number:
                return stanza
            self.inbox.append(stanza)

    def register(self, kind: str, **fields: str) -> str:
        """In-band registration (XEP-0077): "result" or the error's condition.

        `username` and `password` of an own account change the password.
        """
        items = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
        answer = self.iq(kind, f"<query xmlns='{REGISTER}'>{items}</query>", self._domain)
        return condition(answer) or str(answer.get("type"))

    def synchronise(self) -> None:
        """Return once the server has worked through all that was sent before (an answered ping)."""
        self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", self._domain)

    def message(self, to: str, text: str) -> None:
        """Send a chat message."""
        self.send(f"<message type='chat' to={quoteattr(to)}><body>{escape(text)}</body></message>")

    def presence(self, attributes: str = "") -> None:
        """Send presence; without it the server delivers no stored message."""
        self.send(f"<presence {attributes}/>")
