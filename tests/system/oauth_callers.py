"""How ejabberd and Prosody ask in the ways of OAuth, and how their clients show tokens."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path

from .canary import watched
from .daemon import Daemon
from .pki import Pki
from .prosody import Prosody
from .raw_http import Connection
from .visitors import Server, Visitors
from .xmpp import SASL, SESSION, Client, condition

REFUSED = "not-authorized"


def url(daemon: Daemon) -> str:
    """Where it is asked."""
    return f"http://127.0.0.1:{daemon.http_port}/oauth"


def ejabberd_options(daemon: Daemon, credentials: bytes) -> str:
    """Lines of ejabberd.yml; the credentials as a header has them."""
    watched(credentials.partition(b" ")[2])
    return (
        "oauth_db_type: rest\n"
        f'ext_api_url: "http://127.0.0.1:{daemon.http_port}"\n'
        f'ext_api_headers: "Authorization:{credentials.decode()}"\n'
    )


def prosody_of(
    folder: Path, pki: Pki, daemon: Daemon, hosts: Sequence[str], more: str = ""
) -> Prosody:
    """One that asks at both addresses for each of the hosts; `more` lines of its configuration. Not
    started."""
    server = Prosody(folder, pki, [], "-", "-")
    configuration = server.folder / "prosody.cfg.lua"
    lines = (
        f'VirtualHost "{host}"\n'
        'authentication = "oauth_external"\n'
        f'oauth_external_token_endpoint = "{url(daemon)}/token?server={host}"\n'
        f'oauth_external_validation_endpoint = "{url(daemon)}/userinfo?server={host}"\n'
        for host in hosts
    )
    configuration.write_text(configuration.read_text() + "".join(lines) + more)
    return server


def start(client: Client, mechanism: str, initial: bytes) -> None:
    """Begin with this mechanism."""
    text = base64.b64encode(initial).decode()
    client.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{text}</auth>")


def x_oauth2(client: Client, jid: str, token: bytes, authzid: str = "") -> str:
    """The outcome of a login at ejabberd."""
    local = jid.partition("@")[0]
    start(client, "X-OAUTH2", b"%b\0%b\0%b" % (authzid.encode(), local.encode(), token))
    return client.outcome()


def enter(guests: Visitors, server: Server, jid: str, token: bytes) -> str:
    """The same on a connection of its own."""
    with guests.connect(server, jid.partition("@")[2]) as client:
        return x_oauth2(client, jid, token)


def oauthbearer(client: Client, token: bytes, authzid: bytes = b"") -> str | dict[str, str]:
    """The outcome of a login at Prosody, or what the client is told (RFC 7628, 3.2.2)."""
    start(client, "OAUTHBEARER", b"n,%b,\1auth=Bearer %b\1\1" % (authzid, token))
    answer = client.receive()
    if answer.tag == f"{{{SASL}}}success":
        client.restart()
        return SESSION
    if answer.tag == f"{{{SASL}}}failure":
        return condition(answer)
    told: dict[str, str] = json.loads(base64.b64decode(answer.text or ""))
    client.send(f"<response xmlns='{SASL}'>AQ==</response>")
    assert client.outcome() == REFUSED
    return told


def _ask(daemon: Daemon, octets: bytes) -> tuple[int, bytes]:
    with Connection(daemon.http_port) as connection:
        answer = connection.ask(octets)
    return answer.status, answer.body


def look_up(daemon: Daemon, token: bytes, credentials: bytes) -> tuple[int, bytes]:
    """Status and body of what ejabberd would be told."""
    body = json.dumps({"token": token.decode()}).encode()
    return _ask(
        daemon,
        b"POST /oauth/lookup HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Accept: application/json\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (credentials, len(body), body),
    )


def userinfo(daemon: Daemon, token: bytes, domain: str) -> tuple[int, bytes]:
    """The same of Prosody."""
    return _ask(
        daemon,
        b"GET /oauth/userinfo?server=%b HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Accept: application/json\r\nAuthorization: Bearer %b\r\n\r\n" % (domain.encode(), token),
    )
