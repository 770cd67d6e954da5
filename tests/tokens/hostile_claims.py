"""JSON Web Tokens with one wrong member in what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.tokens import mint
from tests.tokens.hostile import (
    ALGORITHM,
    ALICE,
    AUDIENCE,
    EXPIRED,
    ISSUER,
    KEY,
    MALFORMED,
    MISSING,
    NEVER,
    NOT_ACCEPTED,
    NOT_YET,
    SIGNATURE,
    TOO_LONG,
    TYPE,
    USER,
    USER_REFUSED,
    Hostile,
    hostile,
)
from tests.tokens.hostile_jwts import claiming, jwt, raw_header, raw_payload
from tests.tokens.issuers import (
    LIFETIME,
    NOW,
    claims,
    good,
    issuer,
    kid,
)
from tests.tokens.mint import NOT_THERE, b64


def headers(algorithm: str) -> Iterator[Hostile]:
    """Members of the header that must not be there, or not so."""
    for value in (
        ["exp"], ["b64"], [], None, "exp", {}, 0, False, ["alg"], ["kid"], [1], [None],
        ["https://example.org/x"], ["exp", "exp"], [["exp"]], "",
    ):  # fmt: skip
        yield jwt(algorithm, f"crit {value!r}", MALFORMED, crit=value)
    yield jwt(algorithm, "crit and what it names", MALFORMED, crit=["x"], x=1)
    for value in (False, True, None, 0, "false"):
        yield jwt(algorithm, f"b64 {value!r}", MALFORMED, b64=value)
    yield jwt(algorithm, "b64 false, and crit", MALFORMED, b64=False, crit=["b64"])
    first = b64(mint.text(mint.head(algorithm, kid=kid(algorithm), b64=False, crit=["b64"])))
    payload = json.dumps(claims(algorithm)).replace(".", "\\u002e")
    yield hostile(
        "b64 false, and so it is", mint.signed(first, payload, mint.key(algorithm)), MALFORMED
    )
    for value in ("DEF", "def", None, "", 0, ["DEF"]):
        yield jwt(algorithm, f"zip {value!r}", MALFORMED, zip=value)
    for value in ("JWT", "jwt", "json", None, "", 0):
        yield jwt(algorithm, f"cty {value!r}", MALFORMED, cty=value)
    inner = good(algorithm)
    yield hostile(
        "nested, with cty",
        mint.jwt(inner.encode(), mint.key(algorithm), kid=kid(algorithm), cty="JWT"), MALFORMED,
    )  # fmt: skip
    yield hostile("nested, without cty", raw_payload(algorithm, inner.encode()), MALFORMED)
    for value in (1, 0, None, [kid(algorithm)], {}, {"kid": kid(algorithm)}, True, False, 1.5, []):
        yield jwt(algorithm, f"kid {value!r}", MALFORMED, kid=value)
    name = kid(algorithm)
    for value in (
        "", "x", name.upper(), f" {name}", f"{name} ", f"{name}\0", f"{name}.pem", f"{name}.jwk",
        f"keys/{name}", f"keys/{name}.pem", f"./{name}", f"../keys/{name}", f"{name}/",
        "../../../../../../dev/null", "/dev/null", "/etc/passwd", "/proc/self/environ",
        "C:\\boot.ini", "file:///dev/null", "' OR '1'='1", "x' UNION SELECT 'key' --",
        "\"; DROP TABLE keys; --", "$(touch /tmp/x)", "`id`", "| cat /dev/null", "*", "%",
        "x" * 4000, "\0", "\ud800", "é", "{name}", "{0}", "%s%s%s", "${jndi:ldap://127.0.0.1/}",
        "\n", "None", "null", "0", "__class__", "-1", name.replace("s", "ſ"), f"{name},{name}",
        f"{name}\n",
    ):  # fmt: skip
        members = json.dumps(mint.head(algorithm, kid=value)).encode()  # surrogates escaped
        yield hostile(f"kid {value!r:.60}", raw_header(algorithm, members), KEY, MALFORMED)
    for value in (
        "session+jwt", "at+jwt", "JOSE", "JOSE+JSON", "dpop+jwt", "id+jwt", "secevent+jwt", "JWE",
        "x", "JWT ", " JWT", "JWT;x=y", "jwt+jwt", "application/at+jwt", "application/",
        "application/application/jwt", "text/jwt", "ＪＷＴ", "JWT\0", "jwt/",
    ):  # fmt: skip
        yield jwt(algorithm, f"typ {value!r}", TYPE, typ=value)
    for value in ("", None, 1, ["JWT"], {"JWT": 1}, True, False, []):
        yield jwt(algorithm, f"typ {value!r}", TYPE, MALFORMED, typ=value)
    jwe = {"alg": "dir", "enc": "A256GCM", "kid": name}
    yield hostile(
        "a JWE", ".".join([b64(mint.text(jwe)), "", b64(b"i" * 12), b64(b"c" * 90),
        b64(b"t" * 16)]),
        MALFORMED,
    )  # fmt: skip
    jwe = {"alg": "RSA-OAEP", "enc": "A256GCM"}
    yield hostile(
        "a JWE with a key",
        ".".join([b64(mint.text(jwe)), b64(b"k" * 256), b64(b"i" * 12), b64(b"c"), b64(b"t" * 16)]),
        MALFORMED,
    )  # fmt: skip
    jwe = {"alg": "dir", "enc": "A256GCM", "kid": name}
    yield hostile(
        "a JWE's header in three segments",
        mint.jwt(claims(algorithm), mint.key(algorithm), header=jwe), ALGORITHM, MALFORMED,
    )  # fmt: skip
    empty = raw_header(algorithm, b"{}")
    yield hostile("no header member", empty, MALFORMED, ALGORITHM, recognised=None)


def dates(algorithm: str) -> Iterator[Hostile]:
    """NumericDates that are none, or that overflow something."""
    soon = NOW + 60
    octets: dict[str, bytes] = {
        "a string": b'"%d"' % soon, "true": b"true", "false": b"false", "null": b"null",
        "a list": b"[%d]" % soon, "an object": b'{"t":%d}' % soon, "an empty string": b'""',
        "a date": b'"2027-01-15T08:01:00Z"', "1e999": b"1e999", "-1e999": b"-1e999", "NaN": b"NaN",
        "Infinity": b"Infinity", "-Infinity": b"-Infinity", "4,000 digits": b"9" * 4000,
        "4,400 digits": b"1" * 4400, "-4,400 digits": b"-" + b"1" * 4400, "400 digits": b"9" * 400,
        "400 digits and a fraction": b"9" * 400 + b".5", "the year 10000": b"253402300800",
        "1e400": b"1e400", "+": b"+%d" % soon, "hexadecimal": b"0x6b49d200",
        "a leading 0": b"0%d" % soon, "1.": b"%d." % soon,
    }  # fmt: skip
    for name in ("exp", "nbf", "iat"):
        usual = claims(algorithm, nbf=NOW)
        for what, value in octets.items():
            text = mint.text(usual | {name: "HERE"}).replace(b'"HERE"', value)
            reasons = (MALFORMED, MISSING) if what == "null" else (MALFORMED,)
            yield hostile(f"{name} {what}", raw_payload(algorithm, text), *reasons)
        yield claiming(algorithm, f"{name} in ms", MALFORMED, **{name: soon * 1000})
        yield claiming(algorithm, f"{name} in µs", MALFORMED, **{name: soon * 1_000_000})
        yield claiming(algorithm, f"{name} negative", MALFORMED, **{name: -1})
        yield claiming(algorithm, f"{name} -0.5", MALFORMED, **{name: -0.5})
    yield claiming(algorithm, "exp 0", EXPIRED, exp=0)
    yield claiming(algorithm, "exp -0.0", EXPIRED, MALFORMED, exp=-0.0)
    yield claiming(algorithm, "exp 1", EXPIRED, exp=1)
    yield claiming(algorithm, "exp, the last date", TOO_LONG, exp=253402300799)
    yield claiming(algorithm, "exp a hair too early", EXPIRED, exp=NOW - 30.0)
    yield claiming(algorithm, "exp half a second too early", EXPIRED, exp=NOW - 30.5)
    yield claiming(algorithm, "exp half a second too late", TOO_LONG, exp=NOW + LIFETIME + 0.5)
    yield claiming(algorithm, "nbf half a second too late", NOT_YET, nbf=NOW + 30.5)
    yield claiming(algorithm, "iat half a second too late", NOT_YET, iat=NOW + 30.5)
    yield claiming(algorithm, "nbf, the last date", NOT_YET, nbf=253402300799)
    yield claiming(algorithm, "iat, the last date", NOT_YET, iat=253402300799)
    yield claiming(algorithm, "iat 0", TOO_LONG, iat=0)
    yield claiming(algorithm, "EXP", MISSING, exp=NOT_THERE, EXP=soon)
    yield claiming(algorithm, "exp in the header", MISSING, exp=NOT_THERE, header={"exp": soon})


def audiences(algorithm: str) -> Iterator[Hostile]:
    ours = "xmpp:example.org"
    for value in (
        "", "example.org", "xmpp:", "xmpp:example.org/", "xmpp:EXAMPLE.org", "XMPP:example.org",
        f"{ours} ", f" {ours}", f"{ours}\0", f"{ours},xmpp:other.example",
        "xmpp:example.organisation", "xmpp:example.or", "xmpp:sub.example.org", "*", "xmpp:*",
        "xmpp:{domain}", "xmpp:other.example", '["xmpp:example.org"]', "xmpp:example.org?login",
        "xmpp:alice@example.org", "\ud800", "xmpp:example。org", ["xmpp:other.example"], [],
        ["xmpp:other.example", "https://www.example.org"], ["*"], [""], list(ours),
    ):  # fmt: skip
        octets = json.dumps(claims(algorithm, aud=value)).encode()
        yield hostile(
            f"aud {value!r:.60}", raw_payload(algorithm, octets), AUDIENCE,
            *((MALFORMED, MISSING) if value in ("", [], [""], "\ud800") else ()),
        )  # fmt: skip
    for value in (
        1, None, True, {}, {ours: 1}, {"aud": ours}, [ours, 1], [1, ours], [ours, None], [[ours]],
        [ours, [ours]], [{ours: ours}], [True], 1.5, False,
    ):  # fmt: skip
        yield claiming(
            algorithm,
            f"aud {value!r}",
            MALFORMED,
            *((MISSING,) if value is None else ()),
            aud=value,
        )


def subjects(algorithm: str) -> Iterator[Hostile]:
    for value in (
        "bob", "bob@example.org", "alice@other.example", "alice@example.com",
        "alice@example.org.evil.example", "alic", "alicee", "alice1", "a", "alice@example.or",
        "аlice", "alice@exаmple.org", "ɑlice@example.org",
    ):  # fmt: skip
        yield claiming(algorithm, f"sub {value!r}", USER, sub=value)
    for value in (
        "", "@", "alice@", "@example.org", "alice@example.org/phone", "alice@example.org/",
        "alice/phone", "bob/alice", "alice@example.org@example.org", "alice@alice@example.org",
        "bob@example.org alice@example.org", " alice", "alice ", " alice@example.org",
        "alice@example.org ", "alice@ example.org", "alice\n", "alice\0", "alice@example.org\0",
        "alice\0@example.org", "bob@example.org\0alice@example.org", "*", "al*", "%", "alice:x",
        "alice;bob", "alice,bob", "alice&bob", "alice'", "<alice>", '"alice"@example.org',
        "xmpp:alice@example.org", "mailto:alice@example.org", "acct:alice@example.org",
        "alice%40example.org", "alice\\40example.org", "alice@example..org", "alice@.example.org",
        "alice@[::1]", "alice@example.org:5222", "\ud800", "alice\ud800", "alice@\ud800",
        "\udfff@example.org", "x" * 1024, "x" * 4000, "alice@" + "x" * 4000, "alice\u202e",
        "ali\u0345ce", "\u00ad", " ", "\u3000", "uid=alice,dc=example,dc=org", "EXAMPLE\\alice",
        "alice@xn--", "alice@xn--a", "alice@-", "\u202ealice",
    ):  # fmt: skip
        octets = json.dumps(claims(algorithm, sub=value)).encode()
        name = f"sub {value!r:.40} ({len(value)})"
        yield hostile(name, raw_payload(algorithm, octets), USER, MALFORMED, MISSING)
    for value in (1, 0, None, True, False, ["alice"], [ALICE], [], {}, {"sub": ALICE}, 1.5):
        yield claiming(algorithm, f"sub {value!r}", MALFORMED, MISSING, USER, sub=value)
    # Right for alice in any of these spellings, and for nobody else.
    for value in (
        "ALICE", "Alice@Example.ORG", "ａｌｉｃｅ", "al\u00adice", "alice@ＥＸＡＭＰＬＥ.org",
        "alice@example.org.",
    ):  # fmt: skip
        yield hostile(f"sub {value!r} for bob", good(algorithm, sub=value), USER, user="bob")
    yield hostile("sub 'BOB' for alice", good(algorithm, sub="BOB"), USER)
    yield hostile(
        "sub 'ＢＯＢ@example.org' for alice", good(algorithm, sub="ＢＯＢ@example.org"), USER
    )
    yield hostile("a spelling of admin", good(algorithm, sub="ADMIN"), NEVER, user="admin")
    yield hostile("admin asks in capitals", good(algorithm, sub="admin"), NEVER, user="Admin")
    yield hostile("admin asks at full width", good(algorithm, sub="admin"), NEVER, user="ａdmin")
    yield hostile(
        "admin with a soft hyphen", good(algorithm, sub="admin"), NEVER, user="ad\u00admin"
    )
    for other in ("jid", "Sub", "SUB", "user", "username", "preferred_username", "uid", "email"):
        yield claiming(algorithm, f"{other} for sub", MISSING, sub=NOT_THERE, **{other: ALICE})
        yield claiming(algorithm, f"{other} beside bob's sub", USER, sub="bob", **{other: ALICE})
    yield claiming(algorithm, "sub in the header", MISSING, sub=NOT_THERE, header={"sub": ALICE})


def issuers(algorithm: str) -> Iterator[Hostile]:
    ours = issuer(algorithm)
    for value in (
        "", "x", f"{ours}/", f"{ours} ", f" {ours}", ours.upper(), ours.replace("https", "http"),
        f"{ours}\0", f"{ours}#", f"{ours}.", ours[:-1], f"{ours}.evil.example",
        ours.removeprefix("https://"), "*", "\ud800", "x" * 4000, f"{ours}@evil.example",
        f"{ours},https://second.example", "compact", "website", "nextcloud", "__class__",
        ours.replace("e", "е"),
    ):  # fmt: skip
        octets = json.dumps(claims(algorithm, iss=value)).encode()
        yield hostile(f"iss {value!r:.60}", raw_payload(algorithm, octets), ISSUER, MALFORMED)
    for value in (1, None, True, [ours], [], {}, {"iss": ours}, 1.5, [ours, ours], False):
        yield claiming(algorithm, f"iss {value!r}", MALFORMED, ISSUER, MISSING, iss=value)
    yield claiming(algorithm, "ISS", MISSING, ISSUER, iss=NOT_THERE, ISS=ours)
    yield claiming(
        algorithm, "iss in the header", MISSING, ISSUER, iss=NOT_THERE, header={"iss": ours}
    )


def repetitions(algorithm: str) -> Iterator[Hostile]:
    """Each member that counts, twice: whichever a parser takes, somebody else takes the other."""
    header = mint.text(mint.head(algorithm, kid=kid(algorithm)))
    payload = mint.text(claims(algorithm, nbf=NOW))
    for name, evil in (("alg", b'"none"'), ("typ", b'"x"'), ("kid", b'"x"')):
        for what, octets in _twice(header, name, evil):
            yield hostile(f"{name} twice: {what}", raw_header(algorithm, octets), MALFORMED)
    for name, evil in (
        ("iss", b'"x"'), ("sub", b'"bob"'), ("aud", b'"x"'), ("exp", b"1"), ("iat", b"1"),
        ("nbf", b"9999999999"),
    ):  # fmt: skip
        for what, octets in _twice(payload, name, evil):
            yield hostile(f"{name} twice: {what}", raw_payload(algorithm, octets), MALFORMED)


def _twice(octets: bytes, name: str, evil: bytes) -> Iterator[tuple[str, bytes]]:
    inner, plain = octets[1:-1], f'"{name}":'.encode()
    value = json.dumps(json.loads(octets)[name]).encode()
    yield "the same", b"{" + inner + b"," + plain + value + b"}"
    yield "wrong first", b"{" + plain + evil + b"," + inner + b"}"
    yield "wrong last", b"{" + inner + b"," + plain + evil + b"}"
    yield "null last", b"{" + inner + b"," + plain + b"null}"
    for at in range(3):
        escaped = f'"{name[:at]}\\u{ord(name[at]):04X}{name[at + 1 :]}":'.encode()
        yield f"escaped at {at}, wrong first", b"{" + escaped + evil + b"," + inner + b"}"
        yield f"escaped at {at}, the same", b"{" + inner + b"," + escaped + value + b"}"


OF_ANY_ALGORITHM = (headers, dates, audiences, subjects, issuers, repetitions)


def settings() -> Iterator[Hostile]:
    """What single issuers are told to insist on."""

    def by(iss: str, owner: str, **changes: Any) -> str:
        members = changes.pop("members", {})
        made = claims("ES256", iss=iss, **changes)
        return mint.jwt(made, mint.key("ES256", owner), **members)

    typ = "https://typ.example"
    for value in (
        NOT_THERE,
        "JWT",
        "jwt",
        "at+jwt",
        "session",
        "session+jwt+jwt",
        "application/jwt",
    ):
        yield hostile(
            f"typ {'absent' if value is NOT_THERE else value!r} where it must be session+jwt",
            by(typ, "typ", members={"typ": value}), TYPE,
        )  # fmt: skip
    bots = "https://bots.example"
    yield hostile("a user that its issuer may not sign for", by(bots, "bots"), USER_REFUSED)
    for user in ("bot", "xbot-1", "robot-1", "bo-t"):
        yield hostile(
            f"{user}, which is no bot-*", by(bots, "bots", sub=user), USER_REFUSED, user=user
        )
    yield hostile("a bot for another bot", by(bots, "bots", sub="bot-2"), USER, user="bot-1")
    jid = "https://jid.example"
    yield hostile("sub where jid counts", by(jid, "jid"), MISSING)
    yield hostile("jid is another's", by(jid, "jid", jid="bob"), USER)
    yield hostile("jid is a list", by(jid, "jid", jid=[ALICE]), MALFORMED, MISSING, USER)
    aud = "https://aud.example"
    yield hostile("the usual audience where others count", by(aud, "aud"), AUDIENCE)
    yield hostile(
        "the audience of another domain", by(aud, "aud", aud="urn:xmpp:other.example"), AUDIENCE
    )
    yield hostile("the audience as written", by(aud, "aud", aud="urn:xmpp:{domain}"), AUDIENCE)
    short = "https://short.example"
    yield hostile("longer than a minute", by(short, "short", exp=NOW + 61), TOO_LONG)
    yield hostile("expired, without leeway", by(short, "short", exp=NOW - 1), EXPIRED)
    yield hostile(
        "expired at this second, nearly no leeway", by(short, "short", exp=NOW - 1.0), EXPIRED
    )
    second = "https://second.example"
    yield hostile(
        "one domain's token at another", by(second, "second", aud="xmpp:other.example"),
        USER, domain="other.example",
    )  # fmt: skip
    yield hostile(
        "a localpart for another domain's audience", by(second, "second", sub="alice"),
        AUDIENCE, domain="other.example",
    )  # fmt: skip
    yield hostile(
        "one issuer's two keys, the kid of the other",
        mint.jwt(claims("ES256", iss=second), mint.key("ES256", "second"), kid="newer"),
        SIGNATURE,
    )  # fmt: skip
    yield hostile(
        "the administrator, by an issuer for all domains", by(second, "second", sub="admin"),
        NEVER, user="admin",
    )  # fmt: skip
    yield hostile("a JWT where only compact is accepted", by(second, "second",
    sub="alice@compact.example",
                  aud="xmpp:compact.example"), NOT_ACCEPTED, domain="compact.example")  # fmt: skip
