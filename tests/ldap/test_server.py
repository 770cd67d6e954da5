"""What names a server of a directory, and where it is."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint

from authbridge.ldap.server import Server, ServerMistake
from tests.ldap.server import Network


@pytest.mark.parametrize(
    ("url", "server", "text"),
    [
        ("ldaps://ldap.example.org", Server("ldap.example.org", 636, True), None),
        ("ldap://ldap.example.org", Server("ldap.example.org", 389, False), None),
        ("ldap://ldap:1389/", Server("ldap", 1389, False), "ldap://ldap:1389"),
        ("LDAPS://Ldap.Example.ORG", Server("ldap.example.org", 636, True), None),
        ("ldaps://192.0.2.1", Server("192.0.2.1", 636, True), None),
        ("ldaps://[2001:db8::1]:637", Server("2001:db8::1", 637, True), None),
        ("ldap://bücher.example", Server("xn--bcher-kva.example", 389, False), None),
        ("ldap://dc-1.example", Server("dc-1.example", 389, False), None),
    ],
)
def test_a_server_is_a_scheme_a_host_and_a_port(url, server, text):
    parsed = Server.parse(url)
    assert parsed == server
    assert Server.parse(str(parsed)) == parsed
    assert text is None or str(parsed) == text


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ldap.example.org", "should begin with"),
        ("https://ldap.example.org", "should begin with"),
        ("ldapi://%2Frun%2Fslapd", "should begin with"),
        ("", "should begin with"),
        ("ldap://a/dc=x", "no more"),
        ("ldap://a?x", "no more"),
        ("ldap://a#x", "no more"),
        ("ldap://user@a", "no more"),
        ("ldap://user:secret@a", "no more"),
        ("ldap://", "names no host"),
        ("ldap://:389", "names no host"),
        ("ldap://a b", "names no host"),
        ("ldap://a..b", "names no host"),
        ("ldap://" + "a" * 64, "names no host"),
        ("ldap://a:0", "names no host"),
        ("ldap://a:x", "is no URL"),
        ("ldap://a:70000", "is no URL"),
        ("ldap://[::1", "is no URL"),
    ],
)
def test_what_names_no_server_is_a_mistake(url, said):
    with pytest.raises(ServerMistake, match=said):
        Server.parse(url)


def test_a_name_is_resolved_and_an_address_is_not():
    network = Network()
    for host, kind in (
        ("ldap.example.org", HostnameEndpoint),
        ("192.0.2.1", TCP4ClientEndpoint),
        ("2001:db8::1", TCP6ClientEndpoint),
    ):
        assert isinstance(Server(host, 1, True).endpoint(network), kind)
