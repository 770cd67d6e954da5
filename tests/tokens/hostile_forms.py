"""JSON Web Tokens that say the right thing in another form than the only one."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from tests.tokens import mint
from tests.tokens.hostile import (
    ALPHABET,
    KEY,
    MALFORMED,
    MISSING,
    SIGNATURE,
    USER,
    Hostile,
    hostile,
)
from tests.tokens.hostile_jwts import raw_payload
from tests.tokens.hostile_macs import random_passwords
from tests.tokens.issuers import (
    claims,
    good,
    kid,
)
from tests.tokens.mint import b64


def forms(algorithm: str) -> Iterator[Hostile]:
    """It says the right thing, signed, in a form that is not the only one."""
    token, key = good(algorithm), mint.key(algorithm)
    first, second, third = token.split(".")

    def spelled(what: str, first: str = first, second: str = second) -> Hostile:
        return hostile(what, mint.signed(first, second, key), MALFORMED)

    header, payload = mint.unb64(first), mint.unb64(second)
    for pad in ("=", "==", "%3D"):
        yield replace(spelled(f"header padded {pad}", first=first + pad), recognised=None)
        yield spelled(f"payload padded {pad}", second=second + pad)
        yield hostile(f"signature padded {pad}", token + pad, MALFORMED)
    # One, two or three octets more (blanks are nothing in JSON) make the last bits matter.
    for blanks in range(3):
        yield from _last_bits(
            "header", b64(header + b" " * blanks), functools.partial(_signed, key, second=second)
        )
        yield from _last_bits(
            "payload", b64(payload + b" " * blanks), functools.partial(_signed, key, first)
        )
    yield from _last_bits("signature", third, lambda changed: f"{first}.{second}.{changed}")
    for what, change in {
        "one character more": lambda s: s + "A", "two characters more": lambda s: s + "AA",
        "a blank": lambda s: s[:8] + " " + s[8:], "a newline": lambda s: s[:8] + "\n" + s[8:],
        "a newline behind": lambda s: s + "\n", "a blank behind": lambda s: s + " ",
        "CRLF": lambda s: s[:8] + "\r\n" + s[8:],
        "a foreign character": lambda s: s[:8] + "!" + s[8:], "a tilde behind": lambda s: s + "~",
        "a fullwidth letter": lambda s: s[:-1] + "Ａ",
        "a percent escape": lambda s: s[:-1] + f"%{ord(s[-1]):02x}",
        "a soft hyphen": lambda s: s[:8] + "\u00ad" + s[8:],
    }.items():  # fmt: skip
        changed = replace(spelled(f"{what} in the header", first=change(first)), recognised=None)
        yield changed
        yield spelled(f"{what} in the payload", second=change(second))
        damaged = f"{first}.{second}.{change(third)}"
        yield hostile(f"{what} in the signature", damaged, MALFORMED, SIGNATURE)
    yield from _standard_alphabet(algorithm)
    for what, around in {
        "a newline behind": "{}\n", "a blank before": " {}", "a blank behind": "{} ",
        "CRLF behind": "{}\r\n", "a tab before": "\t{}", "quotes": '"{}"', "Bearer": "Bearer {}",
        "a dot before": ".{}", "a dot behind": "{}.", "two dots behind": "{}..",
        "itself behind": "{0}.{0}", "itself behind a comma": "{0},{0}", "a BOM before": "\ufeff{}",
        "a no-break space before": "\u00a0{}", "a colon": "alice:{}", "a fourth segment": "{}.AAAA",
        "JWT before": "JWT {}", "a fragment": "{}#", "a query": "?token={}",
    }.items():  # fmt: skip
        recognised = None if around[0] == "." else True
        yield replace(hostile(f"around it: {what}", around.format(token)), recognised=recognised)
    yield hostile("percent escapes for dots", token.replace(".", "%2E"), recognised=None)
    yield hostile("ideographic dots", token.replace(".", "\u3002"), recognised=None)
    yield hostile("five segments", f"{first}..{b64(b'iv' * 6)}.{second}.{third}", MALFORMED)
    flat = {"protected": first, "payload": second, "signature": third}
    yield hostile("JSON serialization, flat", json.dumps(flat), recognised=None)
    general = {"payload": second, "signatures": [{"protected": first, "signature": third}]}
    yield hostile("JSON serialization, general", json.dumps(general), recognised=None)
    for how, changed in _json_wrong(header).items():
        token = mint.signed(b64(changed), second, key)
        seen = b'"alg"' in changed
        reasons = (MALFORMED,) if seen else ()
        yield hostile(f"header: {how}", token, *reasons, recognised=seen or None)


def payloads(algorithm: str) -> Iterator[Hostile]:
    """The header is right, and what it is about is no JSON, or too much of it."""
    token, key, name = good(algorithm), mint.key(algorithm), kid(algorithm)
    first, second, _ = token.split(".")
    for how, changed in _json_wrong(mint.unb64(second)).items():
        yield hostile(f"payload: {how}", mint.signed(first, b64(changed), key), MALFORMED)
    for size in (8193, 16_384, 65_000, 1_000_000):
        large = mint.jwt(_filled(algorithm, size), key, kid=name)
        yield hostile(f"{size} octets", large, MALFORMED)
    many = {f"c{n}": n for n in range(50_000)}
    yield hostile("50,000 claims", good(algorithm, **many), MALFORMED)
    large = mint.jwt(claims(algorithm), key, kid=name, x="x" * 8192)
    yield hostile("a long header", large, MALFORMED)
    yield hostile("a long signature", token + "A" * 8192, MALFORMED)


def _signed(key: mint.Key, first: str, second: str) -> str:
    return mint.signed(first, second, key)


def _last_bits(what: str, segment: str, build: Callable[[str], str]) -> Iterator[Hostile]:
    """Other spellings of the same octets: bits of the last character that are none of theirs."""
    spare = {0: 0, 2: 4, 3: 2}[len(segment) % 4]
    value = ALPHABET.index(segment[-1])
    for bits in range(1, 1 << spare):
        changed = segment[:-1] + ALPHABET[value | bits]
        assert mint.unb64(changed) == mint.unb64(segment)
        yield hostile(f"{what} ends in the bits {bits} of {spare}", build(changed), MALFORMED)


def _standard_alphabet(algorithm: str) -> Iterator[Hostile]:
    """+ and / for - and _."""
    key = mint.key(algorithm)
    header = mint.head(algorithm, kid=kid(algorithm), x="ÿþ?>~~~ÿþ?>")
    payload = claims(algorithm, x="ÿþ?>~~~ÿþ?>")
    first, second = (b64(mint.text(members)) for members in (header, payload))
    assert set("-_") & set(first)
    assert set("-_") & set(second)
    standard = str.maketrans("-_", "+/")
    yield hostile(
        "header in base64", mint.signed(first.translate(standard), second, key), MALFORMED
    )
    yield hostile(
        "payload in base64", mint.signed(first, second.translate(standard), key), MALFORMED
    )
    for attempt in range(100):
        token = good(algorithm, jti=str(attempt))
        first, second, third = token.split(".")
        if set("-_") & set(third):
            token = f"{first}.{second}.{third.translate(standard)}"
            yield hostile("signature in base64", token, MALFORMED)
            return


def _json_wrong(octets: bytes) -> dict[str, bytes]:
    """What strict JSON in UTF-8 is not, and some parsers take for the same object."""
    assert octets.startswith(b"{")
    text, inner = octets.decode(), octets[1:-1]
    member = inner.split(b",")[0]  # the first, which is a string's
    name, value = member.split(b":", 1)
    escaped = b'"\\u%04x' % name[1] + name[2:]
    return {
        "a BOM": b"\xef\xbb\xbf" + octets, "UTF-16": text.encode("utf-16"),
        "UTF-16 LE": text.encode("utf-16-le"), "UTF-16 BE": text.encode("utf-16-be"),
        "UTF-32": text.encode("utf-32"), "UTF-32 LE": text.encode("utf-32-le"),
        "a member twice": b"{" + member + b"," + inner + b"}",
        "a member twice, another first": b"{" + name + b':"evil",' + inner + b"}",
        "a member twice, another last": b"{" + inner + b"," + name + b':"evil"}',
        "a member twice, once escaped": b"{" + inner + b"," + escaped + b":" + value + b"}",
        "a member twice, escaped first": b"{" + escaped + b":" + value + b"," + inner + b"}",
        "an unknown member twice": b"{" + inner + b',"x":1,"x":1}',
        "an inner member twice": b"{" + inner + b',"x":{"y":1,"y":2}}',
        "an inner member twice in a list": b"{" + inner + b',"x":[{"y":1,"y":1}]}',
        "a comma too many": b"{" + inner + b",}", "a comment": b"{/**/" + inner + b"}",
        "a comment behind": octets + b"//", "single quotes": octets.replace(b'"', b"'"),
        "no quotes": b"{" + name.strip(b'"') + octets[1 + len(name):],
        "NaN": b"{" + inner + b',"x":NaN}', "Infinity": b"{" + inner + b',"x":Infinity}',
        "-Infinity": b"{" + inner + b',"x":-Infinity}',
        "a number that begins with 0": b"{" + inner + b',"x":01}',
        "a number with +": b"{" + inner + b',"x":+1}',
        "a hexadecimal number": b"{" + inner + b',"x":0x1}',
        "a raw control character": b"{" + inner + b',"x":"\x01"}',
        "a raw newline in a string": b"{" + inner + b',"x":"\n"}',
        "a raw NUL behind": octets + b"\0", "a NUL before": b"\0" + octets,
        "a bad escape": b"{" + inner + b',"x":"\\x41"}',
        "half an escape": b"{" + inner + b',"x":"\\u00"}',
        "an octet that is no UTF-8": b"{" + inner + b',"x":"\xff"}',
        "Latin-1": b"{" + inner + b',"x":"\xe9"}',
        "overlong UTF-8": b"{" + inner + b',"x":"\xc0\xaf"}',
        "a surrogate in UTF-8": b"{" + inner + b',"x":"\xed\xa0\x80"}',
        "beyond Unicode": b"{" + inner + b',"x":"\xf5\x80\x80\x80"}',
        "something behind": octets + b"x", "an object behind": octets + octets,
        "a form feed before": b"\x0c" + octets, "a no-break space before": b"\xc2\xa0" + octets,
        "no end": octets[:-1], "no beginning": octets[1:], "in a list": b"[" + octets + b"]",
        "a string": json.dumps(text).encode(), "null": b"null", "true": b"true", "1": b"1",
        "an empty list": b"[]", "nothing": b"", "blanks": b"  ",
        "5,000 digits": b"{" + inner + b',"x":' + b"9" * 5000 + b"}",
        "depth 20": b"{" + inner + b',"x":' + b"[" * 20 + b"]" * 20 + b"}",
        "depth 1,000": b"{" + inner + b',"x":' + b"[" * 1000 + b"]" * 1000 + b"}",
        "depth 1,000 of objects":
        b"{" + inner + b',"x":' + b'{"":' * 1000 + b"1" + b"}" * 1000 + b"}",
        "depth 1,000, not closed": b"{" + inner + b',"x":' + b"[" * 1000,
        "depth 100,000": b"{" + inner + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    }  # fmt: skip


def _filled(algorithm: str, size: int) -> dict[str, Any]:
    """Claims that make a token of at least `size` octets, and not of many more."""
    bare = len(good(algorithm, fill=""))
    return claims(algorithm, fill="x" * ((size - bare) * 3 // 4 + 2))


def slow_json(algorithm: str = "HS256") -> dict[str, bytes]:
    """Some 5 kB each that a reader may look at again and again."""
    inner = mint.text(claims(algorithm))[1:-1]
    return {
        "many brackets and a string without end": b"[" * 9 + b'"' + b'\\"' * 2500,
        "many quotes and brackets": b'"\\' * 2500 + b"[" * 9,
        "brackets, quotes, and no end": b"{" + inner + b',"x":' + b"[" * 9 + b'"\\"' * 1600,
        "many backslashes": b"{" + inner + b',"x":"' + b"\\" * 4999,
        "many quotes": b"[" * 9 + b'"' * 5000,
        "many members": b"{" + b",".join(b'"%d":0' % n for n in range(600)) + b"}",
        "many blanks": b"{" + inner + b" " * 5000 + b"x",
    }  # fmt: skip


def slow(algorithm: str = "HS256") -> Iterator[Hostile]:
    """The same in tokens. Whose header it is need not sign anything."""
    first, second, _ = good(algorithm).split(".")
    for what, octets in slow_json(algorithm).items():
        token = mint.signed(first, b64(octets), mint.key(algorithm))
        yield hostile(what, token, MALFORMED, MISSING)
        token = mint.signed(b64(octets), second, mint.key(algorithm))
        yield hostile(f"{what}, in the header", token, MALFORMED, recognised=None)
    for what, secret in {
        "blanks": " " * 65_000, "newlines": "\n" * 65_000 + ".", "equals signs": "A" * 60_000 + ".",
        "dots": "a." * 30_000, "beginnings": "eyJ" * 20_000 + ".",
        "eyJ and dots": "eyJhbGciOiJub25l." * 3000,
    }.items():  # fmt: skip
        yield hostile(f"many {what}", secret, recognised=None)


def padding_within() -> Iterator[Hostile]:
    """= where base64 does not have it, in what might be a header."""
    first, rest = good("ES256").split(".", 1)
    for pad in ("=", "==", "==="):
        for at in (0, 1, 2, 3, 10, 11, 12, 13, 30):
            token = f"{first[:at]}{pad}{first[at:]}.{rest}"
            yield hostile(f"{pad} at {at} of the header", token, recognised=None)
    for password in (
        "=abcdefghijkl.x", "a=bcdefghijkl.x", "aaaa=aaaaaaaa.", "abc==defghijkl.mno.pqr",
        "============.", "a============.b",
    ):  # fmt: skip
        yield hostile(f"{password!r}", password, recognised=False)
    yield from random_passwords("abcdefgXYZ0189_-+/==")


def broken_headers() -> Iterator[Hostile]:
    """Begins like a token, and is broken before its first dot: as one that was pasted from a mail
    is. Without the break it may be good, so that nobody else is to see it."""
    first, rest = good("ES256").split(".", 1)
    for at in (12, 20, len(first)):
        for what in (
            " ", "\n", "\r\n", "\r\n ", "\t", "=\n", "!", "~", "%0A", "=", "\u00ad", "\ufeff",
            "\u200b", "Ａ", "*", "\\n", "<br>", "&#10;",
        ):  # fmt: skip
            token = f"{first[:at]}{what}{first[at:]}.{rest}"
            yield hostile(f"{what!r} at {at} of the header", token, MALFORMED)
    header = mint.text(mint.head("ES256", kid="unknown", x="x" * 3000))
    for what, octets in (
        ("a BOM", b"\xef\xbb\xbf" + header), ("blanks", b" \n" * 9 + header),
        ("UTF-16", header.decode().encode("utf-16-le")),
    ):  # fmt: skip
        token = mint.signed(b64(octets), rest.split(".")[0], mint.key("ES256"))
        yield hostile(f"a long header in or behind {what}", token, MALFORMED, KEY)


def surrogates() -> Iterator[Hostile]:
    """In JSON they can be written one by one; Python has them for octets that are no UTF-8."""
    for value in (
        "\udcc3\udca9@example.org", "\udcc3\udca9", "alice@example.org\udc2e",
        "alice@ex\udcc3\udca9mple.org",
    ):  # fmt: skip
        octets = json.dumps(claims("ES256", sub=value)).encode()
        user = "alice" if "alice" in value else "é"
        yield hostile(f"sub {value!r}", raw_payload("ES256", octets), USER, MALFORMED, user=user)
