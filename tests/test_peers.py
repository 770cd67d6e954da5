"""Whose a connection is: an address, or the user that the kernel names."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from authbridge.peers import UNIX, address_of, credentials, peer_of, plain_address


class Transport:
    """A connection from there."""

    def __init__(self, peer, sock=None):
        self._peer = peer
        self.socket = sock

    def getPeer(self):
        return self._peer


def over_ipv4(host):
    return Transport(IPv4Address("TCP", host, 50000))


def over_ipv6(host):
    return Transport(IPv6Address("TCP", host, 50000))


@pytest.mark.parametrize(
    "connection",
    [
        over_ipv4("192.0.2.1"),
        over_ipv6("::ffff:192.0.2.1"),
        over_ipv6("::FFFF:192.0.2.1"),
        over_ipv6("::ffff:c000:201"),
        over_ipv6("0:0:0:0:0:ffff:c000:0201"),
        over_ipv6("::ffff:192.0.2.1%eth0"),
    ],
)
def test_an_ipv4_address_is_the_same_over_ipv6(connection):
    assert address_of(connection) == "192.0.2.1"
    assert peer_of(connection) == "192.0.2.1"


def test_what_a_real_socket_says_of_ipv4_over_ipv6_is_ipv4():
    """The only spelling that there is, on this machine."""
    with socket.socket(socket.AF_INET6) as listening, socket.socket(socket.AF_INET) as calling:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listening.bind(("::", 0))
        listening.listen()
        calling.connect(("127.0.0.1", listening.getsockname()[1]))
        taken, _ = listening.accept()
        with taken:
            assert taken.getpeername()[0] != "127.0.0.1"
            assert plain_address(taken.getpeername()[0]) == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::", "::"),
        ("::192.0.2.1", "::c000:201"),  # not IPv4 over IPv6
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("::ffff:0:192.0.2.1", "::ffff:0:c000:201"),
    ],
)
def test_an_address_has_one_form(host, plain):
    assert plain_address(host) == plain
    assert plain_address(plain) == plain


@pytest.mark.parametrize(
    ("host", "address", "peer"),
    [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::7", "2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::7", "2001:db8:1:3::7", "2001:db8:1:3::/64"),
        ("::1", "::1", "::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("fe80::1%2", "fe80::1", "fe80::/64"),
    ],
)
def test_of_ipv6_the_network_of_one_caller_is_one_peer(host, address, peer):
    connection = over_ipv6(host)
    assert address_of(connection) == address
    assert peer_of(connection) == peer


def test_the_zone_is_no_part_of_an_address_whatever_the_interface_is_called():
    """VLANs have a dot in their names."""
    assert address_of(over_ipv6("fe80::1%eth0.100")) == "fe80::1"


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    yield ours
    ours.close()
    theirs.close()


def test_on_a_unix_socket_the_kernel_names_the_user(pair):
    connection = Transport(UNIXAddress(None), pair)
    assert credentials(pair) == (os.getpid(), os.geteuid())
    assert address_of(connection) == UNIX
    assert peer_of(connection) == f"uid {os.geteuid()}"
