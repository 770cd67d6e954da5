"""Signed tokens: what has to be asked of a store about them, and whom they are for."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from authbridge.issuers.issuers import Issuer, Issuers
from authbridge.issuers.signed import LEAST_SLACK, SignedTokens, latest_end
from authbridge.model import JID, Reason
from authbridge.stores.operations import (
    Admit,
    subject_of_issuer,
    subject_of_jti,
    subject_of_user,
)
from authbridge.tokens.forms import Form
from authbridge.tokens.refusals import Malformed, Refused
from tests.issuers.folders import NAME, SECRETS, pem, settings, write
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE

NOW = 1_800_000_000
ALICE = JID("alice", "example.org")
OF_ISSUER = subject_of_issuer(NAME)
OF_USER = subject_of_user(NAME, "alice@example.org")
OF_JTI = subject_of_jti(NAME, "j1")
BOTH = {"single_use": True, "revocable": True}


class Signers:
    """One issuer, and what is found about its tokens."""

    def __init__(self, folder):
        self.folder = folder
        self.wall = float(NOW)
        write(folder / "www.pem", pem("www"))
        write(folder / "secret", SECRETS[0])

    def tokens(self, kind="jwt", /, **given):
        source = {"keys": ["www.pem"]} if kind == "jwt" else {"keys": None, "secret_file": "secret"}
        issuer = Issuer(settings(self.folder, kind, **source, **given))
        issuers = Issuers([issuer], Clock().seconds)
        issuers.start()
        return SignedTokens(issuers, lambda jid: jid.local == "admin", lambda: self.wall)

    def judge(self, kind, token, jid=ALICE, /, **given):
        return self.tokens(kind, **given).judge(Form(kind), token, jid, None)

    def admit(self, kind, token, jid=ALICE, /, **given):
        return self.judge(kind, token, jid, **given).admit


@pytest.fixture
def signers(tmp_path):
    return Signers(tmp_path)


def jwt(**changes):
    usual = {"iss": NAME, "sub": "alice", "aud": "xmpp:example.org", "iat": NOW, "exp": NOW + 60,
             "jti": "j1"}  # fmt: skip
    claims = mint.without(usual | changes)
    return mint.jwt(claims, mint.key("ES256", "www"), kid="www").encode()


def mac(kind, expiry=NOW + 60, jid=ALICE):
    make = {"compact": mint.compact, "xcauth": mint.xcauth}[kind]
    return make(SECRETS[0], str(jid), expiry).encode()


# --- what is asked --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["jwt", "compact", "xcauth"])
def test_of_others_nothing_is_asked(signers, kind):
    token = jwt() if kind == "jwt" else mac(kind)
    good = signers.judge(kind, token)
    assert good.admit is None
    assert (good.jid, good.issuer.name, good.dates.expires) == (ALICE, NAME, NOW + 60)
    assert (good.dates.issued, good.dates.jti) == ((NOW, "j1") if kind == "jwt" else (None, None))


@pytest.mark.parametrize(
    ("given", "subjects", "once"),
    [
        ({"single_use": True}, (), OF_JTI),
        ({"revocable": True}, (OF_ISSUER, OF_USER, OF_JTI), None),
        (BOTH, (OF_ISSUER, OF_USER, OF_JTI), OF_JTI),
    ],
)
def test_a_jwt_is_asked_about_by_what_its_issuer_has_set(signers, given, subjects, once):
    admit = signers.admit("jwt", jwt(), **given)
    assert type(admit) is Admit
    assert (admit.subjects, admit.once) == (subjects, once)


@pytest.mark.parametrize("jti", [NOT_THERE, "", None])
def test_a_revocable_one_without_jti_has_no_subject_of_its_own(signers, jti):
    assert signers.admit("jwt", jwt(jti=jti), revocable=True).subjects == (OF_ISSUER, OF_USER)


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_nor_has_one_without_claims(signers, kind):
    admit = signers.admit(kind, mac(kind), revocable=True)
    assert (admit.subjects, admit.once) == ((OF_ISSUER, OF_USER), None)


def test_subjects_are_of_the_user_who_logs_in_however_the_token_spells_him(signers):
    for sub in ("Alice", "ALICE@Example.ORG", "ａｌｉｃｅ"):
        assert OF_USER in signers.admit("jwt", jwt(sub=sub), revocable=True).subjects


def test_no_two_subjects_are_one():
    found = {
        subject_of_jti("a", "bc"), subject_of_jti("ab", "c"), subject_of_user("a", "bc"),
        subject_of_user("ab", "c"), subject_of_issuer("abc"), subject_of_issuer("ab"),
        subject_of_user("abc", ""), subject_of_jti("abc", ""), subject_of_jti("a", "\ud800"),
        subject_of_jti("a", "?"),
    }  # fmt: skip
    assert len(found) == 10


# --- jti ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jti", [NOT_THERE, "", None])
def test_single_use_needs_a_jti(signers, jti):
    with pytest.raises(Refused) as refused:
        signers.judge("jwt", jwt(jti=jti), single_use=True)
    assert refused.value.reason is Reason.TOKEN_CLAIM_MISSING
    assert refused.value.signer == f"{NAME}#www"
    assert "`jti`" in refused.value.words


@pytest.mark.parametrize("jti", [0, 1, True, ["j1"], {}, 1.5])
def test_a_jti_is_a_string_where_it_matters(signers, jti):
    for given in ({"single_use": True}, {"revocable": True}):
        with pytest.raises(Malformed):
            signers.judge("jwt", jwt(jti=jti), **given)
    assert signers.judge("jwt", jwt(jti=jti)).dates.jti is None


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_a_jwt_was_issued_when_it_says(signers, leeway):
    """By a clock that may be ahead; a revocation takes that into account (`token_office`)."""
    admit = signers.admit("jwt", jwt(iat=NOW - 100, exp=NOW + 60), **BOTH, leeway=f"{leeway}s")
    assert admit.issued == NOW - 100
    assert (admit.expires, admit.until) == (NOW + 60, NOW + 60 + leeway + 1)


@pytest.mark.parametrize("kind", ["jwt", "compact", "xcauth"])
@pytest.mark.parametrize("lifetime", ["5m", "12h"])
def test_when_one_without_a_date_was_issued_is_not_guessed(signers, kind, lifetime):
    """Were it, then a token that was revoked could be good again when `max_lifetime` is changed."""
    given = {"revocable": True, "leeway": "40s", "max_lifetime": lifetime}
    token = jwt(iat=NOT_THERE) if kind == "jwt" else mac(kind)
    admit = signers.admit(kind, token, **given)
    assert (admit.issued, admit.expires, admit.until) == (None, NOW + 60, NOW + 60 + 40 + 1)


@pytest.mark.parametrize("leeway", [0, 30, 60])
def test_until_is_behind_the_last_moment_at_which_it_is_good(signers, leeway):
    given = BOTH | {"leeway": f"{leeway}s"}
    token = jwt(exp=NOW + 60.9)
    until = signers.admit("jwt", token, **given).until
    signers.wall = until
    with pytest.raises(Refused) as refused:
        signers.judge("jwt", token, **given)
    assert refused.value.reason is Reason.TOKEN_EXPIRED


@pytest.mark.parametrize("leeway", [0, 30, 60])
@pytest.mark.parametrize("kind", ["jwt", "compact", "xcauth"])
def test_the_latest_end_is_that_of_the_last_token_that_is_accepted(signers, kind, leeway):
    """A revocation up to a moment leaves nothing good that was there then, whatever clock its
    issuer has: of tokens that are accepted at that moment the newest that there can be."""
    given = {"revocable": True, "leeway": f"{leeway}s", "max_lifetime": "5m"}
    slack = leeway if kind == "jwt" else max(leeway, int(LEAST_SLACK))
    last = NOW + 300 + slack
    token = jwt(iat=NOT_THERE, exp=last) if kind == "jwt" else mac(kind, last)
    good = signers.judge(kind, token, **given)
    assert good.admit.expires == last
    assert last <= latest_end(good.issuer, NOW) == NOW + 300 + max(leeway, LEAST_SLACK)
    later = jwt(iat=NOT_THERE, exp=last + 1) if kind == "jwt" else mac(kind, last + 1)
    with pytest.raises(Refused) as refused:
        signers.judge(kind, later, **given)
    assert refused.value.reason is Reason.TOKEN_LIFETIME_TOO_LONG


# --- subjects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["compact", "xcauth"])
def test_a_token_without_claims_does_not_say_whom_it_is_for(signers, kind):
    assert signers.tokens(kind).subject(Form(kind), mac(kind)) is None


def test_a_jwt_says_whom_it_is_for_signed_or_not(signers):
    tokens = signers.tokens()
    assert tokens.subject(Form.JWT, jwt(sub="alice@example.org")) == "alice@example.org"
    forged = jwt(sub="eve").rpartition(b".")[0] + b"." + mint.b64(bytes(64)).encode()
    assert tokens.subject(Form.JWT, forged) == "eve"
    assert tokens.subject(Form.JWT, jwt(iss="https://nobody.example", sub="bob")) == "bob"


def test_it_is_where_its_issuer_says_so(signers):
    tokens = signers.tokens(subject="jid")
    assert tokens.subject(Form.JWT, jwt(jid="alice@example.org", sub="bob")) == "alice@example.org"
    assert tokens.subject(Form.JWT, jwt(sub="bob")) is None
    assert tokens.subject(Form.JWT, jwt(iss="https://nobody.example", jid="a", sub="bob")) == "bob"


@pytest.mark.parametrize("sub", [NOT_THERE, None, 1, ["alice"], {}])
def test_a_subject_that_is_no_string_is_none(signers, sub):
    assert signers.tokens().subject(Form.JWT, jwt(sub=sub)) is None


@pytest.mark.parametrize("token", [b"eyJ.e30.", jwt()[:-1] + b"!", jwt(iss=1), jwt(iss=NOT_THERE)])
def test_of_a_broken_one_there_is_no_subject(signers, token):
    with pytest.raises(Refused):
        signers.tokens().subject(Form.JWT, token)


def test_xcauth_key_ids_are_those_of_now(signers):
    assert mint.xcauth_key_id(SECRETS[0]) in signers.tokens("xcauth").xcauth_key_ids
    assert mint.xcauth_key_id(SECRETS[0]) not in signers.tokens("compact").xcauth_key_ids
