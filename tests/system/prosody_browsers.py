"""Browsers as small as the tests need: WebSocket (RFC 7395) and BOSH (XEP-0206), with the headers
that the page's site, its origin and its proxy make; and SASL message by message, over c2s as well.
"""

import base64
import http.client
import secrets
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import quoteattr

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .prosody_module import ModuleProsody
from .xmpp import BIND, SASL, condition, local

FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
HTTPBIND = "http://jabber.org/protocol/httpbind"

#: What `Answer.said` is of a login that was accepted.
SUCCESS = "success"
CHALLENGE = "challenge"


class Stream(Protocol):
    """What SASL goes over."""

    def send(self, text: str) -> None:
        """XML as it is."""

    def receive(self) -> Element:
        """The next element."""


@dataclass(frozen=True)
class Answer:
    """What the server said: `SUCCESS`, `CHALLENGE`, or a failure's condition; and with what."""

    said: str
    octets: bytes = b""


def begin(stream: Stream, mechanism: str, initial: bytes | None) -> Answer:
    """The first message; None: the element has no text."""
    text = "" if initial is None else base64.b64encode(initial).decode() or "="
    stream.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>")
    return answer(stream)


def respond(stream: Stream, octets: bytes | None) -> Answer:
    """The answer to a challenge; None: the element has no text."""
    text = "" if octets is None else base64.b64encode(octets).decode()
    stream.send(f"<response xmlns='{SASL}'>{text}</response>")
    return answer(stream)


def answer(stream: Stream) -> Answer:
    """What the server says next."""
    element = stream.receive()
    assert element.tag.startswith(f"{{{SASL}}}"), element.tag
    if local(element) == "failure":
        return Answer(condition(element))
    text = element.text or ""
    return Answer(local(element), b"" if text == "=" else base64.b64decode(text))


def plain(user: str, password: bytes, authzid: str = "") -> bytes:
    """The message of PLAIN."""
    return b"\0".join((authzid.encode(), user.encode(), password))


class Browser:
    """One session, on which nobody has logged in yet; what the two ways have in common."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.mechanisms: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, text: str) -> None:
        """XML as it is."""
        raise NotImplementedError

    def receive(self) -> Element:
        """The next element."""
        raise NotImplementedError

    def close(self) -> None:
        """Without a word."""
        raise NotImplementedError

    def restart(self) -> None:
        """The stream that comes after a login."""
        raise NotImplementedError

    def read_features(self) -> None:
        """Wait for them."""
        features = self.receive()
        assert local(features) == "features", features.tag
        self.mechanisms = {one.text or "" for one in features.iter(f"{{{SASL}}}mechanism")}

    def enter(self) -> str:
        """After `SUCCESS`: bind a resource; the full JID."""
        self.restart()
        bind = f"<bind xmlns='{BIND}'/>"
        self.send(f"<iq xmlns='jabber:client' type='set' id='b'>{bind}</iq>")
        jid = self.receive().find(f"{{{BIND}}}bind/{{{BIND}}}jid")
        assert jid is not None, "no JID in the answer to bind"
        return jid.text or ""


class WebSocketBrowser(Browser):
    """By WebSocket."""

    def __init__(self, server: ModuleProsody, domain: str, headers: Mapping[str, str]) -> None:
        super().__init__(domain)
        self._ends = ExitStack()
        self._connection: ClientConnection = self._ends.enter_context(
            connect(
                server.websocket_url,
                subprotocols=[Subprotocol("xmpp")],
                additional_headers=headers,
                compression=None,
                proxy=None,
                open_timeout=90,
                ping_interval=None,
                max_size=1 << 20,
            )
        )
        self.restart()

    def send(self, text: str) -> None:
        self._connection.send(text)

    def receive(self) -> Element:
        return fromstring(str(self._connection.recv(timeout=90)))

    def close(self) -> None:
        self._ends.close()

    def restart(self) -> None:
        self.send(f"<open xmlns='{FRAMING}' version='1.0' to={quoteattr(self.domain)}/>")
        assert local(self.receive()) == "open"
        self.read_features()


class BoshBrowser(Browser):
    """By BOSH."""

    def __init__(self, server: ModuleProsody, domain: str, headers: Mapping[str, str]) -> None:
        super().__init__(domain)
        address = urlsplit(server.bosh_url)
        self._connection = http.client.HTTPConnection(address.netloc, timeout=90)
        self._path = address.path
        #: Of the requests from now on.
        self.headers = dict(headers)
        self._rid = secrets.randbelow(1 << 40)
        self._sid = ""
        self._inbox: deque[Element] = deque()
        self._post(
            "",
            "wait='60' hold='1' content='text/xml; charset=utf-8' ver='1.6' "
            f"to={quoteattr(domain)}",
        )
        self.read_features()

    def send(self, text: str) -> None:
        self._post(text)

    def receive(self) -> Element:
        while not self._inbox:
            self._post("")
        return self._inbox.popleft()

    def close(self) -> None:
        self._connection.close()

    def restart(self) -> None:
        self._post("", "xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh'")
        self.read_features()

    def _post(self, content: str, attributes: str = "") -> None:
        self._rid += 1
        sid = f"sid='{self._sid}'" if self._sid else ""
        body = f"<body xmlns='{HTTPBIND}' rid='{self._rid}' {sid} {attributes}>{content}</body>"
        headers = {"Content-Type": "text/xml; charset=utf-8", **self.headers}
        self._connection.request("POST", self._path, body.encode(), headers)
        response = self._connection.getresponse()
        said = fromstring(response.read())
        assert response.status == 200, response.status
        assert said.get("type") != "terminate", said.get("condition")
        self._sid = said.get("sid", self._sid)
        self._inbox.extend(said)


WAYS: Mapping[str, type[WebSocketBrowser] | type[BoshBrowser]] = {
    "websocket": WebSocketBrowser,
    "bosh": BoshBrowser,
}


def headers(cookie: bytes | None, origin: str | None, address: str = "") -> dict[str, str]:
    """Those of a page's request; `address`: the browser's, as the proxy in front says it."""
    made = {"X-Forwarded-For": address} if address else {}
    if cookie is not None:
        made["Cookie"] = cookie.decode()
    if origin is not None:
        made["Origin"] = origin
    return made
