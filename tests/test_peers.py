"""Whose a connection is: an address, or the user that the kernel names."""

from __future__ import annotations

import os
import socket

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from authbridge.rooms import UNIX, address_of, credentials, peer_of


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


@pytest.mark.parametrize("connection", [over_ipv4("192.0.2.1"), over_ipv6("::ffff:192.0.2.1")])
def test_an_ipv4_address_is_the_same_over_ipv6(connection):
    assert address_of(connection) == "192.0.2.1"
    assert peer_of(connection) == "192.0.2.1"


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
