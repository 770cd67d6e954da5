"""Whose a connection is: an address, or the user that the kernel names; and who is listed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from authbridge.peers import (
    UNIX,
    address_of,
    credentials,
    is_among,
    peer_of,
    plain_address,
    read_peers,
)
from authbridge.settings import Mistakes, Table


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


# --- who is listed --------------------------------------------------------------------------------


def read(*addresses, **given):
    """What a list names, and the mistakes in it."""
    found = Mistakes()
    table = Table({"peers": list(addresses)} | given, "here", found, Path("/"))
    networks, unix = read_peers(table)
    return networks, unix, list(found)


def test_addresses_networks_and_unix_sockets_are_listed():
    networks, unix, mistakes = read("127.0.0.1", "10.0.0.0/24", "::1", "2001:db8::/32", "unix")
    assert list(map(str, networks)) == ["127.0.0.1/32", "10.0.0.0/24", "::1/128", "2001:db8::/32"]
    assert (unix, mistakes) == (True, [])
    assert read("127.0.0.1")[1] is False


def test_a_list_that_is_not_there_names_nobody():
    found = Mistakes()
    assert read_peers(Table({}, "here", found, Path("/"))) == ([], False)
    assert list(found) == []


def test_an_empty_list_is_a_mistake():
    assert read()[2] == ["here.peers: names nobody, so that nobody could call"]


@pytest.mark.parametrize(
    "text", ["localhost", "10.0.0.0/33", "fe80::1%eth0", "::ffff:192.0.2.1", "UNIX", "10.0.0"]
)
def test_what_is_no_address_is_a_mistake(text):
    networks, _, (mistake,) = read("127.0.0.1", text)
    assert mistake.startswith(f'here.peers: "{text}" is no address, network such as 10.0.0.0/24')
    assert list(map(str, networks)) == ["127.0.0.1/32"]


def test_an_address_within_a_network_is_not_taken_for_the_network():
    _, _, (mistake,) = read("10.0.0.7/24")
    assert mistake == 'here.peers: "10.0.0.7/24" should be "10.0.0.0/24", or "10.0.0.7" alone'


@pytest.mark.parametrize(
    ("address", "listed"),
    [
        ("10.0.0.255", True),
        ("10.0.1.0", False),
        ("::1", True),
        ("::2", False),
        ("127.0.0.1", False),
        (UNIX, False),
    ],
)
def test_a_caller_is_listed_by_his_address(address, listed):
    networks, _, _ = read("10.0.0.0/24", "::1")
    assert is_among(address, networks, unix=False) is listed


def test_whoever_comes_by_a_unix_socket_is_listed_as_that_alone():
    assert is_among(UNIX, [], unix=True)
    assert not is_among("127.0.0.1", [], unix=True)
