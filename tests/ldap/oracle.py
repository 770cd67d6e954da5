"""A second opinion on replies: pyasn1 with ldap3's module of RFC 4511, and what pyasn1 lets pass.

pyasn1 reads all of BER; LDAP allows a part of it (RFC 4511, 5.1). So what pyasn1 has understood is
encoded again, and has to be what was read, but for two liberties: lengths that are longer than they
need be, and a criticality that is spelled out. Nothing here looks at a line of ours.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ldap3.protocol.rfc4511 import LDAPMessage
from ldap3.utils.asn1 import decode_message_fast, encode
from pyasn1.codec.ber import decoder
from pyasn1.type.namedtype import NamedType, NamedTypes, OptionalNamedType
from pyasn1.type.tag import Tag, tagClassContext
from pyasn1.type.univ import Choice, Enumerated, Integer, Sequence

VECTORS = Path(__file__).parent.parent / "vectors" / "ldap"
DEEPEST = 8
"""A control in a message is the sixth level."""
DISCONNECTION = b"1.3.6.1.4.1.1466.20036"

BIND, ENTRY, DONE, REFERENCE, EXTENDED = 0x61, 0x64, 0x65, 0x73, 0x78
MODIFY, ADD, DELETE = 0x67, 0x69, 0x6B
TAGS = {
    "bind": BIND,
    "entry": ENTRY,
    "done": DONE,
    "reference": REFERENCE,
    "extended": EXTENDED,
    "modify": MODIFY,
    "add": ADD,
    "delete": DELETE,
}
NAMES = {
    "bindResponse": BIND,
    "searchResEntry": ENTRY,
    "searchResDone": DONE,
    "searchResRef": REFERENCE,
    "extendedResp": EXTENDED,
    "modifyResponse": MODIFY,
    "addResponse": ADD,
    "delResponse": DELETE,
}

Meaning = tuple[int, int, Any, dict[bytes, bytes]]
"""Id, operation, content, controls. A content is (code, matched DN, text, is a referral, name),
or (DN, attributes), or None."""


class Refused(Exception):
    """Not one of the replies that may answer us."""


def vectors(name: str) -> list[dict[str, Any]]:
    """The lines of a file of vectors; `octets` added. The file only grows, so that a later line
    on the same octets has the last word."""
    found = {}
    for text in (VECTORS / f"{name}.jsonl").read_text().splitlines():
        line = json.loads(text)
        line["octets"] = bytes.fromhex(line["hex"])
        found[line.get("server"), line["hex"]] = line
    return list(found.values())


# --- elements -------------------------------------------------------------------------------------


class Element:
    """A tag and children, or a tag and content."""

    def __init__(self, tag: int, children: list[Element] | None, content: bytes = b"") -> None:
        self.tag, self.children, self.content = tag, children, content

    def encode(self) -> bytes:
        """With lengths as short as can be."""
        content = self.content
        if self.children is not None:
            content = b"".join(child.encode() for child in self.children)
        return bytes([self.tag]) + shortest(len(content)) + content


def shortest(size: int) -> bytes:
    if size < 128:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([128 + len(octets)]) + octets


def header(octets: bytes) -> tuple[int, int] | None:
    """How long the header and the content of the first element are; None if it is cut."""
    if len(octets) < 2:
        return None
    if octets[1] < 128:
        return 2, octets[1]
    count = octets[1] - 128
    if not 1 <= count <= 4:
        raise Refused("length")
    if len(octets) < 2 + count:
        return None
    return 2 + count, int.from_bytes(octets[2 : 2 + count], "big")


def elements(octets: bytes, depth: int = 0) -> list[Element]:
    """What is side by side in these octets, constructed elements opened."""
    if depth > DEEPEST:
        raise Refused("nested too deep")
    found = []
    while octets:
        sizes = header(octets)
        if sizes is None or sum(sizes) > len(octets):
            raise Refused("cut")
        start, stop = sizes[0], sum(sizes)
        content = octets[start:stop]
        if octets[0] & 0x1F == 0x1F:
            raise Refused("tag of several octets")
        if octets[0] & 0x20:
            found.append(Element(octets[0], elements(content, depth + 1)))
        else:
            found.append(Element(octets[0], None, content))
        octets = octets[stop:]
    return found


# --- meaning --------------------------------------------------------------------------------------


def _plain(message: Element) -> bytes:
    """The message without the two liberties."""
    for control in (message.children or [])[2:]:
        for one in control.children or []:
            parts = one.children or []
            if len(parts) > 1 and parts[1].tag == 1 and len(parts[1].content) == 1:
                if parts[1].content == b"\0":
                    del parts[1]
                else:
                    parts[1].content = b"\xff"
    return message.encode()


def _entry(component: Any) -> tuple[bytes, dict[bytes, list[bytes]]]:
    attributes: dict[bytes, list[bytes]] = {}
    for attribute in component["attributes"]:
        key = bytes(attribute["type"]).lower()
        if not key or key in attributes:
            raise Refused("attribute")
        attributes[key] = [bytes(value) for value in attribute["vals"]]
    return bytes(component["object"]), attributes


def _result(component: Any, operation: int) -> tuple[int, bytes, bytes, bool, bytes]:
    referral = component["referral"]
    if referral.isValue and not len(referral):
        raise Refused("referral to nobody")
    oid = b""
    if operation == EXTENDED and component["responseName"].isValue:
        oid = bytes(component["responseName"])
    code = int(component["resultCode"])
    if not 0 <= code < 2**31:
        raise Refused("code")
    texts = bytes(component["matchedDN"]), bytes(component["diagnosticMessage"])
    return code, *texts, referral.isValue, oid


def _controls(some: Any) -> dict[bytes, bytes]:
    controls: dict[bytes, bytes] = {}
    for control in some if some.isValue else ():
        key = bytes(control["controlType"])
        if not key or key in controls:
            raise Refused("control")
        value = control["controlValue"]
        controls[key] = bytes(value) if value.isValue else b""
    return controls


def _decoded(octets: bytes, spec: Any) -> Any:
    """What pyasn1 understands, if it is what is there."""
    try:
        decoded, rest = decoder.decode(octets, asn1Spec=spec)
        encoded = b"" if rest else encode(decoded)
    except Exception as error:  # a PyAsn1Error, and now and then an IndexError of its own
        raise Refused("pyasn1") from error
    if rest:
        raise Refused("trailing")
    (element,) = elements(octets)
    if encoded != _plain(element):
        raise Refused("another encoding of the same")
    return decoded


def message(octets: bytes) -> Meaning:
    """What exactly one message means. Raises Refused."""
    decoded = _decoded(octets, LDAPMessage())
    name = decoded["protocolOp"].getName()
    if name not in NAMES:
        raise Refused("operation")
    operation, component = NAMES[name], decoded["protocolOp"].getComponent()
    content: Any = None
    if operation == ENTRY:
        content = _entry(component)
    elif operation != REFERENCE:
        content = _result(component, operation)
    elif not len(component):
        raise Refused("reference to nobody")
    number = int(decoded["messageID"])
    notice = operation == EXTENDED and content[4] == DISCONNECTION
    if not 0 <= number < 2**31 or (number == 0 and not notice):
        raise Refused("id")
    return number, operation, content, _controls(decoded["controls"])


def messages(octets: bytes, largest: int) -> tuple[list[Meaning], bytes]:
    """What several messages mean, and what is left of one that is not whole."""
    found = []
    while octets and octets[0] == 0x30:
        sizes = header(octets)
        if sizes is not None and sum(sizes) > largest:
            raise Refused("too large")
        if sizes is None or sum(sizes) > len(octets):
            return found, octets
        found.append(message(octets[: sum(sizes)]))
        octets = octets[sum(sizes) :]
    if octets:
        raise Refused("no SEQUENCE")
    return found, b""


class Left(Choice):
    componentType = NamedTypes(
        NamedType("seconds", Integer().subtype(implicitTag=Tag(tagClassContext, 0, 0))),
        NamedType("grace", Integer().subtype(implicitTag=Tag(tagClassContext, 0, 1))),
    )


class PolicyValue(Sequence):
    """PasswordPolicyResponseValue (draft-behera-ldap-password-policy, 6.2)."""

    componentType = NamedTypes(
        OptionalNamedType("warning", Left().subtype(explicitTag=Tag(tagClassContext, 32, 0))),
        OptionalNamedType("error", Enumerated().subtype(implicitTag=Tag(tagClassContext, 0, 1))),
    )


def policy(octets: bytes) -> tuple[int | None, int | None, int | None]:
    """Error, seconds and grace logins of a control's value. Raises Refused."""
    decoded = _decoded(octets, PolicyValue())
    found: dict[str, int] = {}
    if decoded["error"].isValue:
        found["error"] = int(decoded["error"])
    if decoded["warning"].isValue:
        found[decoded["warning"].getName()] = int(decoded["warning"].getComponent())
    if any(not 0 <= number < 2**31 for number in found.values()) or found.get("error", 0) > 8:
        raise Refused("number")
    return found.get("error"), found.get("seconds"), found.get("grace")


def ldap3(octets: bytes) -> Meaning:
    """What ldap3's own decoder makes of a message: it judges nothing."""
    decoded = decode_message_fast(octets)
    payload = decoded["payload"]
    content: Any = None
    if decoded["protocolOp"] == 4:
        attributes = {
            bytes(attribute[3][0][3]).lower(): [bytes(value[3]) for value in attribute[3][1][3]]
            for attribute in payload[1][3]
        }
        content = (bytes(payload[0][3]), attributes)
    elif decoded["protocolOp"] != 19:
        (code, dn, text), more = (part[3] for part in payload[:3]), payload[3:]
        name = b"".join(bytes(part[3]) for part in more if part[2] == 10)
        content = (code, bytes(dn), bytes(text), any(part[2] == 3 for part in more), name)
    controls = {}
    for control in decoded["controls"] or []:
        parts = control[3]
        values = [bytes(part[3]) for part in parts[1:] if part[2] == 4]
        controls[bytes(parts[0][3])] = values[0] if values else b""
    return decoded["messageID"], 0x60 | decoded["protocolOp"], content, controls
