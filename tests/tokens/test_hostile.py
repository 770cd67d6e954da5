"""Some thousand hostile tokens, at issuers of every algorithm and kind: all are refused, for the
right reason, without a fault, and no other checker gets to see what is recognised as a token.

What they are is in `corpus.py`. Each is judged three times: by the checker, by the checker with a
trace, and in a login whose next checker would be told.
"""

from __future__ import annotations

import functools
import json
import random
import socket
import threading

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authbridge import preparation
from authbridge.model import Outcome, Reason, Trace, Verdict
from authbridge.secret import Secret
from tests.system.ports import free_port
from tests.tokens import corpus, hostile_forms, hostile_jwts, mint
from tests.tokens.hostile import ALICE, Hostile
from tests.tokens.issuers import (
    COMPACT_SECRET,
    LIFETIME,
    NOW,
    OTHER_COMPACT_SECRET,
    OTHER_XCAUTH_SECRET,
    XCAUTH_LIFETIME,
    XCAUTH_SECRET,
    TokenHouse,
    claims,
    good,
    house,
    kid,
    temporary,
)
from tests.tokens.mint import NOT_THERE, b64
from tests.tokens.speed import times_as_long

TRIED: dict[str, int] = {}
"""How many different tokens of each group were tried."""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return house(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def website():
    """Where the evil keys are, for whoever fetches them: its URL, and who came."""
    evil = mint.jwks(*(mint.key(name, "another's").jwk(kid="evil") for name in mint.ALGORITHMS))
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + mint.text(evil)
    visitors = []
    # Not one on which somebody may still look for a server of another test.
    listener = socket.create_server(("127.0.0.1", free_port()))

    def serve():
        while True:
            try:
                connection, address = listener.accept()
            except OSError:
                return
            visitors.append(address)
            with connection:
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/jwks.json", visitors
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(60)
    assert not thread.is_alive()


def trouble(here: TokenHouse, one: Hostile) -> list[str]:
    """What is wrong with how one of them is treated."""
    wrong = []
    try:
        user = preparation.local(one.user.encode())
        found = here.judge(one.token, user, one.domain)
        traced = here.judge(one.token, user, one.domain, trace := Trace())
        here.behind.asked.clear()
        login = here.login(one.token, one.user, one.domain)
    except Exception as error:
        return [f"raised {error!r:.200}"]
    recognised = found.verdict is not Verdict.NOT_APPLICABLE
    if recognised and found.verdict is not Verdict.REJECTED:
        wrong.append(f"the checker says {found}")
    if traced != found:
        wrong.append(f"with a trace it says {traced}")
    if login.verdict is not Verdict.REJECTED:
        wrong.append(f"the login is {login}")
    if one.recognised not in (None, recognised):
        wrong.append("is recognised" if recognised else "is not recognised")
    checker = here.tokens_of(one.domain)
    if checker.recognises(Secret(one.token)) != recognised:
        wrong.append("is recognised at one time and not at another")
    if one.reasons and recognised and found.reason not in one.reasons:
        wrong.append(f"is refused for {found.reason.value}")
    return wrong + spread(here, one, recognised, login, trace)


def spread(
    here: TokenHouse, one: Hostile, recognised: bool, login: Outcome, trace: Trace
) -> list[str]:
    """Whether others than the token checker get to see it."""
    wrong = []
    if recognised and here.behind.asked:
        wrong.append("is shown to the next checker")
    shown = (Reason.PASSWORD_MISMATCH, Reason.PASSWORD_BLANK, Reason.PASSWORD_HAS_NUL)
    if not recognised and login.reason not in shown:
        wrong.append("is not shown to the next checker")
    words = " ".join(text for _, text in trace.steps)
    if len(words) > 2000:
        wrong.append("fills the trace")
    parts = one.token.decode(errors="replace").split(".")
    if any(len(part) > 20 and part in words + here.line for part in parts):
        wrong.append("is quoted")
    return wrong


@pytest.mark.parametrize(
    "group",
    corpus.GROUPS,
)
def test_hostile_tokens_are_refused_for_the_right_reason(here, website, events, group):
    url, visitors = website
    wrong = {}
    tried = set()
    for one in corpus.of(group, url):
        tried.add((one.token, one.user, one.domain))
        if found := trouble(here, one):
            wrong[one.name] = ", ".join(found)
    TRIED[group] = len(tried)
    assert wrong == {}
    assert [event for event in events if event.get("isError")] == []
    assert visitors == []


def test_there_are_hostile_tokens_enough():
    """No two of those that count are the same."""
    for group in corpus.GROUPS:
        if group not in TRIED:  # where the test above was left out
            tokens = corpus.of(group, "http://127.0.0.1/")
            TRIED[group] = len({(one.token, one.user, one.domain) for one in tokens})
    assert all(TRIED[algorithm] >= 400 for algorithm in mint.ALGORITHMS), TRIED
    assert TRIED["compact"] >= 200
    assert TRIED["xcauth"] >= 150
    assert TRIED["temporary"] >= 200
    assert sum(TRIED.values()) >= 8000


def test_nobody_is_asked_for_the_keys_that_a_header_names(here, website):
    """That there is somebody to be asked is tried here: a visit would be seen."""
    (host, port), visitors = website[0].split("/")[2].split(":"), website[1]
    for one in hostile_jwts.strangers("ES256", website[0]):
        here.login(one.token, one.user, one.domain)
    assert visitors == []
    with socket.create_connection((host, int(port))) as connection:
        assert b"keys" in connection.makefile("rb").read()
    assert len(visitors) == 1
    visitors.clear()


# --- what is accepted -----------------------------------------------------------------------------


def compact(expiry: int, jid: str = ALICE, secret: bytes = COMPACT_SECRET) -> str:
    return mint.compact(secret, jid, expiry)


def xcauth(expiry: int, jid: str = ALICE, secret: bytes = XCAUTH_SECRET) -> str:
    return mint.xcauth(secret, jid, expiry)


def exactly(algorithm: str, size: int) -> str:
    """A good token of so many octets."""
    for more in range(4):
        bare = len(good(algorithm, fill="", header={"x": "x" * more}))
        for fill in range((size - bare) * 3 // 4 - 3, (size - bare) * 3 // 4 + 4):
            token = good(algorithm, fill="x" * fill, header={"x": "x" * more})
            if len(token) == size:
                return token
    raise AssertionError(size)


def controls(algorithm: str):
    """Good tokens of an algorithm: names, and what they are."""
    key, name = mint.key(algorithm), kid(algorithm)
    yield "usual", good(algorithm)
    yield "by its thumbprint", mint.jwt(claims(algorithm), key, kid=key.thumbprint())
    yield "without kid", mint.jwt(claims(algorithm), key)
    yield "with alg alone", mint.jwt(claims(algorithm), key, typ=NOT_THERE)
    for typ in ("jwt", "JWT", "Jwt", "application/jwt", "Application/JWT"):
        yield f"typ {typ}", good(algorithm, header={"typ": typ})
    for what, sub in {
        "a localpart": "alice", "capitals": "ALICE@Example.ORG", "full width": "ａｌｉｃｅ",
        "a soft hyphen": "al\u00adice", "the root's dot": "alice@example.org.",
    }.items():  # fmt: skip
        yield f"sub: {what}", good(algorithm, sub=sub)
    for what, aud in {
        "a list": ["xmpp:example.org"], "a list of many": ["x", "", "xmpp:example.org", "y"],
        "a list with ours twice": ["xmpp:example.org"] * 2,
    }.items():  # fmt: skip
        yield f"aud: {what}", good(algorithm, aud=aud)
    for what, dates in {
        "exp, as long ago as the leeway allows": {"exp": NOW - 29},
        "exp, a hair more": {"exp": NOW - 29.999}, "exp, a float": {"exp": NOW + 60.5},
        "exp, as far as can be": {"exp": NOW + LIFETIME}, "without iat": {"iat": NOT_THERE},
        "without iat, as far as can be": {"iat": NOT_THERE, "exp": NOW + LIFETIME + 30},
        "iat, a float": {"iat": NOW - 0.25}, "iat ahead by the leeway": {"iat": NOW + 30},
        "nbf ahead by the leeway": {"nbf": NOW + 30}, "nbf 0": {"nbf": 0},
        "nbf, a float": {"nbf": NOW - 0.5}, "as old as can be": {"iat": NOW - 290, "exp": NOW + 10},
    }.items():  # fmt: skip
        yield what, good(algorithm, **dates)
    exponents = mint.text(claims(algorithm)).replace(b"1800000060", b"1.80000006E+9")
    yield "exp with an exponent", mint.jwt(exponents, key, kid=name)
    spaced = json.dumps(claims(algorithm), indent=3).encode().replace(b"\n", b"\r\n")
    yield "JSON with blanks", mint.jwt(b" \t\n" + spaced + b"\n", key, kid=name)
    escaped = mint.text(claims(algorithm)).replace(b'"sub"', b'"\\u0073ub"')
    yield "an escaped name", mint.jwt(escaped, key, kid=name)
    headers = json.dumps(mint.head(algorithm, kid=name), indent=1).encode()
    yield "a header with blanks", mint.jwt(claims(algorithm), key, header=headers)
    yield "claims that nobody knows", good(algorithm, jti="1", azp=None, x={"y": [1, {"z": 2.5}]})
    yield "depth 8", good(algorithm, x=json.loads("[" * 7 + "]" * 7))
    yield "brackets in strings", good(algorithm, x="[{" * 50)
    yield "8192 octets", exactly(algorithm, 8192)
    other = mint.key(algorithm, "another's")
    brought = {"jwk": other.jwk(), "jku": "https://evil.example/", "x5u": "x", "x5c": ["x"]}
    yield "keys in the header that do not count", good(algorithm, header=brought)
    yield "members that nobody knows", good(algorithm, header={"x": 1, "iat": NOW})


MAC_CONTROLS = {
    "compact": compact(NOW + 60),
    "compact, as long ago as the leeway allows": compact(NOW - 30),
    "compact, as far as can be": compact(NOW + LIFETIME + 30),
    "xcauth": xcauth(NOW + 60),
    "xcauth, this second": xcauth(NOW),
    "xcauth, as far as can be": xcauth(NOW + XCAUTH_LIFETIME + 30),
    "temporary": temporary("alice's"),
}


def is_accepted(outcome: Outcome) -> bool:
    return (outcome.verdict, outcome.reason) == (Verdict.ACCEPTED, Reason.TOKEN_VALID)


def refused(here: TokenHouse, token: str, user: str = "alice", domain: str = "example.org") -> str:
    """Why it is not accepted; "" where it is."""
    octets = token.encode()
    outcomes = [here.judge(octets, user, domain), here.judge(octets, user, domain, Trace())]
    here.behind.asked.clear()
    outcomes.append(here.login(octets, user, domain))
    if all(is_accepted(outcome) for outcome in outcomes) and not here.behind.asked:
        return ""
    return ", ".join(outcome.reason.value for outcome in outcomes)


@pytest.mark.parametrize("algorithm", mint.ALGORITHMS)
def test_good_tokens_are_accepted(here, events, algorithm):
    found = {name: refused(here, token) for name, token in controls(algorithm)}
    assert {name: reason for name, reason in found.items() if reason} == {}
    assert len(found) >= 30
    assert [event for event in events if event.get("isError")] == []


@pytest.mark.parametrize("name", MAC_CONTROLS)
def test_good_tokens_without_claims_are_accepted(here, name):
    assert refused(here, MAC_CONTROLS[name]) == ""


def test_each_issuer_has_its_own_settings(here):
    def by(iss: str, owner: str, *, members=None, **changes) -> str:
        made = claims("ES256", iss=iss, **changes)
        return mint.jwt(made, mint.key("ES256", owner), **(members or {}))

    for typ in ("session+jwt", "Session+JWT", "application/session+jwt"):
        token = by("https://typ.example", "typ", members={"typ": typ})
        assert refused(here, token) == ""
    for user in ("bot-1", "bot-"):
        assert refused(here, by("https://bots.example", "bots", sub=user), user) == ""
    assert refused(here, by("https://jid.example", "jid", jid=ALICE, sub="bob")) == ""
    assert refused(here, by("https://jid.example", "jid", jid="alice", sub=NOT_THERE)) == ""
    for aud in ("https://chat.example", "urn:xmpp:example.org", ["x", "https://chat.example"]):
        assert refused(here, by("https://aud.example", "aud", aud=aud)) == ""
    assert refused(here, by("https://short.example", "short", exp=NOW + 0.5)) == ""
    for owner in ("second", "newer"):
        for domain in ("example.org", "other.example", "jwt.example"):
            for members in ({}, {"kid": owner}):
                token = by(
                    "https://second.example", owner, aud=f"xmpp:{domain}", sub="alice",
                    members=members,
                )  # fmt: skip
                assert refused(here, token, domain=domain) == ""
    token = by("https://second.example", "second", aud="xmpp:other.example", sub="admin")
    assert refused(here, token, "admin", "other.example") == ""  # `never` is of example.org
    elsewhere = "alice@other.example"
    token = compact(NOW + 60, elsewhere, OTHER_COMPACT_SECRET)
    assert refused(here, token, domain="other.example") == ""
    token = xcauth(NOW + 60, elsewhere, OTHER_XCAUTH_SECRET)
    assert refused(here, token, domain="other.example") == ""
    assert refused(here, compact(NOW + 60, "alice@jwt.example"), domain="jwt.example") != ""
    token = compact(NOW + 60, "alice@compact.example")
    assert refused(here, token, domain="compact.example") == ""


def test_a_login_that_is_spelled_otherwise_is_the_same_users(here):
    """The server prepares names; where it does not, authbridge does before it looks at tokens."""
    for token in (good("ES256"), compact(NOW + 60), xcauth(NOW + 60)):
        assert is_accepted(here.login(token.encode(), "ＡLICE", "EXAMPLE.org"))


# --- spellings of one token -----------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", mint.CURVES)
def test_an_ecdsa_token_has_a_second_signature_that_is_right(here, algorithm):
    """Whoever has a token of ES256, ES384 or ES512 can make a second out of it that is accepted as
    well: with n - s for s. So tokens that count once must not be known by their text, but by what
    is signed (or by `iss` and `jti`)."""
    first, second, third = good(algorithm).split(".")
    signature = mint.unb64(third)
    half = len(signature) // 2
    s = mint.ORDERS[algorithm] - mint.unnumber(signature[half:])
    other = f"{first}.{second}.{b64(signature[:half] + s.to_bytes(half, 'big'))}"
    assert other != f"{first}.{second}.{third}"
    assert refused(here, other) == ""


EVERY_KIND = [(name, good(name)) for name in ("HS256", "ES256", "EdDSA", "RS256", "PS256")] + [
    ("compact", compact(NOW + 60)),
    ("xcauth", xcauth(NOW + 60)),
]

octets = st.one_of(st.binary(max_size=4), st.sampled_from([b".", b"=", b"A", b"-", b"\n", b" "]))
edits = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 4), octets), min_size=1, max_size=4)


