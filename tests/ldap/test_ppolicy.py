"""The password policy control."""

from __future__ import annotations

import pytest

from authbridge.ldap import codec, ppolicy
from authbridge.ldap.ber import Malformed
from authbridge.ldap.ppolicy import OID, Error, Policy
from tests.ldap.server import PPOLICY, bound, number, policy, read_request, tlv


def read(value):
    return ppolicy.read({OID: value})


def sent(control):
    (reply,) = codec.Inbox().feed(bound(1, 49, b"", control))
    return ppolicy.read(reply.controls)


def test_it_is_asked_for_with_every_bind_and_is_not_critical():
    request = read_request(codec.message(1, codec.bind_request(b"a", b"b", ppolicy.REQUEST)))
    assert request.controls == (PPOLICY,)
    assert tlv(0xA0, tlv(0x30, tlv(4, PPOLICY))) == ppolicy.REQUEST


def test_a_reply_without_it_has_no_policy():
    assert ppolicy.read({}) is None
    assert ppolicy.read({b"1.2.3": b"x"}) is None


@pytest.mark.parametrize("error", list(Error))
def test_each_error_is_read(error):
    assert sent(policy(error=error.value)) == Policy(error, None, None)


def test_warnings_are_read_with_and_without_an_error():
    assert sent(policy()) == Policy(None, None, None)
    assert sent(policy(seconds=86400)) == Policy(None, 86400, None)
    assert sent(policy(grace=0)) == Policy(None, None, 0)
    assert sent(policy(grace=3, error=0)) == Policy(Error.PASSWORD_EXPIRED, None, 3)


def test_an_administrator_reads_it_in_words():
    assert sent(policy()).words == ""
    assert sent(policy(error=1)).words == "account locked"
    assert sent(policy(seconds=60)).words == "the password expires in 60 s"
    assert sent(policy(error=2, grace=1)).words == (
        "change after reset, it has expired; 1 grace logins are left"
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x30",
        tlv(0x31),
        tlv(0x30) + b"\0",
        tlv(0x30, tlv(0xA0)),  # a warning of nothing
        tlv(0x30, tlv(0xA0, number(1, 0x82))),
        tlv(0x30, tlv(0xA0, number(1, 0x80), number(1, 0x81))),
        tlv(0x30, tlv(0xA0, number(-1, 0x80))),
        tlv(0x30, tlv(0xA0, tlv(0x80))),
        tlv(0x30, number(9, 0x81)),
        tlv(0x30, tlv(0x81)),
        tlv(0x30, number(1, 0x82)),
        tlv(0x30, number(1, 0x81), number(1, 0x81)),
        tlv(0x30, number(1, 0x81), tlv(0xA0, number(1, 0x80))),
    ],
)
def test_one_that_is_odd_is_malformed_and_not_left_out(value):
    with pytest.raises(Malformed):
        read(value)
