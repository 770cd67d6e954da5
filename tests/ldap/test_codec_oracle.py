"""12,000 generated requests are octet for octet what ldap3 and pyasn1 make of the same."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from ldap3.operation.add import add_operation
from ldap3.operation.delete import delete_operation
from ldap3.operation.extended import extended_operation
from ldap3.operation.modify import modify_operation
from ldap3.operation.search import compile_filter, parse_filter, search_operation
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc3062 import NewPasswd, PasswdModifyRequestValue, UserIdentity
from ldap3.protocol.rfc4511 import (
    AbandonRequest,
    AuthenticationChoice,
    BindRequest,
    ExtendedRequest,
    LDAPMessage,
    MessageID,
    ProtocolOp,
    RequestName,
    Simple,
    UnbindRequest,
    Version,
)
from ldap3.utils.asn1 import encode

from authbridge.ldap import codec
from authbridge.ldap.filters import FilterMistake, Template
from tests.ldap.oracle import elements

POLICY = b"1.3.6.1.4.1.42.2.27.8.5.1"
OIDS = [b"1.3.6.1.4.1.1466.20037", b"1.3.6.1.4.1.4203.1.11.3", b"1.2.3"]
ATTRIBUTES = ["uid", "cn", "sAMAccountName", "memberOf", "1.2.3.4", "name;lang-de", "*", "+", "1.1"]
LENGTHS = [0, 1, 2, 7, 30, 126, 127, 128, 129, 255, 256, 257, 1000, 65535, 65536]
NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**23, 2**24, 2**31 - 1]


def number(dice: random.Random) -> int:
    return dice.choice(NUMBERS) if dice.random() < 0.5 else dice.randrange(2**31)


def octets(dice: random.Random, least: int = 0) -> bytes:
    """Any octets at all: mostly a few, sometimes at the edge of a length's encoding."""
    if dice.random() < 0.1:
        return dice.randbytes(max(dice.choice(LENGTHS), least))
    return dice.randbytes(dice.randrange(least, 24))


def theirs(message_id: int, name: str, request: Any, *controls: Any) -> bytes:
    envelope = LDAPMessage()
    envelope["messageID"] = MessageID(message_id)
    envelope["protocolOp"] = ProtocolOp().setComponentByName(name, request)
    if controls:
        envelope["controls"] = build_controls_list(controls)
    return bytes(encode(envelope))


# --- filters: a text with holes, and the same with its values escaped -----------------------------


def escaped(value: bytes) -> str:
    return "".join(f"\\{octet:02x}" for octet in value)


def encoded(text: str) -> bytes:
    parsed = parse_filter(text, None, False, False, None, False).elements[0]
    return bytes(encode(compile_filter(parsed)))


