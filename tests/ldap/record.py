"""Records what a real directory answers, octet for octet: how recorded.jsonl was made.

    python -m tests.ldap.record slapd --server "slapd 2.5.13"
        --host 127.0.0.1 --port 20636 --ca ca.pem --base dc=example,dc=org
        --bind cn=authbridge,ou=services,dc=example,dc=org --password-file service.txt
        --accounts accounts.tsv > new.jsonl
    cat new.jsonl >> tests/vectors/ldap/recorded.jsonl

What is asked is encoded by ldap3; nothing of ours reads or writes an octet here. The account of
`--bind` asks the searches; `--accounts` has a line `case TAB name TAB password` for each bind that
is to be recorded with its password and with a wrong one. Without `--ca` the line is in clear: that
is how StartTLS and what is refused without TLS are recorded. `administrator` is for a directory
that is thrown away afterwards: `--bind` names its administrator, and it writes.

slapd had a tree with alice, bob, carol, çelik and `o'brien, pat*(x)\\y` in ou=people, the accounts
locked, mustreset and expired, and prepare.ldif beside recorded.jsonl added to it (`ldapadd -M
-e relax`). In slapd.conf were `referral ldap://ldap.example.net/`, read access for everybody who is
logged in, the overlays memberof, ppolicy (`ppolicy_use_lockout`), syncprov and sssvlv, `limits
dn.exact=<carol> size.unchecked=1`, and a `database ldap` for dc=dead with nobody at its address.
`refusing` was recorded from a second slapd with `security simple_bind=128`, a third with `disallow
bind_simple` and a fourth with `restrict bind`. Samba had an account for each sub-code of a refusal,
and its global catalogue (port 3269) and its administrator were asked the `searches` once more.
389 Directory Server was asked what it differs in, without this program: binds of accounts in every
state, with the control of the password policy and without it, and new passwords and entries that
its rules take and refuse. What holds a password that it made up was left out.

A reply that is in the file already is not written again, and none that holds one of the passwords
or the name of an attribute that keeps them. Vectors are add-only: run it on something new, append.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import ssl
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ldap3 import SIMPLE
from ldap3.operation.bind import bind_operation
from ldap3.operation.compare import compare_operation
from ldap3.operation.delete import delete_operation
from ldap3.operation.extended import extended_operation
from ldap3.operation.search import search_operation
from ldap3.protocol.convert import build_controls_list
from ldap3.protocol.rfc4511 import (
    AuthenticationChoice,
    BindRequest,
    LDAPMessage,
    MessageID,
    ProtocolOp,
    SaslCredentials,
    Simple,
    Version,
)
from ldap3.utils.asn1 import encode

VECTORS = Path(__file__).parent.parent / "vectors" / "ldap"
SILENCE = 2.0
"""Seconds without a further octet after which nothing more is to come."""

MOST = 16
"""Replies of one case that are kept: the first ones and the last."""

PPOLICY = ("1.3.6.1.4.1.42.2.27.8.5.1", False, None)
PAGED = "1.2.840.113556.1.4.319"
SORT = "1.2.840.113556.1.4.473"
MANAGE_DSA_IT = ("2.16.840.1.113730.3.4.2", True, None)
WHO_AM_I = "1.3.6.1.4.1.4203.1.11.3"
START_TLS = "1.3.6.1.4.1.1466.20037"
PASSWORD_MODIFY = "1.3.6.1.4.1.4203.1.11.1"
CANCEL = "1.3.6.1.1.8"
NOT_FINAL = (0x64, 0x73, 0x79)  # entry, reference, intermediate

OPERATIONS = {
    "BindRequest": "bindRequest",
    "SearchRequest": "searchRequest",
    "CompareRequest": "compareRequest",
    "ExtendedRequest": "extendedReq",
    "DelRequest": "delRequest",
    "ModifyRequest": "modifyRequest",
    "AddRequest": "addRequest",
    "ModifyDNRequest": "modDNRequest",
}


def message(number: int, request: Any, controls: Sequence[tuple[str, bool, bytes | None]]) -> bytes:
    envelope = LDAPMessage()
    envelope["messageID"] = MessageID(number)
    name = OPERATIONS[type(request).__name__]
    envelope["protocolOp"] = ProtocolOp().setComponentByName(name, request)
    if controls:
        envelope["controls"] = build_controls_list(list(controls))
    return bytes(encode(envelope))


def tlv(tag: int, *contents: bytes) -> bytes:
    """BER for what ldap3 has no encoder for: short values of controls."""
    value = b"".join(contents)
    assert len(value) < 128
    return bytes([tag, len(value)]) + value


def size(octets: bytes) -> int | None:
    """How long the first message is, None while that cannot be told."""
    if len(octets) < 2:
        return None
    if octets[1] < 128:
        return 2 + octets[1]
    header = 2 + (octets[1] & 127)
    return None if len(octets) < header else header + int.from_bytes(octets[2:header], "big")


class Line:
    """One connection, asked one thing at a time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        plain = socket.create_connection((options.host, options.port), 10)
        plain.settimeout(SILENCE)
        if options.ca:
            context = ssl.create_default_context(cafile=options.ca)
            self.socket: socket.socket = context.wrap_socket(plain, server_hostname=options.host)
        else:
            self.socket = plain
        self.number = 0

    def ask(self, request: Any, *controls: Any, number: int | None = None) -> list[bytes]:
        self.number = self.number + 1 if number is None else number
        return self.send(message(self.number, request, controls))

    def send(self, octets: bytes) -> list[bytes]:
        """Send it, and take what comes: to the end of an operation, of the line or of patience."""
        self.socket.sendall(octets)
        replies, rest = [], b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := self.socket.recv(65536):
                rest += piece
                while (length := size(rest)) is not None and len(rest) >= length:
                    reply, rest = rest[:length], rest[length:]
                    replies.append(reply)
                if replies and not rest and operation(replies[-1]) not in NOT_FINAL:
                    break
        assert not rest, "half a reply"
        return replies

    def login(self) -> Line:
        (reply,) = self.ask(bind(self.options.bind, self.options.password))
        assert b"\x0a\x01\x00" in reply, f"the service account is refused: {reply!r}"
        return self

    def start_tls(self) -> list[bytes]:
        return self.ask(extended_operation(START_TLS))

    def close(self) -> None:
        self.socket.close()


