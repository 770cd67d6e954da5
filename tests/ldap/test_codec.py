"""Messages: requests with nothing missing, replies with nothing amiss."""

from __future__ import annotations

import pytest
from ldap3.core.results import RESULT_CODES

from authbridge.ldap import codec
from authbridge.ldap.ber import Malformed
from authbridge.ldap.codec import Entry, Inbox, Result, Scope
from tests.ldap import server
from tests.ldap.server import bound, done, entry, number, read_request, reply, result, tlv

PRESENT = tlv(0x87, b"objectClass")


def ask(request, message_id=1):
    """The request as a server reads it."""
    return read_request(codec.message(message_id, request))


# --- requests -------------------------------------------------------------------------------------


def test_a_bind_carries_name_password_and_control():
    control = codec.control(b"1.2.3")
    request = ask(codec.bind_request(b"uid=a", b"wonderland", control), 300)
    assert (request.id, request.kind, request.name) == (300, "bind", b"uid=a")
    assert (request.password, request.controls) == (b"wonderland", (b"1.2.3",))
    assert ask(codec.bind_request(b"a", b"b")).controls == ()


@pytest.mark.parametrize(("name", "password"), [(b"", b"wonderland"), (b"uid=a", b""), (b"", b"")])
def test_a_bind_without_a_name_or_a_password_is_never_made(name, password):
    with pytest.raises(ValueError, match="a bind needs a name and a password") as raised:
        codec.bind_request(name, password)
    assert "wonderland" not in str(raised.value)


def test_a_search_carries_all_that_it_was_given():
    octets = codec.search_request(
        b"dc=x", Scope.SUBTREE, PRESENT, ["uid", "mail"], size_limit=2, time_limit=4
    )
    request = ask(octets)
    assert (request.kind, request.name, request.scope) == ("search", b"dc=x", 2)
    assert (request.limits, request.attributes) == ((2, 4), (b"uid", b"mail"))
    assert request.filter == ("present", b"objectClass")
    prefix = codec.search_prefix(b"dc=x", Scope.SUBTREE, 2, 4)
    assert prefix.request(PRESENT, codec.search_attributes(["uid", "mail"])) == octets


def test_a_search_that_is_long_has_a_long_length():
    octets = codec.search_request(
        b"dc=" + b"x" * 300, Scope.BASE, PRESENT, ["uid"], size_limit=0, time_limit=0
    )
    assert ask(octets).name == b"dc=" + b"x" * 300


def test_a_filter_for_whatever_has_an_attribute():
    assert codec.present(b"objectClass") == PRESENT


def test_a_new_password_is_a_users_and_nothing_else():
    request = ask(codec.password_request(b"uid=a", b"looking-glass"))
    assert (request.kind, request.name) == ("extended", b"1.3.6.1.4.1.4203.1.11.1")
    assert request.value == tlv(0x30, tlv(0x80, b"uid=a"), tlv(0x82, b"looking-glass"))


@pytest.mark.parametrize(("name", "password"), [(b"", b"wonderland"), (b"uid=a", b""), (b"", b"")])
def test_a_new_password_that_is_nobodys_or_empty_is_never_made(name, password):
    with pytest.raises(ValueError, match="not empty") as raised:
        codec.password_request(name, password)
    assert "wonderland" not in str(raised.value)


def test_a_value_takes_the_place_of_all_that_an_attribute_had():
    request = ask(codec.replace_request(b"uid=a", b"unicodePwd", b"\0x"))
    assert (request.kind, request.name) == ("modify", b"uid=a")
    assert request.changes == ((2, b"unicodePwd", (b"\0x",)),)


def test_an_entry_is_added_with_all_values_of_its_attributes():
    attributes = {b"objectClass": [b"top", b"person"], b"uid": [b"a"]}
    request = ask(codec.add_request(b"uid=a", attributes))
    assert (request.kind, request.name) == ("add", b"uid=a")
    assert request.changes == ((0, b"objectClass", (b"top", b"person")), (0, b"uid", (b"a",)))


def test_an_entry_is_deleted_by_its_name():
    request = ask(codec.delete_request(b"uid=a"))
    assert (request.kind, request.name) == ("delete", b"uid=a")


@pytest.mark.parametrize("tag", [0x67, 0x69, 0x6B])
def test_the_result_of_a_change_is_read_as_any_other(tag):
    octets = reply(3, result(tag, 19, b"too short"))
    assert read(octets) == codec.Reply(3, tag, Result(19, b"too short", b"", False, b""), {})


def test_the_other_requests_are_what_they_are_called():
    assert ask(codec.extended_request(codec.START_TLS)).name == server.START_TLS
    assert ask(codec.abandon_request(7)).abandoned == 7
    assert ask(codec.unbind_request()).kind == "unbind"


