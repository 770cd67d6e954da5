"""Tokens in the place of passwords: who is let in, and why others are not."""

from __future__ import annotations

import random

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from authbridge import model
from authbridge.checkers import Surroundings, token
from authbridge.checkers.token import TokenSettings
from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.issuers.keyring import bind_published
from authbridge.model import JID, Reason, Trace, Verdict
from authbridge.secret import Secret
from authbridge.settings import Mistakes, Table
from authbridge.tokens import key_texts
from tests.doubles import now
from tests.issuers.folders import NAME, SECRETS, pem, settings, write
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE

NOW = 1_800_000_000
ALICE, BOT, ADMIN = (JID(user, "example.org") for user in ("alice", "bot-1", "admin"))
THERE = JID("alice", "example.net")
COMPACT, XCAUTH = SECRETS[0], SECRETS[1][:20]
ALL = ("jwt", "compact", "xcauth")
USUAL = [
    ("jwt", {"name": NAME, "keys": ["www.pem"]}),
    ("compact", {"name": "website", "secret_file": "compact", "keys": None}),
    ("xcauth", {"name": "nextcloud", "secret_file": "xcauth", "keys": None}),
]


class Tokens:
    """A token checker with its issuers and the time in the test's hands."""

    def __init__(self, folder):
        self.folder = folder
        self.wall = float(NOW)
        self.clock = Clock()
        self.accept = frozenset(ALL)
        self.usual = {kind: dict(given) for kind, given in USUAL}
        self.others = []
        write(folder / "www.pem", pem("www"))
        write(folder / "compact", COMPACT)
        write(folder / "xcauth", XCAUTH)
        self.made = None

    def set(self, kind, /, **given):
        """Settings of an issuer in place of the usual ones."""
        self.usual[kind].update(given)

    def add(self, kind, /, **given):
        self.others.append(Issuer(settings(self.folder, kind, **given)))

    @property
    def checker(self):
        if self.made is None:
            usual = [Issuer(settings(self.folder, kind, **self.usual[kind])) for kind in self.usual]
            self.issuers = Issuers([*self.others, *usual], self.clock.seconds)
            self.issuers.start()
            surroundings = Surroundings(
                self.clock, None, lambda: self.wall, random.random, issuers=self.issuers,
                never_token=lambda jid: jid == ADMIN,
            )  # fmt: skip
            self.made = token.make_checker(TokenSettings(self.accept), surroundings)
        return self.made

    def begin(self, secret, jid=ALICE, trace=None):
        octets = secret if isinstance(secret, bytes) else secret.encode()
        return Deferred.fromCoroutine(self.checker.check_password(jid, Secret(octets), trace))

    def login(self, secret, jid=ALICE, trace=None):
        return now(self.begin(secret, jid, trace))

    def refused(self, secret, jid=ALICE):
        """Why, from a token checker that says the same to who wants to know it all."""
        outcome = self.login(secret, jid)
        assert self.login(secret, jid, Trace()) == outcome
        assert outcome.verdict is Verdict.REJECTED
        return outcome.reason


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path)


def claims(**changes):
    usual = {"iss": NAME, "sub": "alice@example.org", "aud": "xmpp:example.org", "iat": NOW,
             "exp": NOW + 60}  # fmt: skip
    return mint.without(usual | changes)


def jwt(owner="www", kid="www", typ="JWT", **changes):
    return mint.jwt(claims(**changes), mint.key("ES256", owner), kid=kid, typ=typ)


def compact(jid=ALICE, expiry=NOW + 60, secret=COMPACT, purpose="login"):
    return mint.compact(secret, str(jid), expiry, purpose)


def xcauth(jid=ALICE, expiry=NOW + 60, secret=XCAUTH):
    return mint.xcauth(secret, str(jid), expiry)


MAKE = {"jwt": jwt, "compact": compact, "xcauth": xcauth}
SIGNERS = {"jwt": f"{NAME}#www", "compact": "website#compact", "xcauth": "nextcloud#xcauth"}


# --- what is judged here --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_good_token_is_accepted_and_its_signer_is_told(tokens, kind):
    outcome = tokens.login(MAKE[kind]())
    assert outcome == model.TOKEN_VALID
    assert outcome.signer == SIGNERS[kind]
    assert tokens.login(MAKE[kind]()) == outcome  # it may be used again