def operation(reply: bytes) -> int:
    """The tag of the operation: of a well-formed reply, for this is a real directory."""
    start = 2 if reply[1] < 128 else 2 + (reply[1] & 127)
    return reply[start + 2 + reply[start + 1]]


def bind(name: bytes | str, password: bytes) -> Any:
    return bind_operation(3, SIMPLE, name, password)


def raw_bind(
    name: str, password: bytes = b"", version: int = 3, mechanism: str | None = None
) -> Any:
    """A bind that bind_operation declines to encode."""
    request = BindRequest()
    request["version"] = Version(version)
    request["name"] = name
    choice = AuthenticationChoice()
    if mechanism is None:
        choice.setComponentByName("simple", Simple(password))
    else:
        credentials = SaslCredentials()
        credentials["mechanism"] = mechanism
        choice.setComponentByName("sasl", credentials)
    request["authentication"] = choice
    return request


def search(
    base: str,
    text: str = "(objectClass=*)",
    scope: int = 2,
    attributes: Sequence[str] = ("1.1",),
    limit: int = 0,
    deref: int = 0,
    types_only: bool = False,
    seconds: int = 0,
) -> Any:
    return search_operation(
        base, text, scope, deref, list(attributes), limit, seconds, types_only, False, False
    )


Case = tuple[str, Iterable[bytes]]


def binds(options: argparse.Namespace) -> Iterator[Case]:
    """Every account: right, wrong and without the control, each on a line of its own."""
    for case, name, password in options.accounts:
        line = Line(options)
        wrong = password[:-1] + bytes([password[-1] ^ 1])
        yield f"bind {case}, wrong", line.ask(bind(name, wrong), PPOLICY)
        yield f"bind {case}, right", line.ask(bind(name, password), PPOLICY)
        yield f"bind {case}, right, without the control", line.ask(bind(name, password))
        line.close()


