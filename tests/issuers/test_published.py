"""Keys that an issuer publishes: from its server, over TLS, to what verifies its tokens."""

from __future__ import annotations

import json

import pytest
from twisted.internet.protocol import Protocol
from twisted.logger import LogLevel

from authbridge.issuers import published
from tests.issuers.folders import NAME, SECRETS, said, settings
from tests.ldap.certificates import ADDRESS, OTHER, OURS
from tests.ldap.certificates import NAME as HOST
from tests.ldap.server import Network, ServerTls
from tests.tokens import mint

URL = f"https://{HOST}/jwks.json"


class WebServer(Protocol):
    """Answers each request with what there is now."""

    def __init__(self, site):
        self.site = site
        self.lost = False
        self.heard = b""

    def connectionMade(self):
        self.transport.startTLS(ServerTls(self.site.tls))

    def dataReceived(self, data):
        self.heard += data
        if self.heard.endswith(b"\r\n\r\n") and self.site.body is not None:
            body = self.site.body
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
            self.transport.write(head.encode() + body)

    def connectionLost(self, reason):
        self.lost = True


class Site:
    """A publisher, and the keys that are fetched from it."""

    def __init__(self, folder, **given):
        self.network = Network()
        self.network.names = {HOST: [ADDRESS]}
        self.network.places[ADDRESS, 443] = lambda: WebServer(self)
        self.tls = OURS.issue(HOST)
        self.body = b""
        (folder / "ca.pem").write_bytes(OURS.pem)
        usual = {"keys": None, "jwks_url": URL, "ca_file": "ca.pem"}
        issuer = settings(folder, **usual | given)
        self.keys = published.make(issuer, issuer.jwks, self.network, lambda: 0.5)

    def publish(self, *jwks):
        self.body = json.dumps(mint.jwks(*jwks)).encode()

    def names(self):
        found = self.keys.current()
        return None if found is None else found.names()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.keys.stop()
    site.network.settle()
    assert site.network.open == []
    assert site.network.getDelayedCalls() == []


def test_keys_are_fetched_and_fetched_again(site):
    site.publish(mint.key("ES256", "a").jwk(kid="a"))
    assert site.names() is None
    site.keys.start()
    site.network.settle()
    assert site.names() == ["a"]
    site.publish(mint.key("ES256", "b").jwk(kid="b"))
    site.network.settle(899)
    assert site.names() == ["a"]
    site.network.settle(1)
    assert site.names() == ["b"]


def test_a_server_that_is_not_verified_publishes_nothing(site):
    site.publish(mint.key("ES256", "a").jwk(kid="a"))
    site.tls = OTHER.issue(HOST)
    site.keys.start()
    site.network.settle()
    assert site.names() is None
    assert "authority" in site.keys.trouble


def test_the_authorities_of_the_system_do_not_know_ours(tmp_path):
    site = Site(tmp_path, ca_file=None)
    site.publish(mint.key("ES256", "a").jwk(kid="a"))
    site.keys.start()
    site.network.settle()
    assert site.names() is None
    site.keys.stop()


def test_keys_that_are_not_used_are_said_once(site, events):
    secret = mint.Key("HS256", secret=SECRETS[0]).jwk()
    site.publish(mint.key("ES256", "a").jwk(kid="a"), secret)
    site.keys.start()
    site.network.settle()
    site.network.settle(900)
    line = f"issuer {NAME}: key 2 of {URL} is secret, and is published"
    assert said(events, LogLevel.warn) == [line]
    site.publish(mint.key("ES256", "a").jwk(kid="a"))
    site.network.settle(900)
    site.publish(mint.key("ES256", "a").jwk(kid="a"), secret)
    site.network.settle(900)
    assert said(events, LogLevel.warn) == [line, line]
    assert site.names() == ["a"]


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"keys": []}', b'{"keys": [{"kty": "oct"}]}', b"x" * 2_000_000]
)
def test_what_is_no_jwks_leaves_the_old_keys_in_force(site, body):
    site.publish(mint.key("ES256", "a").jwk(kid="a"))
    site.keys.start()
    site.network.settle()
    site.body = body
    site.network.settle(900)
    assert site.names() == ["a"]
    assert site.keys.trouble != ""


def test_a_server_that_says_nothing_is_left_after_ten_seconds(site):
    site.body = None
    site.keys.start()
    site.network.settle()
    site.network.settle(9.9)
    assert site.keys.trouble == ""
    site.network.settle(0.1)
    assert site.keys.trouble.startswith("no whole answer in 10 s")