class Filter:
    """A random filter, its holes being {user} and {domain}."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.text = self._node(4)
        self.template = Template(self.text, "user", "domain")

    def _node(self, depth: int) -> str:
        kind = self.dice.random()
        if depth and kind < 0.25:
            nodes = "".join(self._node(depth - 1) for _ in range(self.dice.randint(1, 4)))
            return f"({self.dice.choice('&|')}{nodes})"
        if depth and kind < 0.35:
            return f"(!{self._node(depth - 1)})"
        name = self.dice.choice(ATTRIBUTES[:6])
        if kind < 0.42:
            return f"({name}=*)"
        if kind < 0.57:
            return f"({name}={self._substrings()})"
        if kind < 0.72:
            rule = self.dice.choice(["caseIgnoreMatch", "1.2.840.113556.1.4.1941"])
            left = self.dice.choice(
                [
                    name,
                    f"{name}:dn",
                    f"{name}:{rule}",
                    f"{name}:dn:{rule}",
                    f":{rule}",
                    f":dn:{rule}",
                ]
            )
            return f"({left}:={self._value()})"
        return f"({name}{self.dice.choice(['=', '=', '=', '>=', '<=', '~='])}{self._value()})"

    def _substrings(self) -> str:
        inner = [self._value() or "x" for _ in range(self.dice.randint(0, 3))]
        ends = [self._value(), self._value()]
        text = "*".join([ends[0], *inner, ends[1]])
        return text if text != "*" else "*x*"

    def _value(self) -> str:
        pieces = []
        for _ in range(self.dice.choice([0, 1, 1, 1, 2, 3])):
            kind = self.dice.random()
            if kind < 0.5:
                pieces.append(self.dice.choice(["{user}", "{user}", "{domain}"]))
            elif kind < 0.7:
                pieces.append(escaped(octets(self.dice)[:40]))
            else:
                pieces.append(
                    self.dice.choice(["abc", "é✓", "CN=Users,DC=ad", "{", "}", "{x}", "a b"])
                )
        return "".join(pieces)

    def escaped(self, user: bytes, domain: bytes) -> str:
        return self.text.replace("{user}", escaped(user)).replace("{domain}", escaped(domain))


def searches(dice: random.Random, count: int):
    """Searches in ldap3's octets and in ours. A piece of a substring filter that is empty is left
    out by ldap3, so no value is."""
    for _ in range(count // 8):
        some = Filter(dice)
        for _ in range(8):
            user, domain = octets(dice, 1), octets(dice, 1)
            base, scope, numbers = octets(dice), dice.randrange(3), (number(dice), number(dice))
            attributes = dice.sample(ATTRIBUTES, dice.randint(0, len(ATTRIBUTES)))
            ours = codec.search_request(
                base, codec.Scope(scope), some.template.fill(user, domain), attributes,
                size_limit=numbers[0], time_limit=numbers[1],
            )  # fmt: skip
            request = search_operation(
                base,
                some.escaped(user, domain),
                scope,
                0,
                attributes,
                *numbers,
                False,
                False,
                False,
            )
            yield "searchRequest", request, (), ours


def binds(dice: random.Random, count: int):
    for _ in range(count):
        name, password = octets(dice, 1), octets(dice, 1)
        request = BindRequest()
        request["version"] = Version(3)
        request["name"] = name
        request["authentication"] = AuthenticationChoice().setComponentByName(
            "simple", Simple(password)
        )
        if dice.random() < 0.8:
            ours = codec.bind_request(name, password, codec.control(POLICY))
            yield "bindRequest", request, [(POLICY, False, None)], ours
        else:
            yield "bindRequest", request, (), codec.bind_request(name, password)


def changes(dice: random.Random, count: int):
    for _ in range(count // 4):
        dn, name, value = octets(dice, 1), dice.choice(ATTRIBUTES[:5]), octets(dice)
        asked = PasswdModifyRequestValue()
        asked["userIdentity"], asked["newPasswd"] = UserIdentity(dn), NewPasswd(value or b"x")
        request = extended_operation("1.3.6.1.4.1.4203.1.11.1", asked)
        yield "extendedReq", request, (), codec.password_request(dn, value or b"x")
        request = modify_operation(dn, {name: [("MODIFY_REPLACE", [value])]}, False)
        yield "modifyRequest", request, (), codec.replace_request(dn, name.encode(), value)
        some = {
            one: [octets(dice) for _ in range(dice.randint(1, 4))]
            for one in dice.sample(ATTRIBUTES[:6], dice.randint(1, 6))
        }
        given = {one.encode(): values for one, values in some.items()}
        yield "addRequest", add_operation(dn, some, False), (), codec.add_request(dn, given)
        yield "delRequest", delete_operation(dn), (), codec.delete_request(dn)


def others(dice: random.Random, count: int):
    for _ in range(count // 4):
        oid = dice.choice(OIDS)
        request = ExtendedRequest()
        request["requestName"] = RequestName(oid)
        yield "extendedReq", request, (), codec.extended_request(oid)
        for _ in range(2):
            target = number(dice)
            yield "abandonRequest", AbandonRequest(target), (), codec.abandon_request(target)
        yield "unbindRequest", UnbindRequest(b""), (), codec.unbind_request()


@pytest.mark.parametrize(
    ("generate", "count", "seed"),
    [(binds, 4000, 1), (searches, 4000, 2), (others, 2000, 3), (changes, 2000, 4)],
    ids=["binds", "searches", "others", "changes"],
)
def test_requests_are_what_ldap3_encodes(generate, count, seed):
    dice = random.Random(seed)
    compared = 0
    for name, request, controls, ours in generate(dice, count):
        message_id = number(dice)
        expected = theirs(message_id, name, request, *controls)
        assert codec.message(message_id, ours) == expected, f"seed {seed}, number {compared}"
        compared += 1
    assert compared == count


@pytest.mark.parametrize("octet", range(256))
def test_every_octet_goes_into_a_filter_as_it_is(octet):
    value = bytes([octet])
    template = Template(r"(&(uid={user})(cn=*\2a{user}*)(a:dn:={user}x))", "user")
    for user in (value, value * 2, b"a" + value, value + b"a", b"\\2" + value):
        hexed = escaped(user)
        text = rf"(&(uid={hexed})(cn=*\2a{hexed}*)(a:dn:={hexed}x))"
        assert template.fill(user) == encoded(text)
        assert user in template.fill(user)


@pytest.mark.parametrize(
    "value",
    [
        b"*", b"*)(uid=*", b")(|(uid=*", b"\\2a", b"\\", b"{user}", b"{domain}", b"\0", b"(", b"&",
        b" blanks ", b"\xfe\xff0\xff\xfe", b"\xfe\xff1\xff\xfe", b"\x04\x00", b"\xa3\x05",
    ],
)  # fmt: skip
def test_what_has_a_meaning_in_a_filter_has_none_in_a_value(value):
    template = Template("(&(objectClass=person)(uid={user})(cn={domain}))", "user", "domain")
    filled = template.fill(value, b"x" + value)
    hexed = escaped(value)
    assert filled == encoded(f"(&(objectClass=person)(uid={hexed})(cn=x{hexed}))")
    (both,) = elements(filled)
    contents = [[part.content for part in one.children] for one in both.children]
    assert contents == [[b"objectClass", b"person"], [b"uid", value], [b"cn", b"x" + value]]


@pytest.mark.parametrize(
    "text",
    [
        "({user}=x)", "(uid={user}", "{user}", "(&{user})", "(uid:{user}:=x)", "({user})",
        "({user}=*)", "(!{user})", "(a={user})(b=x)", "(&(a={user})(b=x)", "", "()", "(a)",
        "(a=\\zz{user})", "(a={user}\\2)", "(uid;{user}=x)", "(:{user}:=x)", "({user}:dn:=x)",
    ],
)  # fmt: skip
def test_a_hole_outside_of_a_value_is_refused(text):
    with pytest.raises(FilterMistake):
        Template(text, "user")


@pytest.mark.parametrize("count", [1, 9, 10, 11, 40, 120])
def test_there_are_as_many_holes_as_anybody_has_groups(count):
    holes = [f"g{number}" for number in range(count)]
    values = [b"cn=group %d,dc=example" % number for number in range(count)]
    template = Template("(|" + "".join(f"(memberOf={{{hole}}})" for hole in holes) + ")", *holes)
    text = "(|" + "".join(f"(memberOf={escaped(value)})" for value in values) + ")"
    assert template.fill(*values) == encoded(text)


@pytest.mark.parametrize("digit", range(10))
def test_a_digit_behind_or_in_front_of_a_hole_is_part_of_the_value(digit):
    template = Template(f"(cn={digit}{{user}}{digit}{{user}})", "user")
    assert template.fill(b"1") == encoded(f"(cn={digit}1{digit}1)")


@pytest.mark.parametrize(("name", "password"), [(b"", b"x"), (b"x", b""), (b"", b"")])
def test_a_bind_that_would_be_anonymous_cannot_be_encoded(name, password):
    with pytest.raises(ValueError, match="needs a name and a password"):
        codec.bind_request(name, password)


@pytest.mark.parametrize(("dn", "password"), [(b"", b"x"), (b"x", b""), (b"", b"")])
def test_a_new_password_that_the_server_would_make_up_cannot_be_encoded(dn, password):
    with pytest.raises(ValueError, match="a new password is somebody's"):
        codec.password_request(dn, password)


def test_lengths_are_right_at_every_edge():
    for name, password in itertools.product(LENGTHS[1:], repeat=2):
        request = BindRequest()
        request["version"] = Version(3)
        request["name"] = b"n" * name
        request["authentication"] = AuthenticationChoice().setComponentByName(
            "simple", Simple(b"p" * password)
        )
        ours = codec.message(1, codec.bind_request(b"n" * name, b"p" * password))
        assert ours == theirs(1, "bindRequest", request)