def odd_binds(options: argparse.Namespace) -> Iterator[Case]:
    known = options.accounts[0][1]
    line = Line(options)
    yield "bind nobody", line.ask(bind(f"uid=nobody,{options.base}", b"x"), PPOLICY)
    yield "bind outside of every base", line.ask(bind("cn=x,dc=elsewhere", b"x"), PPOLICY)
    yield "bind at a directory that is down", line.ask(bind("cn=x,dc=dead", b"x"), PPOLICY)
    yield "bind, empty password", line.ask(raw_bind(known), PPOLICY)
    yield "bind, anonymous", line.ask(raw_bind(""), PPOLICY)
    yield "bind, no DN", line.ask(bind("not a name", b"x"), PPOLICY)
    yield "bind, DN with a bad escape", line.ask(bind(r"uid=a\zz,dc=example", b"x"), PPOLICY)
    yield "bind, version 2", line.ask(raw_bind(known, b"x", version=2))
    yield "bind, version 9", line.ask(raw_bind(known, b"x", version=9))
    yield "bind, unknown SASL mechanism", line.ask(raw_bind("", mechanism="NONE-SUCH"))
    yield "bind, SASL EXTERNAL", line.ask(raw_bind("", mechanism="EXTERNAL"))
    yield "bind, SASL GSS-SPNEGO", line.ask(raw_bind("", mechanism="GSS-SPNEGO"))
    yield "bind, 100 kB of password", line.ask(bind(known, b"x" * 100_000), PPOLICY)
    yield "bind, NUL in the password", line.ask(bind(known, b"x\0y"), PPOLICY)
    unknown = ("1.2.3.4.5.6", True, b"x")
    yield "bind, unknown critical control", line.ask(bind(known, b"x"), unknown)
    for number in (127, 128, 255, 256, 32767, 32768, 65536, 2**23, 2**24, 2**31 - 1):
        yield f"bind nobody, id {number}", line.ask(bind("cn=nobody", b"x"), number=number)
    line.close()