# --- replies --------------------------------------------------------------------------------------


def read(octets):
    (one,) = Inbox().feed(octets)
    return one


def test_result_codes_have_the_numbers_of_rfc_4511():
    named = {
        codec.SUCCESS: "success",
        codec.SIZE_LIMIT_EXCEEDED: "sizeLimitExceeded",
        codec.REFERRAL: "referral",
        codec.CONSTRAINT_VIOLATION: "constraintViolation",
        codec.INVALID_CREDENTIALS: "invalidCredentials",
        codec.BUSY: "busy",
        codec.UNAVAILABLE: "unavailable",
        codec.UNWILLING_TO_PERFORM: "unwillingToPerform",
    }
    assert named == {code: RESULT_CODES[code] for code in named}


def test_a_plain_result_and_a_long_one_are_read_alike():
    assert read(bound(1)).content == Result(0, b"", b"", False, b"")
    assert read(bound(1, 49)).content == Result(49, b"", b"", False, b"")
    octets = reply(5, tlv(0x65, number(10, 10), tlv(4, b"dc=x"), tlv(4, b"text"),
                          server.referral(b"ldap://a", b"ldap://b")))  # fmt: skip
    assert read(octets) == codec.Reply(
        5, codec.SEARCH_DONE, Result(10, b"text", b"dc=x", True, b""), {}
    )


def test_a_bind_may_bring_sasl_credentials_which_mean_nothing():
    assert read(reply(1, result(0x61, 0, b"", tlv(0x87, b"x")))).content.code == 0


def test_an_extended_response_has_a_name_and_a_value_or_neither():
    name, value = tlv(0x8A, b"1.2"), tlv(0x8B, b"v")
    for more in ((), (name,), (value,), (name, value)):
        assert read(reply(1, result(0x78, 0, b"", *more))).content.name == (
            b"1.2" if name in more else b""
        )


def test_an_entry_has_its_attributes_by_name_in_lower_case():
    octets = entry(1, b"\xff,dc=x", {"uId": [b"a", b"b"], "cn;LANG-de": [], "jpegPhoto": [b"\0"]})
    assert read(octets).content == Entry(
        b"\xff,dc=x", {b"uid": [b"a", b"b"], b"cn;lang-de": [], b"jpegphoto": [b"\0"]}
    )


def test_controls_are_values_by_oid():
    false, true = tlv(1, b"\0"), tlv(1, b"\xff")
    octets = bound(
        1, 0, b"",
        tlv(0x30, tlv(4, b"1.1")),
        tlv(0x30, tlv(4, b"1.2"), true),
        tlv(0x30, tlv(4, b"1.3"), tlv(4, b"v")),
        tlv(0x30, tlv(4, b"1.4"), false, tlv(4, b"w")),
    )  # fmt: skip
    assert read(octets).controls == {b"1.1": b"", b"1.2": b"", b"1.3": b"v", b"1.4": b"w"}