def edited(text: bytes, at: int, gone: int, instead: bytes) -> bytes:
    at %= len(text) + 1
    return text[:at] + instead + text[at + gone :]


@settings(max_examples=250)
@given(kind=st.sampled_from(EVERY_KIND), edits=edits)
@example(kind=EVERY_KIND[0], edits=[(0, 0, b"=")])
def test_a_token_that_was_changed_anyhow_is_refused(here, kind, edits):
    _, token = kind
    changed = token.encode()
    for edit in edits:
        changed = edited(changed, *edit)
    if changed == token.encode() or not changed:
        return
    assert here.judge(changed).verdict in (Verdict.REJECTED, Verdict.NOT_APPLICABLE)
    assert here.login(changed).verdict is Verdict.REJECTED


@settings(max_examples=250)
@given(
    kind=st.sampled_from([token for token in EVERY_KIND if "." in token[1]]),
    part=st.sampled_from(["header", "payload"]),
    edits=edits,
    key=st.sampled_from(["ours", "another's"]),
)
def test_a_token_that_was_changed_and_signed_again_is_refused_or_says_the_same(
    here, kind, part, edits, key
):
    """With the issuer's own key it is accepted where what it says comes to the same; with another
    never."""
    algorithm, token = kind
    first, second, _ = token.split(".")
    changed = mint.unb64(first if part == "header" else second)
    for edit in edits:
        changed = edited(changed, *edit)
    parts = (b64(changed), second) if part == "header" else (first, b64(changed))
    again = mint.signed(*parts, mint.key(algorithm, key))
    outcome = here.judge(again.encode())
    if not is_accepted(outcome):
        assert outcome.verdict in (Verdict.REJECTED, Verdict.NOT_APPLICABLE)
        assert outcome.reason is not Reason.INTERNAL_ERROR
        return
    assert key == "ours" or again == token
    header, said = (json.loads(mint.unb64(segment)) for segment in again.split(".")[:2])
    assert header["alg"] == algorithm
    assert header.get("kid", kid(algorithm)) in (kid(algorithm), mint.key(algorithm).thumbprint())
    assert said["iss"] == claims(algorithm)["iss"]
    user, _, domain = said["sub"].partition("@")
    assert preparation.local(user.encode()) == "alice"
    assert preparation.domain((domain or "example.org").encode()) == "example.org"
    assert "xmpp:example.org" in said["aud"]
    assert said["exp"] > NOW - 30
    assert said.get("iat", NOW) <= NOW + 30


