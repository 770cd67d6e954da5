"""Logins by BOSH as the daemon makes them, and what comes to the sessions that they leave."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import quoteattr

from .waiting import LIMIT

_BOSH = "http://jabber.org/protocol/httpbind"
_CLIENT = "jabber:client"


@dataclass(frozen=True)
class Session:
    """What is handed over."""

    jid: str
    sid: str
    rid: int


@dataclass(frozen=True)
class Refusal:
    """What else may come of a login: the name of the exception, and its words."""

    error: str
    words: str


class Login:
    """One that has begun."""

    def __init__(self, logins: "Logins", number: int) -> None:
        self._logins = logins
        self._number = number
        self.answers: Queue[dict[str, Any]] = Queue()

    @property
    def outcome(self) -> Session | Refusal:
        """What comes of it; waits for that, once."""
        answer = self.answers.get(timeout=LIMIT)
        if "error" in answer:
            return Refusal(answer["error"], answer["words"])
        return Session(answer["jid"], answer["sid"], answer["rid"])

    @property
    def session(self) -> Session:
        """The session that comes of it."""
        found = self.outcome
        assert isinstance(found, Session), found
        return found

    def cancel(self) -> None:
        """Whoever wants it has gone."""
        self._logins.tell(do="cancel", number=self._number)

    def end(self) -> None:
        """Whoever wanted the session has gone."""
        self._logins.tell(do="end", number=self._number)


class Logins:
    """A process of authbridge's library."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._logins: dict[int, Login] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def server(self, name: str, url: str, ca: Path | None = None, *, at_once: int = 20) -> None:
        """Where `log_in` goes by this name from now on."""
        self.tell(do="server", name=name, url=url, ca=str(ca or ""), at_once=at_once)

    def log_in(self, server: str, jid: str, password: str, resource: str | None = None) -> Login:
        """Begin a login."""
        number = len(self._logins)
        login = self._logins[number] = Login(self, number)
        self.tell(
            do="log_in",
            number=number,
            server=server,
            jid=jid,
            password=password,
            resource=resource,
        )
        return login

    def tell(self, **what: object) -> None:
        """Have the process do something."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            self._logins[answer.pop("number")].answers.put(answer)


@contextmanager
def running_logins() -> Iterator[Logins]:
    """The process, which must not end before."""
    program = Path(__file__).with_name("bosh_program.py")
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Logins(process)
        assert process.poll() is None, "the program has ended before its time"
        process.stdin.close()  # type: ignore[union-attr]  # which there is
        assert process.wait(LIMIT) == 0


class Page:
    """Goes on with a session that was handed over, as a page in a browser does (XEP-0124)."""

    def __init__(self, url: str, session: Session) -> None:
        self._url = urlsplit(url)
        self._sid = session.sid
        self._rid = session.rid
        self._ids = iter(range(1, 1_000_000))

    def terminate(self) -> None:
        """End it."""
        self.send(attributes=" type='terminate'")

    def send(self, inside: str = "", attributes: str = "") -> Element:
        """The answer to a body, which comes when there is one."""
        connection = http.client.HTTPConnection(self._url.netloc, timeout=LIMIT)
        sid = quoteattr(self._sid)
        body = f"<body rid='{self._rid}' sid={sid}{attributes} xmlns='{_BOSH}'>{inside}</body>"
        self._rid += 1
        try:
            headers = {"Content-Type": "text/xml; charset=utf-8"}
            connection.request("POST", self._url.path, body.encode(), headers)
            return fromstring(connection.getresponse().read())
        finally:
            connection.close()

    def iq(self, kind: str, inside: str, to: str = "", beside: str = "") -> Element:
        """The answer to an iq, which is sent with the next rid; `beside`: other stanzas, before
        it in the same body. AssertionError where the session is gone."""
        number = f"page{next(self._ids)}"
        receiver = f" to={quoteattr(to)}" if to else ""
        answer = self.send(
            f"{beside}<iq xmlns='{_CLIENT}' type='{kind}' id='{number}'{receiver}>{inside}</iq>"
        )
        while True:
            assert answer.get("type") != "terminate", answer.get("condition")
            for stanza in answer.iter(f"{{{_CLIENT}}}iq"):
                if stanza.get("id") == number:
                    return stanza
            answer = self.send()

    def is_alive(self) -> bool:
        """Whether the server answers to it; which takes a rid in any case."""
        try:
            return self.iq("get", "<query xmlns='jabber:iq:roster'/>").get("type") == "result"
        except AssertionError:
            return False