def searches(options: argparse.Namespace) -> Iterator[Case]:
    base, line = options.base, Line(options).login()
    yield "who am I", line.ask(extended_operation(WHO_AM_I))
    yield "unknown extended operation", line.ask(extended_operation("1.2.3.4.5.6"))
    yield "extended operation, odd name", line.ask(extended_operation("odd name"))
    people = "(|(objectClass=inetOrgPerson)(&(objectClass=user)(mail=*)))"
    yield "people, dn alone", line.ask(search(base, people))
    few = ("uid", "sAMAccountName", "mail", "memberOf", "userAccountControl")
    yield "people, few attributes", line.ask(search(base, people, attributes=few))
    yield "people, all attributes", line.ask(search(base, people, attributes=["*", "+"]))
    yield "people, types only", line.ask(search(base, people, attributes=["*"], types_only=True))
    yield "groups", line.ask(search(base, "(member=*)", attributes=["*"], limit=8))
    yield "root", line.ask(search("", scope=0, attributes=["*", "+"]))
    yield "base, its attributes", line.ask(search(base, scope=0, attributes=["*", "+"]))
    yield "one level", line.ask(search(base, scope=1))
    yield "nobody found", line.ask(search(base, "(cn=nobody at all)"))
    yield "two found", line.ask(search(base, "(|(uid=alice)(uid=bob)(sn=Lab))", limit=2))
    yield "too many found", line.ask(search(base, "(|(uid=alice)(uid=bob)(sn=Lab))", limit=1))
    yield "undefined attribute", line.ask(search(base, "(no-such-attribute=x)"))
    yield "octets that are no UTF-8", line.ask(search(base, r"(cn=\ff\fe\00)"))
    yield "no such base", line.ask(search(f"ou=x,ou=nowhere,{base}"))
    yield "no such base, above", line.ask(search("dc=elsewhere"))
    yield "no such base, no DN", line.ask(search("not a name"))
    yield "at a directory that is down", line.ask(search("dc=dead"))
    yield "with references", line.ask(search(base, "(cn=nobody at all)", deref=3))
    yield "below a reference", line.ask(search(f"ou=x,ou=away,{base}"))
    yield "the reference itself", line.ask(search(f"ou=away,{base}", scope=0, attributes=["*"]))
    managed = search(f"ou=away,{base}", scope=0, attributes=["*", "ref"])
    yield "the reference, managed", line.ask(managed, MANAGE_DSA_IT)
    yield "an alias followed", line.ask(search(f"cn=alias,{base}", scope=0, deref=3))
    yield "an alias to nowhere", line.ask(search(f"cn=lost,{base}", scope=0, deref=3))
    nested = f"(memberOf:1.2.840.113556.1.4.1941:=CN=XMPP Users,CN=Users,{base})"
    yield "nested groups", line.ask(search(base, nested, attributes=["memberOf"]))
    wide = search(base, "(cn=wide)", attributes=["*"])
    yield "an entry of 3,000 octets", line.ask(wide)
    yield "compare", line.ask(compare_operation(base, "objectClass", "domain", False))
    yield "compare, false", line.ask(compare_operation(base, "objectClass", "person", False))
    yield "compare, no value", line.ask(compare_operation(base, "objectClass", "x", False))
    yield "compare, nothing there", line.ask(compare_operation(base, "mail", "x", False))
    yield "compare, nobody", line.ask(compare_operation(f"cn=x,{base}", "mail", "x", False))
    yield "delete, not allowed", line.ask(delete_operation(f"ou=people,{base}"))
    page = tlv(0x30, tlv(2, b"\x02"), tlv(4))
    yield "paged", line.ask(search(base, people), (PAGED, True, page))
    for key in (b"createTimestamp", b"cn", b"no-such-attribute"):
        sort = (SORT, False, tlv(0x30, tlv(0x30, tlv(4, key))))
        yield f"sorted by {key.decode()}", line.ask(search(base, people, limit=3), sort)
    unknown = ("1.2.3.4.5.6", True, None)
    yield "unknown critical control", line.ask(search(base, people), unknown)
    for what, mode in (("once", b"\x01"), ("for good", b"\x03")):
        sync = ("1.3.6.1.4.1.4203.1.9.1.1", True, tlv(0x30, tlv(10, mode)))
        yield f"synchronised {what}", Line(options).login().ask(search(base, "(sn=Lab)"), sync)
    # Active Directory's: names with SID and GUID, no references, deleted entries, the changes
    for what, oid, value in (
        ("extended names", "1.2.840.113556.1.4.529", tlv(0x30, tlv(2, b"\x01"))),
        ("extended names in hex", "1.2.840.113556.1.4.529", None),
        ("without references", "1.2.840.113556.1.4.1339", None),
        ("deleted ones too", "1.2.840.113556.1.4.417", None),
        ("changes", "1.2.840.113556.1.4.841", tlv(0x30, tlv(2, b"\0"), tlv(2, b"\x40"), tlv(4))),
        ("a list view", "2.16.840.1.113730.3.4.9", tlv(0x30, tlv(2, b"\0"), tlv(2, b"\1"),
                                                       tlv(0xA0, tlv(2, b"\1"), tlv(2, b"\0")))),
    ):  # fmt: skip
        found = search(base, "(cn=bob*)", attributes=["memberOf"])
        yield f"search, {what}", line.ask(found, (oid, True, value))
    line.close()
    line = Line(options)
    yield "search, anonymous", line.ask(search(base, "(cn=alice*)"))
    yield "root, anonymous", line.ask(search("", scope=0, attributes=["namingContexts"]))
    yield "who am I, anonymous", line.ask(extended_operation(WHO_AM_I))
    yield (
        "cancel what is not there",
        line.ask(extended_operation(CANCEL, tlv(0x30, tlv(2, b"\x63")))),
    )
    line.close()


def as_users(options: argparse.Namespace) -> Iterator[Case]:
    """What those get who are let in with a condition, or with a limit."""
    for case, name, password in options.accounts:
        line = Line(options)
        if b"\x0a\x01\x00" in line.ask(bind(name, password), PPOLICY)[0]:
            yield f"who am I, {case}", line.ask(extended_operation(WHO_AM_I), PPOLICY)
            own = search(options.base, "(|(cn=alice*)(cn=bob*)(cn=carol*))", attributes=["mail"])
            yield f"search as {case}", line.ask(own, PPOLICY)
            wrong = tlv(0x30, tlv(0x81, b"not it"), tlv(0x82, b"new"))
            modify = extended_operation(PASSWORD_MODIFY, wrong)
            yield f"password modify as {case}, refused", line.ask(modify, PPOLICY)
        line.close()