def test_no_token_takes_much_longer_than_a_good_one(here):
    """All of authbridge waits while it is looked at, and anybody may send it."""
    usual = functools.partial(here.judge, good("ES512").encode())
    slow = {}
    for one in hostile_forms.slow():
        judged = functools.partial(here.judge, one.token)
        slow[one.name] = times_as_long(judged, usual, 20)
    assert {what: times for what, times in slow.items() if times > 20} == {}


# --- over time ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "last", "reason"),
    [
        (good("ES256", exp=NOW + 60), NOW + 89, Reason.TOKEN_EXPIRED),
        (compact(NOW + 60), NOW + 90, Reason.TOKEN_EXPIRED),
        (xcauth(NOW + 60), NOW + 60, Reason.TOKEN_EXPIRED),
    ],
    ids=["jwt", "compact", "xcauth"],
)
def test_a_token_ends_a_second_after_its_last(here, token, last, reason):
    dice = random.Random(0)
    try:
        for here.wall in [last, last - dice.random(), NOW]:
            assert refused(here, token) == ""
        for here.wall in [last + 1, last + 1.5, last + 1e6, 4e9]:
            outcome = here.judge(token.encode())
            assert (outcome.verdict, outcome.reason) == (Verdict.REJECTED, reason)
        for here.wall in (0, NOW - 1e6):  # the clock was set back
            assert here.judge(token.encode()).verdict is Verdict.REJECTED
    finally:
        here.wall = NOW
