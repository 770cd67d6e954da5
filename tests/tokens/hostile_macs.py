"""Compact and xcauth tokens that are wrong, and passwords that are no tokens."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator

from tests.tokens import mint
from tests.tokens.hostile import (
    ALICE,
    ALPHABET,
    DOMAIN,
    EXPIRED,
    KEY,
    MALFORMED,
    NEVER,
    NOT_ACCEPTED,
    SIGNATURE,
    TOO_LONG,
    Hostile,
    damage,
    hostile,
)
from tests.tokens.issuers import (
    COMPACT_SECRET,
    LIFETIME,
    NOW,
    OTHER_COMPACT_SECRET,
    OTHER_XCAUTH_SECRET,
    XCAUTH_LIFETIME,
    XCAUTH_SECRET,
)

# --- compact --------------------------------------------------------------------------------------
from tests.tokens.mint import b64


def compacts() -> Iterator[Hostile]:
    secret, soon = COMPACT_SECRET, NOW + 60
    token = mint.compact(secret, ALICE, soon)
    raw, key_id = mint.unb64(token[6:]), mint.compact_key_id(secret)

    def of(raw: bytes) -> str:
        return "abtc1_" + b64(raw)

    for purpose in ("", "Login", "login ", "register", "mam", "login\0", "prebind", "x"):
        yield hostile(f"purpose {purpose!r}", mint.compact(secret, ALICE, soon, purpose), SIGNATURE)
    for jid in (
        "bob@example.org", "alice@other.example", "ALICE@example.org", "alice@EXAMPLE.org", "alice",
        "alice@example.org/", "alice@example.org/phone", "alice@example.org ", " alice@example.org",
        "alice@example.org\0", "", "@example.org", "alice@example.or", "ａlice@example.org",
        "al\u00adice@example.org", "*", "xmpp:alice@example.org",
    ):  # fmt: skip
        yield hostile(f"MAC of {jid!r}", mint.compact(secret, jid, soon), SIGNATURE)
    yield hostile("bob asks", token, SIGNATURE, user="bob")
    yield hostile("at another domain", token, SIGNATURE, DOMAIN, KEY, domain="other.example")
    yield hostile(
        "for a domain that its issuer may not sign for",
        mint.compact(secret, "alice@other.example", soon), DOMAIN, domain="other.example",
    )  # fmt: skip
    yield hostile(
        "another issuer's, for its own domain alone",
        mint.compact(OTHER_COMPACT_SECRET, ALICE, soon), DOMAIN,
    )  # fmt: skip
    yield hostile(
        "the administrator's", mint.compact(secret, "admin@example.org", soon), NEVER, user="admin"
    )
    stranger = b"a secret of somebody else's, long enough"
    yield hostile("another secret", mint.compact(stranger, ALICE, soon), KEY)
    forged = mint.compact_mac(stranger, ALICE, soon, "login", key_id)
    yield hostile(
        "another secret, our key id", of(key_id + soon.to_bytes(6, "big") + forged), SIGNATURE
    )
    theirs = mint.compact_key_id(OTHER_COMPACT_SECRET)
    yield hostile("the key id of another issuer", of(theirs + raw[4:]), SIGNATURE, DOMAIN)
    yield hostile("key id 0", of(bytes(4) + raw[4:]), KEY)
    yield hostile("key id 0xffffffff", of(b"\xff" * 4 + raw[4:]), KEY)
    jid, mac_of = ALICE.encode(), functools.partial(mint.hmac.digest, secret, digest="sha256")
    for what, mac in {
        "NULs": bytes(32), "0xff": b"\xff" * 32, "turned round": raw[:9:-1],
        "of SHA-256 without a key": mint.hashlib.sha256(raw[:10] + jid).digest(),
        "without the purpose": mac_of(b"authbridge compact 1\0" + raw[:10] + jid),
        "without the key id": mac_of(b"authbridge compact 1\0login\0" + raw[4:10] + jid),
        "of another version": mac_of(b"authbridge compact 2\0login\0" + raw[:10] + jid),
        "of the key id's text": mac_of(b"authbridge compact key id"),
    }.items():  # fmt: skip
        yield hostile(f"MAC: {what}", of(raw[:10] + mac), SIGNATURE)
    yield hostile(
        "another expiry", of(raw[:4] + (soon + 1).to_bytes(6, "big") + raw[10:]), SIGNATURE
    )
    for what, expiry, reason in (
        ("0", 0, EXPIRED), ("1", 1, EXPIRED), ("a second behind the leeway", NOW - 31, EXPIRED),
        ("a second too late", NOW + LIFETIME + 31, TOO_LONG), ("the largest", 2**48 - 1, TOO_LONG),
        ("of 32 bits, the largest", 2**32 - 1, TOO_LONG), ("in ms", soon * 1000, TOO_LONG),
        ("a day", NOW + 86_400, TOO_LONG),
    ):  # fmt: skip
        yield hostile(f"expiry {what}", mint.compact(secret, ALICE, expiry), reason)
    yield from _compact_forms(token, raw)
    yield hostile(
        "where only JWT is accepted", mint.compact(secret, "alice@jwt.example", soon),
        NOT_ACCEPTED, domain="jwt.example",
    )  # fmt: skip
    yield from damage("compact", token, 62)


def _compact_forms(token: str, raw: bytes) -> Iterator[Hostile]:
    """Other spellings, and what cannot be one."""

    def of(raw: bytes) -> str:
        return "abtc1_" + b64(raw)

    for prefix in ("abtc2_", "abtc0_", "abtc9_", "abta1_", "abtz1_", "abtt1_", "abtt2_"):
        yield hostile(f"prefix {prefix}", prefix + token[6:], MALFORMED, NOT_ACCEPTED)
    for prefix in (
        "ABTC1_",
        "abtC1_",
        "Abtc1_",
        "abtc_",
        "abtc1-",
        "abtc1",
        "abt1_",
        "btc1_",
        "abtc10_",
        "abtcc_",
        "",
    ):
        yield hostile(f"prefix {prefix!r}", prefix + token[6:], recognised=None)
    for what, changed in {
        "a character less": token[:-1], "a character more": token + "A",
        "four more": token + "AAAA", "padded": token + "=", "padded twice": token + "==",
        "a newline behind": token + "\n", "a blank behind": token + " ",
        "a blank within": token[:20] + " " + token[20:],
        "a newline within": token[:20] + "\n" + token[20:], "nothing": "abtc1_",
        "one character": "abtc1_A", "a foreign character": token[:20] + "!" + token[21:],
        "a dot": token[:20] + "." + token[21:], "twice": token + token,
        "itself behind a dot": f"{token}.{token}", "an octet less": of(raw[:-1]),
        "an octet more": of(raw + b"\0"), "three octets less": of(raw[:-3]),
        "a fullwidth letter": token[:20] + "Ａ" + token[21:], "in hex": "abtc1_" + raw.hex(),
        "1,000 characters": token + "A" * 938, "100,000 characters": token + "A" * 100_000,
        "no UTF-8": token.encode()[:20] + b"\xff" + token.encode()[21:],
        "lower case": token.lower(),
    }.items():  # fmt: skip
        yield hostile(f"form: {what}", changed, MALFORMED, KEY, SIGNATURE, TOO_LONG)
    for before in (" ", "\n", "\t", "\ufeff", ".", '"', "Bearer "):
        yield hostile(f"{before!r} before", before + token, MALFORMED)
    for upper in range(6):
        prefix = token[:upper] + token[upper : upper + 1].upper() + token[upper + 1 :]
        if prefix != token:
            yield hostile(f"a capital at {upper}", prefix, recognised=None)
    for attempt in range(200):  # one that has - or _ in it
        spelled = mint.compact(COMPACT_SECRET, ALICE, NOW + attempt)
        if set("-_") & set(spelled[6:]):
            standard = spelled[6:].translate(str.maketrans("-_", "+/"))
            yield hostile("standard alphabet", "abtc1_" + standard, MALFORMED)
            break


# --- xcauth ---------------------------------------------------------------------------------------


def xcauths() -> Iterator[Hostile]:
    secret, soon = XCAUTH_SECRET, NOW + 60
    token = mint.xcauth(secret, ALICE, soon)
    raw = mint.xcauth_raw(token)
    for jid in (
        "bob@example.org", "alice@other.example", "ALICE@example.org", "alice@EXAMPLE.org", "alice",
        "alice@example.org/", "alice@example.org/phone", "alice@example.org ", "", "@example.org",
        "ａlice@example.org", "alice@example.org\0",
    ):  # fmt: skip
        yield hostile(f"MAC of {jid!r}", mint.xcauth(secret, jid, soon), SIGNATURE)
    yield hostile("bob asks", token, SIGNATURE, user="bob")
    yield hostile("at another domain", token, SIGNATURE, DOMAIN, domain="other.example")
    yield hostile(
        "for a domain that its issuer may not sign for",
        mint.xcauth(secret, "alice@other.example", soon), DOMAIN, domain="other.example",
    )  # fmt: skip
    yield hostile(
        "another issuer's, for its own domain alone",
        mint.xcauth(OTHER_XCAUTH_SECRET, ALICE, soon), DOMAIN,
    )  # fmt: skip
    yield hostile(
        "the administrator's", mint.xcauth(secret, "admin@example.org", soon), NEVER, user="admin"
    )
    namesake = mint.xcauth_namesake(secret)
    yield hostile("another secret, the same key id", mint.xcauth(namesake, ALICE, soon), SIGNATURE)
    yield hostile(
        "another secret", mint.xcauth(b"somebody else's secret", ALICE, soon), recognised=False
    )
    jid = ALICE.encode()
    for what, mac in {
        "NULs": bytes(16), "0xff": b"\xff" * 16, "turned round": raw[16:0:-1],
        "with SHA-1": mint.hmac.digest(secret, b"\0" + raw[17:] + jid, "sha1")[:16],
        "its other half": mint.hmac.digest(secret, b"\0" + raw[17:] + jid, "sha256")[16:],
        "without the version": mint.hmac.digest(secret, raw[17:] + jid, "sha256")[:16],
    }.items():  # fmt: skip
        changed = mint.xcauth_text(raw[:1] + mac + raw[17:])
        yield hostile(f"MAC: {what}", changed, SIGNATURE)
    later = raw[:19] + (soon + 1).to_bytes(4, "big")
    yield hostile("another expiry", mint.xcauth_text(later), SIGNATURE)
    for what, expiry, reason in (
        ("0", 0, EXPIRED), ("1", 1, EXPIRED), ("a second ago", NOW - 1, EXPIRED),
        ("a second too late", NOW + XCAUTH_LIFETIME + 31, TOO_LONG),
        ("the largest", 2**32 - 1, TOO_LONG), ("a day", NOW + 86_400, TOO_LONG),
    ):  # fmt: skip
        yield hostile(f"expiry {what}", mint.xcauth(secret, ALICE, expiry), reason)
    for version in (1, 2, 127, 255):
        yield hostile(
            f"version {version}", mint.xcauth(secret, ALICE, soon, version), recognised=False
        )
    yield from _xcauth_forms(token, raw)
    yield hostile(
        "where only JWT is accepted", mint.xcauth(secret, "alice@jwt.example", soon),
        NOT_ACCEPTED, domain="jwt.example",
    )  # fmt: skip
    yield from damage("xcauth", token, 31)


def _xcauth_forms(token: str, raw: bytes) -> Iterator[Hostile]:
    """Other spellings of the same octets, and what cannot be one."""
    for what, changed in {
        "padded": token + "=", "a newline behind": token + "\n", "a blank behind": token + " ",
        "a blank before": " " + token, "CRLF behind": token + "\r\n", "a tab": "\t" + token,
        "padded, and a blank": f" {token}=\n",
    }.items():  # fmt: skip
        yield hostile(f"form: {what}", changed, MALFORMED)
    for what, changed in {
        "30 characters": token[:-1], "32 characters": token + "A", "padded twice": token + "==",
        "twice": token + token, "an octet less": mint.xcauth_text(raw[:-1]),
        "an octet more": mint.xcauth_text(raw + b"\0"),
        "a blank within": token[:20] + " " + token[20:],
        "base64url": token.replace("/", "_").replace("+", "-"),
        "a foreign character": token[:5] + "!" + token[6:],
        "no UTF-8": token.encode()[:5] + b"\xff" + token.encode()[6:],
        "a fullwidth letter": token[:5] + "Ａ" + token[6:],
    }.items():  # fmt: skip
        if changed != token:
            yield hostile(f"form: {what}", changed, recognised=None)
    # base64's own O, I and l, which it has others for: a second spelling of the same octets.
    for attempt in range(2000):
        spelled = mint.xcauth(XCAUTH_SECRET, ALICE, NOW + attempt)
        if set("-$%") <= set(spelled):
            for to, letter in zip("OIl", "-$%", strict=True):
                yield hostile(f"{to} for {letter}", spelled.replace(letter, to), recognised=None)
            yield hostile("plain base64", spelled.translate(mint.FROM_XCAUTH), recognised=None)
            break
    else:
        raise AssertionError("no token has all three")
    standard = token.translate(mint.FROM_XCAUTH)
    alphabet = ALPHABET.replace("-", "+").replace("_", "/")
    value = alphabet.index(standard[-1])
    for bits in (1, 2, 3):
        changed = (standard[:-1] + alphabet[value | bits]).translate(mint.TO_XCAUTH)
        assert mint.xcauth_raw(changed) == raw
        yield hostile(f"ends in the bits {bits}", changed, MALFORMED, recognised=None)


# --- passwords ------------------------------------------------------------------------------------


def passwords() -> Iterator[Hostile]:
    """Wrong ones, which look a little like tokens and are none: the next checker has the say."""
    for password in (
        "pass.word", "correct.horse.battery.staple", "a.b.c", "..", "...", ".", "eyJ", "eyJ.x.y",
        "abt", "abtc1", "abtc", "abtc1-x", "abc1_def", "127.0.0.1", "alice@example.org",
        "https://www.example.org/a.b", "e30.e30.", "x.eyJhbGciOiJub25lIn0.",
        "abcdefghijklm.nopqrstuvw.xyz", "ABCDEFGHIJKLMNOP.QRSTUVWXYZ", "0123456789012.5",
        "+/+/+/+/+/+/+/.x", "A" * 31, "0" * 31, "-" * 31, "$" * 31, "%" * 31,
        "correct-horse-battery-staple-31", "AMT98x81eMYj%QjQbhey4zUruGtJ0gA", "long" * 8000,
        "long.pass-word" * 4000, "{}.{}.{}", '{"alg":"none"}.{}.', "null.null.null",
        "\u00e9.\u00e9.\u00e9", "ｅｙＪhbGciOiJub25lIn0.x.y", "Basic YWxpY2U6d29uZGVybGFuZA==",
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "-----BEGIN PUBLIC KEY-----", " a.b ", "a.b\n",
        "\tabc.def", "tok_abcdefghijklmnop.qrst", "v2.local.abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "AKIAIOSFODNN7EXAMPLE.x",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.",
    ):  # fmt: skip
        yield hostile(f"{password!r:.60}", password, recognised=False)
    yield hostile("octets that are no UTF-8", b"\xff\xfe.\xff.\xff", recognised=False)
    yield from random_passwords("abcdefgXYZ0189_-+/")


def random_passwords(alphabet: str) -> Iterator[Hostile]:
    """With a dot, and none that begins like base64 of an object."""
    dice = random.Random(alphabet)
    for _ in range(300):
        password = "".join(dice.choices(alphabet, k=dice.randint(12, 40))) + "."
        password += "".join(dice.choices("abc.=", k=dice.randint(0, 9)))
        if not password.startswith("e"):
            yield hostile(f"{password!r}", password, recognised=False)