def broken(options: argparse.Namespace) -> Iterator[Case]:
    """Octets that are no request: a notice of disconnection, or nothing at all."""
    for what, octets in (
        ("bind without a version", "300c02010160070400800130"),
        ("bind, half a name", "300c020101600702010304083030"),
        ("search of nothing", "30050201026300"),
        ("operation 30", "30060201037e0100"),
        ("a response", "300c02010461070a010004000400"),
        ("id 0", "300c020100600702010304008000"),
        ("no BER", "ffffffffffff"),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n".hex()),
        ("an indefinite length", "308002010542000000"),
        ("controls that are none", "300c020106420004050000000000"),
        ("a control without a name", "3009020107420030023000"),
        ("unbind, then who am I", "30050201084200"),
    ):
        line = Line(options)
        yield f"broken: {what}", line.send(bytes.fromhex(octets))
        line.close()


def clear(options: argparse.Namespace) -> Iterator[Case]:
    """Without TLS: what is refused then, and StartTLS."""
    yield from binds(options)
    line = Line(options)
    yield "StartTLS", line.start_tls()
    line.close()
    line = Line(options)
    yield "StartTLS, with a value", line.ask(extended_operation(START_TLS, b"x"))
    line.close()


def refusing(options: argparse.Namespace) -> Iterator[Case]:
    _, name, password = options.accounts[0]
    line = Line(options)
    yield f"bind, {options.why}", line.ask(bind(name, password), PPOLICY)
    line.close()
    line = Line(options)
    yield f"search, {options.why}", line.ask(search(options.base, "(cn=alice*)"))
    yield f"StartTLS, {options.why}", line.start_tls()
    line.close()


