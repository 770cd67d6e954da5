"""Temporary tokens that nobody may be let in with: other spellings of good ones, those of others,
and those that nobody has issued."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from authbridge.model import Reason
from tests.tokens import mint
from tests.tokens.hostile import (
    ALPHABET,
    EXPIRED,
    MALFORMED,
    NEVER,
    NOT_ACCEPTED,
    USER,
    Hostile,
    damage,
    hostile,
)
from tests.tokens.issuers import temporary

UNKNOWN = Reason.TOKEN_UNKNOWN


def temporaries() -> Iterator[Hostile]:
    """Those of issuers.TEMPORARY, in every wrong way."""
    token = temporary("alice's")
    octets = mint.unb64(token[6:])
    yield hostile("bob asks", token, USER, user="bob")
    yield hostile("bob's", temporary("bob's"), USER)
    yield hostile("at another domain", token, USER, domain="other.example")
    yield hostile("of another domain", temporary("alice's elsewhere"), USER)
    yield hostile("the administrator's", temporary("the administrator's"), NEVER, user="admin")
    yield hostile("anybody's, of the administrator", token, NEVER, user="admin")
    theirs = temporary("alice's where they are not accepted")
    yield hostile("where only JWT is accepted", theirs, NOT_ACCEPTED, domain="jwt.example")
    yield hostile("over", temporary("over"), EXPIRED)
    yield hostile("over, another's", temporary("over"), USER, user="bob")
    for name in ("", "nobody's", "Alice's", "alice's "):
        yield hostile(f"never issued: {name!r}", temporary(name), UNKNOWN)
    for what, guess in {"NULs": bytes(32), "0xff": b"\xff" * 32, "the id": octets[:16] * 2}.items():
        yield hostile(f"guess: {what}", "abtt1_" + mint.b64(guess), UNKNOWN)
    for bit in range(0, 256, 5):
        changed = (int.from_bytes(octets, "big") ^ 1 << bit).to_bytes(32, "big")
        yield hostile(f"bit {bit} of it turned", "abtt1_" + mint.b64(changed), UNKNOWN)
    yield from _forms(token, octets)
    # A beginning of the prefix, and an "abtt1_" that is not quite one, are passwords.
    yield from damage("temporary", token, 49)


def _forms(token: str, octets: bytes) -> Iterator[Hostile]:
    for what, changed in {
        "a character less": token[:-1], "a character more": token + "A",
        "four more": token + "AAAA", "padded": token + "=", "padded twice": token + "==",
        "the last one padding": token[:-1] + "=", "nothing": "abtt1_", "one character": "abtt1_A",
        "a newline behind": token + "\n", "a blank behind": token + " ",
        "a tab before": "\t" + token,
        "a blank before": " " + token, "CRLF behind": token + "\r\n", "a NUL behind": token + "\0",
        "a blank within": token[:20] + " " + token[20:],
        "a blank in the place of one": token[:20] + " " + token[21:],
        "a newline within": token[:20] + "\n" + token[20:],
        "a foreign character": token[:20] + "!" + token[21:],
        "a dot": token[:20] + "." + token[21:],
        "a fullwidth letter": token[:20] + "Ａ" + token[21:],
        "a fullwidth letter, as many octets": token[:20] + "Ａ" + token[23:],
        "a percent escape": token[:20] + "%41" + token[23:],
        "twice": token + token, "itself behind a dot": f"{token}.{token}",
        "itself behind a comma": f"{token},{token}", "its prefix twice": "abtt1_" + token,
        "an octet less": "abtt1_" + mint.b64(octets[:-1]),
        "an octet more": "abtt1_" + mint.b64(octets + b"\0"),
        "in hex": "abtt1_" + octets.hex(), "in small letters": "abtt1_" + token[6:].lower(),
        "in capitals behind the prefix": "abtt1_" + token[6:].upper(),
        "turned round": "abtt1_" + token[:5:-1], "1,000 characters": token + "A" * 951,
        "100,000 characters": token + "A" * 100_000,
    }.items():  # fmt: skip
        yield hostile(what, changed, MALFORMED, UNKNOWN)
    for what, around in {
        "Bearer": "Bearer {}", "quotes": '"{}"', "a name": "token={}", "a colon": "alice:{}",
        "a BOM": "\ufeff{}", "a no-break space": "\u00a0{}", "angles": "<{}>", "a comma": "{},",
        "a fragment": "{}#", "JSON": '{{"password":"{}"}}', "an authzid": "alice\0alice\0{}",
    }.items():  # fmt: skip
        yield hostile(f"around it: {what}", around.format(token), MALFORMED)
    value = ALPHABET.index(token[-1])
    for bits in range(1, 4):
        changed = token[:-1] + ALPHABET[value | bits]
        assert mint.unb64(changed[6:]) == octets
        yield hostile(f"ends in the bits {bits} of 2", changed, MALFORMED)
    standard = "abtt1_" + base64.b64encode(b"\xfb\xef\xbe" * 10 + b"\xff\xff").decode().rstrip("=")
    assert set("+/") & set(standard)
    yield hostile("in base64", standard, MALFORMED)
    for prefix in ("abtt0_", "abtt2_", "abtt9_", "abtu1_", "abts1_"):
        yield hostile(f"prefix {prefix}", prefix + token[6:], NOT_ACCEPTED)
    yield hostile("prefix abtc1_", "abtc1_" + token[6:], MALFORMED)
    for prefix in (
        "ABTT1_",
        "Abtt1_",
        "abtT1_",
        "abtt_",
        "abtt1-",
        "abtt1",
        "abt1_",
        "abtt10_",
        "",
    ):
        yield hostile(f"prefix {prefix!r}", prefix + token[6:], recognised=None)