@pytest.mark.parametrize("kind", ALL)
def test_a_token_is_recognised_good_or_bad(tokens, kind):
    assert tokens.checker.recognises(Secret(MAKE[kind]().encode()))
    assert tokens.checker.recognises(Secret(MAKE[kind](BOT if kind != "jwt" else "eve").encode()))


@pytest.mark.parametrize(
    "password", ["wonderland", "a.b.c", "x" * 31, "abt", "pass.word.2026", " "]
)
def test_a_password_is_somebody_elses(tokens, password):
    trace = Trace()
    assert tokens.login(password) is model.NOT_A_TOKEN
    assert tokens.login(password, trace=trace) is model.NOT_A_TOKEN
    assert model.NOT_A_TOKEN.verdict is Verdict.NOT_APPLICABLE
    assert not tokens.checker.recognises(Secret(password.encode()))
    assert trace.steps == [("token", "does not look like one")]


def test_tokens_tell_nothing_of_who_exists(tokens):
    assert now(tokens.checker.user_exists(ALICE, None)).verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_that_is_not_accepted_is_refused_and_not_passed_on(tokens, kind):
    tokens.accept = frozenset(ALL) - {kind}
    assert tokens.refused(MAKE[kind]()) is Reason.TOKEN_NOT_ACCEPTED
    assert tokens.checker.recognises(Secret(MAKE[kind]().encode()))


def test_kinds_to_come_are_not_accepted(tokens):
    for secret in ("abtd1_AAAA", "abtx9_", "abtc2_AAAA", f'"abtc2_{"A" * 56}"'):
        assert tokens.refused(secret) is Reason.TOKEN_NOT_ACCEPTED
        assert tokens.checker.recognises(Secret(secret.encode()))
        trace = Trace()
        tokens.login(secret, trace=trace)
        assert trace.steps == [
            ("token", f"looks like one of kind reserved, {len(secret)} octets"),
            ("refused", "`accept` does not name it: no kind that this version knows"),
        ]


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_that_is_not_accepted_is_named(tokens, kind):
    tokens.accept = frozenset(ALL) - {kind}
    trace = Trace()
    tokens.login(MAKE[kind](), trace=trace)
    assert trace.steps[-1] == ("refused", f"`accept` does not name it: {kind}")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("blank", [" {}", "{}\n", "\t{}\r\n"])
def test_blanks_around_a_token_make_it_a_bad_one(tokens, kind, blank):
    assert tokens.refused(blank.format(MAKE[kind]())) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("kind", ["jwt", "compact"])
@pytest.mark.parametrize("around", ["Bearer {}", '"{}"', "\ufeff{}", "token={}", "{},"])
def test_what_was_copied_with_a_token_makes_it_a_bad_one(tokens, kind, around):
    """And no password: whoever gets it to see has the token."""
    assert tokens.refused(around.format(MAKE[kind]())) is Reason.TOKEN_MALFORMED


def test_an_xcauth_token_with_padding_is_a_bad_one(tokens):
    assert tokens.refused(xcauth() + "=") is Reason.TOKEN_MALFORMED