def administrator(options: argparse.Namespace) -> Iterator[Case]:
    """Writes, and all that can be wrong with one; and the policy's word on passwords."""
    from ldap3 import MODIFY_ADD, MODIFY_DELETE, MODIFY_REPLACE
    from ldap3.operation.add import add_operation
    from ldap3.operation.modify import modify_operation
    from ldap3.operation.modifyDn import modify_dn_operation

    base, line = options.base, Line(options).login()
    carol, scratch = f"uid=carol,ou=people,{base}", f"cn=scratch,{base}"
    note = {"objectClass": ["organizationalRole"], "cn": ["scratch"], "description": ["a note"]}
    yield "add", line.ask(add_operation(scratch, note, False))
    yield "add, exists", line.ask(add_operation(scratch, note, False))
    yield "add, no parent", line.ask(add_operation(f"cn=x,ou=nowhere,{base}", note, False))
    odd = {"objectClass": ["organizationalRole"], "cn": ["x"], "uid": ["x"]}
    yield "add, class violated", line.ask(add_operation(f"cn=x,{base}", odd, False))
    odd = {"objectClass": ["organizationalRole"], "cn": ["x"], "no-such": ["x"]}
    yield "add, undefined", line.ask(add_operation(f"cn=x,{base}", odd, False))
    yield "add, its name left out", line.ask(add_operation(f"ou=x,{base}", note, False))

    def change(what: int, attribute: str, *values: str) -> Any:
        return modify_operation(scratch, {attribute: [(what, list(values))]}, False)

    read = tlv(0x30, tlv(4, b"description"))
    note_2 = change(MODIFY_REPLACE, "description", "another note")
    before, after = ("1.3.6.1.1.13.1", True, read), ("1.3.6.1.1.13.2", True, read)
    yield "modify, read before and after", line.ask(note_2, before, after)
    yield "modify, exists", line.ask(change(MODIFY_ADD, "description", "another note"))
    yield "modify, not there", line.ask(change(MODIFY_DELETE, "seeAlso", "cn=x"))
    yield "modify, syntax", line.ask(change(MODIFY_ADD, "seeAlso", "no name"))
    yield "modify, the name", line.ask(change(MODIFY_REPLACE, "cn", "other"))
    yield "modify, the class", line.ask(change(MODIFY_REPLACE, "objectClass", "person"))
    yield "modify, operational", line.ask(change(MODIFY_REPLACE, "entryUUID", "x"))
    assertion = ("1.3.6.1.1.12", True, tlv(0xA3, tlv(4, b"cn"), tlv(4, b"other")))
    yield "modify, asserted wrongly", line.ask(note_2, assertion)
    yield "rename, exists", line.ask(modify_dn_operation(scratch, "cn=wide", False))
    yield "rename", line.ask(modify_dn_operation(scratch, "cn=scratched", True))
    yield "delete, with children", line.ask(delete_operation(f"ou=people,{base}"))
    yield "delete", line.ask(delete_operation(f"cn=scratched,{base}"))
    yield "delete, nobody", line.ask(delete_operation(f"cn=scratched,{base}"))
    yield "delete, below a reference", line.ask(delete_operation(f"cn=x,ou=away,{base}"))
    line.close()
    for what, new in (("short", b"x"), ("the same", b"modifypw"), ("good", b"modifypw-2")):
        line = Line(options)
        line.ask(bind(f"uid=modify,ou=people,{base}", b"modifypw"), PPOLICY)
        value = tlv(0x30, tlv(0x81, b"modifypw"), tlv(0x82, new))
        yield f"own password, {what}", line.ask(extended_operation(PASSWORD_MODIFY, value), PPOLICY)
        line.close()
    line = Line(options)
    line.ask(bind(carol, b"carolpw"), PPOLICY)
    yield "an administrator's limit", line.ask(search(base, "(cn=*)"))
    line.close()
    line = Line(options)
    for turn in range(1, 7):
        locking = bind(f"uid=tolock,ou=people,{base}", b"wrong")
        yield f"locked by failures, wrong {turn}", line.ask(locking, PPOLICY)
    locking = bind(f"uid=tolock,ou=people,{base}", b"tolockpw")
    yield "locked by failures, right", line.ask(locking, PPOLICY)
    for turn in range(1, 5):
        spent = bind(f"uid=spent,ou=people,{base}", b"spentpw")
        yield f"grace, login {turn}", line.ask(spent, PPOLICY)
    line.close()


KINDS = {
    "slapd": (binds, odd_binds, searches, as_users, broken),
    "samba": (binds, odd_binds, searches, broken),
    "searches": (searches,),
    "clear": (clear,),
    "refusing": (refusing,),
    "administrator": (administrator,),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--server", required=True, help="what each line calls it")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", help="PEM; without it the line is in clear")
    parser.add_argument("--base", required=True)
    parser.add_argument("--bind", required=True)
    parser.add_argument("--password-file", required=True, type=Path)
    parser.add_argument("--accounts", required=True, type=Path)
    parser.add_argument("--why", help="what makes this server refuse")
    options = parser.parse_args()
    options.password = options.password_file.read_bytes().rstrip(b"\n")
    rows = [row.split("\t") for row in options.accounts.read_text("utf-8").splitlines()]
    options.accounts = [(case, name, password.encode()) for case, name, password in rows]
    secrets = [options.password, *(password for _, _, password in options.accounts)]
    secrets += [
        b"{SSHA}",
        b"userPassword",
        b"unicodePwd",
        b"supplementalCredentials",
        b"PwdHistory",
    ]

    file = VECTORS / "recorded.jsonl"
    known = {json.loads(line)["hex"] for line in file.read_text().splitlines()}
    for group in KINDS[options.kind]:
        for case, answer in group(options):
            replies = list(answer)
            for reply in [*replies[: MOST - 1], *replies[MOST - 1 :][-1:]]:
                if reply.hex() in known:
                    continue
                if any(secret in reply for secret in secrets):
                    sys.stderr.write(f"left out, with a secret: {case}\n")
                    continue
                known.add(reply.hex())
                print(json.dumps({"server": options.server, "case": case, "hex": reply.hex()}))


if __name__ == "__main__":
    main()