SUCCESS = tlv(0x61, number(0, 10), tlv(4), tlv(4))
ATTRIBUTE = tlv(0x30, tlv(4, b"uid"), tlv(0x31, tlv(4, b"a")))
CONTROL = tlv(0x30, tlv(4, b"1.1"))


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        # The envelope.
        (b"\x31\x00", "a message begins with 0x31"),
        (b"HTTP/1.1 400 Bad Request\r\n", "a message begins with 0x48"),
        (b"\x30\x80", "a length is indefinite"),
        (b"\x30\x85\0\0\0\0\1", "a length is indefinite, or longer"),
        (tlv(0x30), "ends within its header"),
        (tlv(0x30, tlv(4, b"\1"), SUCCESS), "in place of 0x02"),
        (tlv(0x30, number(1)), "ends within its header"),
        (tlv(0x30, number(-1), SUCCESS), "is negative"),
        (reply(0, SUCCESS), "a message has the id 0"),
        (reply(0, result(0x78, 0, b"", tlv(0x8A, b"1.2"))), "a message has the id 0"),
        (entry(0, b"dc=x"), "a message has the id 0"),
        (reply(1, tlv(0x60)), "a reply is of the kind 0x60"),
        (reply(1, tlv(0x79)), "a reply is of the kind 0x79"),
        (tlv(0x30, number(1), SUCCESS, tlv(0x30)), "in place of 0xa0"),
        (tlv(0x30, number(1), SUCCESS, tlv(0xA0), tlv(4)), "a message goes on behind its end"),
        (tlv(0x30, number(1), SUCCESS, b"\0"), "ends within its header"),
        # Results. An empty code, or one that is an INTEGER, is 0 to some decoders: success.
        (reply(1, tlv(0x61)), "ends within its header"),
        (reply(1, tlv(0x61, tlv(10), tlv(4), tlv(4))), "empty"),
        (reply(1, tlv(0x61, number(0), tlv(4), tlv(4))), "in place of 0x0a"),
        (reply(1, tlv(0x61, number(0, 10), tlv(4))), "ends within its header"),
        (reply(1, tlv(0x61, number(0, 10), tlv(4), tlv(5))), "in place of 0x04"),
        (reply(1, result(0x61, 0, b"", tlv(0x8A, b"1.2"))), "in place of 0x87"),
        (reply(1, result(0x65, 0, b"", tlv(0x87))), "a result goes on behind its end"),
        (reply(1, result(0x78, 0, b"", tlv(0x8B), tlv(0x8A))), "goes on behind its end"),
        (reply(1, result(0x61, 10, b"", tlv(0xA3))), "names no server"),
        (reply(1, result(0x61, 10, b"", tlv(0xA3, tlv(2)))), "in place of 0x04"),
        # References and entries.
        (reply(1, tlv(0x73)), "names no server"),
        (reply(1, tlv(0x73, tlv(2))), "in place of 0x04"),
        (reply(1, tlv(0x64, tlv(4, b"dc=x"))), "ends within its header"),
        (reply(1, tlv(0x64, tlv(4), tlv(0x30), tlv(4))), "an entry goes on behind its end"),
        (reply(1, tlv(0x64, tlv(4), tlv(0x30, ATTRIBUTE, ATTRIBUTE))), "or is there twice"),
        (reply(1, tlv(0x64, tlv(4), tlv(0x30, tlv(0x30, tlv(4), tlv(0x31))))), "has no name"),
        (
            reply(1, tlv(0x64, tlv(4), tlv(0x30, tlv(0x30, tlv(4, b"a"), tlv(0x31), tlv(4))))),
            "an attribute goes on behind its end",
        ),
        (
            reply(1, tlv(0x64, tlv(4), tlv(0x30, tlv(0x30, tlv(4, b"a"), tlv(0x31, tlv(2)))))),
            "in place of 0x04",
        ),
        # Controls.
        (bound(1, 0, b"", CONTROL, CONTROL), "a control has no OID, or is there twice"),
        (bound(1, 0, b"", tlv(0x30, tlv(4))), "a control has no OID, or is there twice"),
        (bound(1, 0, b"", tlv(0x30, tlv(4, b"1"), tlv(1, b"\0\0"))), "a boolean has not one"),
        (bound(1, 0, b"", tlv(0x30, tlv(4, b"1"), tlv(1))), "a boolean has not one"),
        (bound(1, 0, b"", tlv(0x30, tlv(4, b"1"), tlv(4), tlv(4))), "a control goes on behind"),
        (bound(1, 0, b"", tlv(0x30, tlv(4, b"1"), tlv(5))), "in place of 0x04"),
    ],
)
def test_what_no_server_may_send_is_malformed(octets, said):
    with pytest.raises(Malformed, match=said):
        Inbox().feed(octets)


def test_a_malformed_reply_is_not_repeated_in_what_is_said_of_it():
    octets = reply(1, tlv(0x61, number(0, 10), tlv(4), tlv(5, b"wonderland")))
    with pytest.raises(Malformed) as raised:
        Inbox().feed(octets)
    assert "wonderland" not in str(raised.value)


# --- the inbox ------------------------------------------------------------------------------------


def test_messages_are_the_same_however_they_are_cut():
    octets = entry(1, b"uid=a", {"cn": [b"x" * 300]}) + done(1) + bound(2, 49)
    expected = Inbox().feed(octets)
    assert [one.message_id for one in expected] == [1, 1, 2]
    for size in (1, 2, 3, 7, 100, 301):
        inbox, found = Inbox(), []
        for at in range(0, len(octets), size):
            found += inbox.feed(octets[at : at + size])
            assert inbox.partial == (at + size < len(octets) and cut(octets, at + size))
        assert found == expected


def cut(octets, at):
    """Whether a message is not whole at this place."""
    while at > 0 and (size := server.whole(octets)):
        octets, at = octets[size:], at - size
    return at != 0


def test_nothing_of_a_segment_counts_if_its_end_is_malformed():
    with pytest.raises(Malformed):
        Inbox().feed(bound(1) + b"\x31")


def test_a_message_that_is_too_large_is_dropped_at_its_header():
    for header in (b"\x30\x84\x7f\xff\xff\xff", b"\x30\x83\x04\x00\x00"):
        with pytest.raises(Malformed, match="more than 262144 octets"):
            Inbox().feed(header)
    inbox = Inbox(largest=20)
    assert inbox.feed(bound(1)) != []
    with pytest.raises(Malformed, match="more than 20 octets"):
        inbox.feed(bound(1, 49, b"x" * 10))