# --- jwt ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (jwt(iss="https://evil.example"), Reason.TOKEN_ISSUER_UNKNOWN),
        (jwt(iss="website"), Reason.TOKEN_ISSUER_UNKNOWN),
        (jwt(iss=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (jwt(iss=[NAME]), Reason.TOKEN_MALFORMED),
        (jwt(kid="2025"), Reason.TOKEN_KEY_UNKNOWN),
        (jwt("eve"), Reason.TOKEN_SIGNATURE_WRONG),
        (jwt(typ="at+jwt"), Reason.TOKEN_TYPE_WRONG),
        (jwt(exp=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (jwt(sub=NOT_THERE), Reason.TOKEN_CLAIM_MISSING),
        (jwt(exp=NOW - 30), Reason.TOKEN_EXPIRED),
        (jwt(nbf=NOW + 31), Reason.TOKEN_NOT_YET_VALID),
        (jwt(exp=NOW + 301), Reason.TOKEN_LIFETIME_TOO_LONG),
        (jwt(aud="xmpp:example.net"), Reason.TOKEN_AUDIENCE_WRONG),
        (jwt(sub="bob"), Reason.TOKEN_USER_WRONG),
        (jwt(exp="soon"), Reason.TOKEN_MALFORMED),
        (jwt()[:-1], Reason.TOKEN_MALFORMED),
        (jwt() + ".x", Reason.TOKEN_MALFORMED),
        (mint.jwt(claims(), mint.key("ES256", "www"), header={"alg": "HS256", "kid": "www"}),
         Reason.TOKEN_ALGORITHM_REFUSED),
        (mint.jwt(claims(), mint.key("ES256", "www"), header={"alg": "none"}),
         Reason.TOKEN_ALGORITHM_REFUSED),
    ],
)  # fmt: skip
def test_a_jwt_is_refused_for_its_first_fault(tokens, token, reason):
    assert tokens.refused(token) is reason


def test_what_an_unsigned_token_says_is_not_looked_at(tokens):
    """It is anybody's word: a fault in it is told to nobody."""
    forged = jwt("eve", exp="soon", aud=1, sub=1, typ=None)
    assert tokens.refused(forged) is Reason.TOKEN_SIGNATURE_WRONG
    assert tokens.login(forged).signer == ""


def test_a_refused_token_that_is_signed_has_its_signer(tokens):
    for signed in (jwt(exp=NOW - 60), jwt(sub="bob"), jwt(typ="x"), jwt(aud=1)):
        assert tokens.login(signed).signer == f"{NAME}#www"
    for kind in ("compact", "xcauth"):
        assert tokens.login(MAKE[kind](expiry=NOW - 60)).signer == SIGNERS[kind]
        assert tokens.login(MAKE[kind](ADMIN), ADMIN).signer == SIGNERS[kind]
    for forged in (jwt("eve"), compact(expiry=NOW - 60, secret=SECRETS[4]), "eyJhbGciOiJub25l."):
        assert tokens.login(forged).signer == ""


def test_a_token_is_judged_by_its_own_issuers_keys_and_settings(tokens):
    write(tokens.folder / "other.pem", pem("other"))
    tokens.add("jwt", name="other", keys=["other.pem"], max_lifetime="1h", subject="jid")
    assert tokens.refused(jwt("other", kid="other")) is Reason.TOKEN_KEY_UNKNOWN
    assert tokens.refused(jwt("www", kid="www", iss="other")) is Reason.TOKEN_KEY_UNKNOWN
    theirs = jwt("other", kid="other", iss="other", jid="alice", sub="bob", exp=NOW + 3600)
    assert tokens.login(theirs) == model.TOKEN_VALID


@pytest.mark.parametrize(
    "subject",
    [
        "alice@example.org",
        "alice",
        "Alice",
        "ALICE@Example.ORG",
        "alice@example.org.",
        "ａｌｉｃｅ",
    ],
)
def test_a_subject_is_the_user_however_it_is_spelled(tokens, subject):
    assert tokens.login(jwt(sub=subject)) == model.TOKEN_VALID


@pytest.mark.parametrize(
    "subject",
    ["bob", "bob@example.org", "alice@example.net", "alice@sub.example.org", "", "@", "alice@",
     "@example.org", "alice@example.org/phone", "alice/phone", "alice@example.org@example.org",
     "mallory@alice@example.org", "alice ", " alice", "alice@ example.org", "alice\0", "alicе",
     "alice@example.org\n", "xmpp:alice@example.org", "\ud800", "alice\ud800", "*", "a" * 2000],
)  # fmt: skip
def test_another_subject_is_another_user(tokens, subject):
    octets = mint.json.dumps(claims(sub=subject)).encode()
    token = mint.jwt(octets, mint.key("ES256", "www"), kid="www")
    assert tokens.refused(token) is Reason.TOKEN_USER_WRONG


@pytest.mark.parametrize(
    ("jid", "subject"),
    [
        (JID("strasse", "example.org"), "Straße"),
        (JID("çelik", "example.org"), "c\u0327elik"),
        (JID("çelik", "example.org"), "ÇELIK@example.org"),
        (JID("o\\27brien", "example.org"), "o\\27brien@example.org"),
    ],
)
def test_subjects_are_prepared_as_users_are(tokens, jid, subject):
    """nodeprep: "ß" is "ss", wherever it comes from."""
    assert tokens.login(jwt(sub=subject), jid) == model.TOKEN_VALID


def test_a_localpart_is_a_user_of_the_domain_asked_for(tokens):
    tokens.set("jwt", domains=["example.org", "example.net"])
    both = ["xmpp:example.org", "xmpp:example.net"]
    assert tokens.login(jwt(sub="alice", aud=both), THERE) == model.TOKEN_VALID
    assert tokens.refused(jwt(aud=both), THERE) is Reason.TOKEN_USER_WRONG


def test_the_audience_has_the_domain_asked_for(tokens):
    tokens.set("jwt", domains=["*"], audience=["https://{domain}/chat", "chat"])
    for aud in ("https://example.net/chat", ["a", "chat"]):
        assert tokens.login(jwt(sub="alice", aud=aud), THERE) == model.TOKEN_VALID
    for aud in ("https://example.org/chat", "https://{domain}/chat", "xmpp:example.net"):
        assert tokens.refused(jwt(sub="alice", aud=aud), THERE) is Reason.TOKEN_AUDIENCE_WRONG


# --- compact and xcauth ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_token_for_another_user_is_a_wrong_signature(tokens, kind):
    """Who it is for stands in the MAC alone."""
    for jid in (BOT, THERE, JID("alice", "org")):
        assert tokens.refused(MAKE[kind](), jid) is Reason.TOKEN_SIGNATURE_WRONG
    assert tokens.refused(MAKE[kind]("Alice@example.org")) is Reason.TOKEN_SIGNATURE_WRONG


def test_a_token_for_another_purpose_is_a_wrong_signature(tokens):
    assert tokens.refused(compact(purpose="reset")) is Reason.TOKEN_SIGNATURE_WRONG


def test_a_key_that_there_is_not_is_named_by_its_id(tokens):
    trace = Trace()
    outcome = tokens.login(compact(secret=SECRETS[5]), trace=trace)
    assert outcome == model.rejected(Reason.TOKEN_KEY_UNKNOWN)
    assert trace.steps[-1] == (
        "refused", f"there is no key of the key id {mint.compact_key_id(SECRETS[5]).hex()}",
    )  # fmt: skip
    assert tokens.login(xcauth(secret=SECRETS[5])) is model.NOT_A_TOKEN


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_what_is_out_of_form_is_refused(tokens, kind):
    good = MAKE[kind]()
    loose = good[:-1] + ("B" if kind == "xcauth" else "!")
    assert tokens.refused(loose) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(("kind", "leeway"), [("compact", 30), ("xcauth", 0)])
def test_a_token_ends_when_its_last_second_and_the_leeway_are_over(tokens, kind, leeway):
    assert tokens.login(MAKE[kind](expiry=NOW - leeway)) == model.TOKEN_VALID
    assert tokens.refused(MAKE[kind](expiry=NOW - leeway - 1)) is Reason.TOKEN_EXPIRED
    tokens.wall += 0.001
    assert tokens.refused(MAKE[kind](expiry=NOW - leeway)) is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize(("kind", "lifetime"), [("compact", 300), ("xcauth", 3600)])
def test_a_token_ends_within_its_lifetime_and_half_a_minute(tokens, kind, lifetime):
    """The half minute is for an issuer whose clock is ahead."""
    latest = NOW + lifetime + 30
    assert tokens.login(MAKE[kind](expiry=latest)) == model.TOKEN_VALID
    assert tokens.refused(MAKE[kind](expiry=latest + 1)) is Reason.TOKEN_LIFETIME_TOO_LONG
    assert tokens.refused(MAKE[kind](expiry=(1 << 32) - 1)) is Reason.TOKEN_LIFETIME_TOO_LONG


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_longer_leeway_takes_the_place_of_that_half_minute(tokens, kind):
    tokens.set(kind, leeway="60s", max_lifetime="1m")
    assert tokens.login(MAKE[kind](expiry=NOW + 120)) == model.TOKEN_VALID
    assert tokens.refused(MAKE[kind](expiry=NOW + 121)) is Reason.TOKEN_LIFETIME_TOO_LONG
    assert tokens.login(MAKE[kind](expiry=NOW - 60)) == model.TOKEN_VALID


def test_two_issuers_with_one_secret_sign_for_their_domains(tokens):
    write(tokens.folder / "theirs", COMPACT)
    tokens.add(
        "compact", name="theirs", keys=None, secret_file="theirs", domains=["example.net"],
        max_lifetime="1h",
    )  # fmt: skip
    assert tokens.login(compact()).signer == "website#compact"
    assert tokens.login(compact(THERE), THERE).signer == "theirs#theirs"
    assert tokens.login(compact(THERE, NOW + 3600), THERE) == model.TOKEN_VALID
    assert tokens.refused(compact(expiry=NOW + 3600)) is Reason.TOKEN_LIFETIME_TOO_LONG
    nowhere = JID("alice", "example.com")
    assert tokens.refused(compact(nowhere), nowhere) is Reason.TOKEN_DOMAIN_REFUSED


def test_of_two_xcauth_keys_with_one_id_the_right_one_is_found(tokens):
    namesake = mint.xcauth_namesake(XCAUTH)
    write(tokens.folder / "namesake", namesake)
    tokens.add("xcauth", name="other", keys=None, secret_file="namesake")
    assert tokens.login(xcauth(secret=namesake)).signer == "other#namesake"
    assert tokens.login(xcauth()).signer == "nextcloud#xcauth"


# --- rights ---------------------------------------------------------------------------------------


def good(kind, jid):
    """A token that this kind's issuer makes for somebody."""
    if kind == "jwt":
        return jwt(sub=str(jid), aud=f"xmpp:{jid.domain}")
    return MAKE[kind](jid)


@pytest.mark.parametrize("kind", ALL)
def test_an_issuer_signs_for_its_domains_alone(tokens, kind):
    assert tokens.refused(good(kind, THERE), THERE) is Reason.TOKEN_DOMAIN_REFUSED
    assert tokens.login(good(kind, THERE), THERE).signer == SIGNERS[kind]


@pytest.mark.parametrize("kind", ALL)
def test_an_issuer_signs_for_its_users_alone(tokens, kind):
    tokens.set(kind, users=["bot-*"])
    assert tokens.login(good(kind, BOT), BOT) == model.TOKEN_VALID
    assert tokens.refused(good(kind, ALICE)) is Reason.TOKEN_USER_REFUSED


@pytest.mark.parametrize("kind", ALL)
def test_nobody_signs_for_who_never_logs_in_by_token(tokens, kind):
    tokens.set(kind, domains=["*"])
    assert tokens.refused(good(kind, ADMIN), ADMIN) is Reason.TOKEN_NEVER
    there = JID("admin", "example.net")
    assert tokens.login(good(kind, there), there) == model.TOKEN_VALID


def test_without_word_of_whom_tokens_are_for_they_are_for_nobody(tokens):
    surroundings = Surroundings(tokens.clock, None, lambda: NOW, random.random)
    assert surroundings.never_token(ALICE)
    assert list(surroundings.issuers) == []
    checker = token.make_checker(TokenSettings(frozenset(ALL)), surroundings)
    outcome = now(checker.check_password(ALICE, Secret(jwt().encode()), None))
    assert outcome == model.rejected(Reason.TOKEN_ISSUER_UNKNOWN)


# --- keys that change -----------------------------------------------------------------------------


def test_a_new_key_counts_a_second_later_and_a_removed_one_no_more(tokens):
    tokens.set("jwt", keys=["keys"])
    (tokens.folder / "keys").mkdir()
    write(tokens.folder / "keys" / "2026.pem", pem("2026"))
    assert tokens.login(jwt("2026", kid="2026")) == model.TOKEN_VALID
    write(tokens.folder / "keys" / "2027.pem", pem("2027"))
    assert tokens.refused(jwt("2027", kid="2027")) is Reason.TOKEN_KEY_UNKNOWN
    tokens.clock.advance(1)
    assert tokens.login(jwt("2027", kid="2027")) == model.TOKEN_VALID
    assert tokens.login(jwt("2026", kid="2026")) == model.TOKEN_VALID
    (tokens.folder / "keys" / "2026.pem").unlink()
    tokens.clock.advance(1)
    assert tokens.refused(jwt("2026", kid="2026")) is Reason.TOKEN_KEY_UNKNOWN


def test_a_token_of_a_retired_xcauth_key_is_no_password(tokens):
    assert tokens.login(xcauth()) == model.TOKEN_VALID
    write(tokens.folder / "xcauth", SECRETS[7])
    tokens.clock.advance(1)
    assert tokens.refused(xcauth()) is Reason.TOKEN_KEY_UNKNOWN
    assert tokens.login(xcauth(secret=SECRETS[7])) == model.TOKEN_VALID


def test_a_new_xcauth_key_is_seen_by_who_asks_what_is_recognised(tokens):
    new = Secret(xcauth(secret=SECRETS[7]).encode())
    assert not tokens.checker.recognises(new)
    write(tokens.folder / "xcauth", SECRETS[7])
    tokens.clock.advance(1)
    assert tokens.checker.recognises(new)


# --- keys that are published ----------------------------------------------------------------------


class Publisher:
    """Keys by URL, with the fetch in the test's hands."""

    def __init__(self):
        self.keys = None
        self.under_way = False
        self.trouble = ""
        self.waiting = []

    def start(self):
        pass

    def stop(self):
        pass

    def current(self):
        return self.keys

    def ask_again(self):
        return self.under_way

    def ready(self):
        self.waiting.append(Deferred())
        return self.waiting[-1]


@pytest.fixture
def publisher(tokens):
    """Who publishes the keys of an issuer of the name "published"."""
    publisher = Publisher()
    url = "https://login.example.org/jwks"
    ours = settings(tokens.folder, name="published", keys=None, jwks_url=url)

    def publish(*kids):
        members = mint.jwks(*(mint.key("ES256", kid).jwk(kid=kid) for kid in kids))
        publisher.keys, refused = bind_published(
            key_texts.read_set(mint.text(members), "there"), ours
        )
        assert refused == []

    publisher.publish = publish
    tokens.others.append(Issuer(ours, publisher))
    return publisher


def published(kid):
    return jwt(kid, kid=kid, iss="published")


UNAVAILABLE = model.unavailable(Reason.KEYS_UNAVAILABLE)


def test_published_keys_verify(tokens, publisher):
    publisher.publish("a", "b")
    assert tokens.login(published("b")).signer == "published#b"
    assert tokens.refused(jwt("www", kid="b", iss="published")) is Reason.TOKEN_SIGNATURE_WRONG


def test_without_keys_it_cannot_be_told_who_has_signed(tokens, publisher):
    publisher.publish("a")
    publisher.keys = None
    assert tokens.login(published("a")) == UNAVAILABLE
    assert tokens.checker.recognises(Secret(published("a").encode()))
    assert tokens.login(jwt()) == model.TOKEN_VALID
    assert publisher.waiting == []


def test_a_key_that_is_just_being_fetched_is_not_unknown_yet(tokens, publisher):
    publisher.publish("a")
    publisher.under_way = True
    assert tokens.login(published("b")) == UNAVAILABLE
    assert tokens.login(published("a")) == model.TOKEN_VALID
    assert publisher.waiting == []
    publisher.under_way = False
    assert tokens.refused(published("b")) is Reason.TOKEN_KEY_UNKNOWN
    publisher.trouble = "the server answers 500"
    assert tokens.login(published("b")) == UNAVAILABLE
    assert tokens.login(published("a")) == model.TOKEN_VALID
    publisher.publish("a", "b")
    assert tokens.login(published("b")) == model.TOKEN_VALID


def test_a_wrong_signature_is_no_reason_to_fetch(tokens, publisher):
    publisher.publish("a")
    publisher.under_way = True
    for bad in (jwt("eve", kid="a", iss="published"), published("a")[:-4] + "AAAA"):
        assert tokens.refused(bad) is Reason.TOKEN_SIGNATURE_WRONG


def test_who_asks_for_the_reasons_waits_for_the_keys(tokens, publisher):
    trace = Trace()
    answer = tokens.begin(published("a"), trace=trace)
    assert not answer.called
    publisher.publish("a")
    publisher.waiting[0].callback(None)
    assert now(answer) == model.TOKEN_VALID
    assert "keys" in [name for name, _ in trace.steps]


def test_who_asks_for_the_reasons_waits_for_a_new_key(tokens, publisher):
    publisher.publish("a")
    publisher.under_way = True
    found, missed = (
        tokens.begin(published("b"), trace=Trace()),
        tokens.begin(published("c"), trace=Trace()),
    )
    publisher.publish("a", "b")
    publisher.under_way = False
    for waiting in publisher.waiting:
        waiting.callback(None)
    assert now(found) == model.TOKEN_VALID
    assert now(missed) == model.rejected(Reason.TOKEN_KEY_UNKNOWN)


def test_who_asks_for_the_reasons_waits_once(tokens, publisher):
    trace = Trace()
    answer = tokens.begin(published("a"), trace=trace)
    publisher.trouble = "the server answers 500"
    publisher.waiting[0].callback(None)
    assert now(answer) == UNAVAILABLE
    assert trace.steps[-1][0] == "keys"
    assert "the server answers 500" in trace.steps[-1][1]
    assert len(publisher.waiting) == 1


# --- explanations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_a_trace_tells_each_step_to_a_yes(tokens, kind):
    trace = Trace()
    tokens.login(MAKE[kind](), trace=trace)
    steps = dict(trace.steps)
    assert [name for name, _ in trace.steps] == ["token", "key", "issuer", "signature"]
    assert steps["token"].startswith(f"looks like one of kind {kind}, ")
    assert steps["signature"] == "is right"
    assert steps["issuer"] == tokens.usual[kind]["name"]
    file = "www.pem" if kind == "jwt" else kind
    assert steps["key"].startswith(f"'{file.removesuffix('.pem')}' is {tokens.folder}/{file}")


def test_a_trace_names_the_key_of_a_token_that_names_none(tokens):
    trace = Trace()
    assert tokens.login(mint.jwt(claims(), mint.key("ES256", "www")), trace=trace).signer == (
        f"{NAME}#www"
    )
    path = f"{tokens.folder}/www.pem"
    assert dict(trace.steps)["key"] == f"none is named; {path}, for ES256, is the one"


@pytest.mark.parametrize(
    ("made", "before", "words"),
    [
        (jwt() + "x", [], "the signature is "),
        (f" {jwt()}", [], "there are blanks or line ends around it"),
        (jwt(iss="https://evil.example"), [], "`iss` is 'https://evil.example'"),
        (jwt(kid="x"), [], "there is no key 'x'; there is 'www'"),
        (jwt("eve"), ["key"], "/www.pem has not signed this"),
        (jwt(exp=NOW - 90), ["key", "issuer", "signature"], "`exp` was 90 s ago"),
        (jwt(exp=NOW * 1000), ["key", "issuer", "signature"], "; is it in milliseconds?"),
        (jwt(aud="x"), ["key", "issuer", "signature"], "should have 'xmpp:example.org'"),
        (jwt(sub="bob"), ["key", "issuer", "signature"],
         "`sub` is 'bob', and the login is for alice@example.org"),
        (compact(expiry=NOW - 90), ["key", "issuer", "signature"], "it expired 90 s ago"),
        (compact(expiry=NOW + 999), ["key", "issuer", "signature"],
         "it is good for 999 s more, and may be for 300"),
        (compact(BOT), [], "has not signed this for alice@example.org"),
        (xcauth(BOT), [], "has not signed this for alice@example.org"),
        (compact() + "x", [], "a compact token has 62 characters and begins with abtc1_"),
        (xcauth()[:-1] + "B", [], "not the one spelling"),
    ],
)  # fmt: skip
def test_a_trace_ends_with_what_a_token_was_refused_for(tokens, made, before, words):
    trace = Trace()
    assert tokens.login(made, trace=trace).verdict is Verdict.REJECTED
    assert [name for name, _ in trace.steps] == ["token", *before, "refused"]
    assert words in trace.steps[-1][1]


@pytest.mark.parametrize(
    ("iss", "words"),
    [
        (NAME + "/", f"; did you mean \"{NAME}\"?"), (NAME.replace("https", "http"), NAME),
        (NAME[:-1], NAME), (NAME.upper(), NAME), ("website", ""), ("", ""), ("\x1b[2J", ""),
        ("x" * 5000, ""),
    ],
)  # fmt: skip
def test_an_issuer_that_is_nearly_known_is_told_with_the_one_that_is(tokens, iss, words):
    """A slash at the end is what makes two of them, most of the time."""
    trace = Trace()
    assert tokens.login(jwt(iss=iss), trace=trace).reason is Reason.TOKEN_ISSUER_UNKNOWN
    said = trace.steps[-1][1]
    assert said.startswith("`iss` is '")
    assert said.isprintable()
    assert words in said
    assert (words != "") == ("did you mean" in said)


SECRET_TEXTS = [COMPACT, XCAUTH]
BAD = [
    jwt(), jwt(exp=NOW - 90), jwt("eve"), jwt(kid="x"), jwt(iss="x"), jwt(sub="bob"), jwt(aud="x"),
    jwt(typ="x"), jwt(nbf=NOW + 99), jwt(exp=NOW + 999), jwt() + "x", jwt()[:-9], f" {jwt()}",
    compact(), compact(expiry=NOW - 90), compact(BOT), compact(secret=SECRETS[5]), compact() + "x",
    compact(expiry=NOW + 9999), xcauth(), xcauth(expiry=NOW - 90), xcauth(BOT),
    xcauth(expiry=NOW + 9999), xcauth()[:-1] + "B",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BAD)))
def test_a_trace_holds_neither_the_token_nor_a_secret(tokens, number):
    secret = BAD[number]
    trace = Trace()
    tokens.login(secret, trace=trace)
    words = "\n".join(text for _, text in trace.steps)
    assert len(trace.steps) >= 2
    for held in (secret.strip(), secret.strip()[-20:], *(one.decode() for one in SECRET_TEXTS)):
        assert held not in words
    for part in secret.split("."):
        assert len(part) < 9 or part not in words


# --- settings -------------------------------------------------------------------------------------


def read(folder, data):
    mistakes = Mistakes()
    found = token.read_settings(Table(data, "checkers.tokens", mistakes, folder))
    return found, list(mistakes)


def test_the_settings_name_the_kinds(tmp_path):
    found, mistakes = read(tmp_path, {"kind": "token", "accept": ["jwt", "xcauth"]})
    assert mistakes == ['checkers.tokens.kind: there is no such setting; there is "accept"']
    found, mistakes = read(tmp_path, {"accept": ["jwt", "xcauth"]})
    assert mistakes == []
    assert found.accept == {"jwt", "xcauth"}
    assert (found.knows_users, found.recognises) == (False, True)


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ({"accept": []}, "accept: names no kind of token, so that none would be accepted"),
        ({}, "accept: is missing; a list of different strings"),
        ({"accept": ["jwts"]}, 'accept: "jwts" is not known; did you mean "jwt"?'),
        ({"accept": ["reserved"]}, 'accept: "reserved" is not known'),
        ({"accept": "jwt"}, "accept: should be a list"),
        ({"accept": ["jwt"], "issuer": 1}, "issuer: there is no such setting"),
    ],
)
def test_a_mistake_is_one_line_with_its_key(tmp_path, data, mistake):
    _, (found,) = read(tmp_path, data)
    assert found.startswith(f"checkers.tokens.{mistake}")


@pytest.mark.parametrize("users", [["bot-*"], ["alice"]])
def test_of_issuers_with_one_secret_the_one_that_may_sign_for_the_user_counts(tokens, users):
    """In whatever order they stand."""
    for name in ("one", "two"):
        mine = users if name == "one" else ["alice", "bot-*"][users == ["alice"] :][:1]
        tokens.add("compact", name=name, secret_file="compact", keys=None, users=mine)
    tokens.set("compact", users=["nobody"])
    for jid in (ALICE, BOT):
        assert tokens.login(compact(jid), jid) == model.TOKEN_VALID
    assert tokens.refused(compact(ADMIN), ADMIN) is Reason.TOKEN_USER_REFUSED
