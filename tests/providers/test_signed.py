"""Access tokens that are judged by the provider's keys: what they have to say, and what tells them
from its other tokens."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from authbridge.model import Trace
from authbridge.providers.signed import issuer_of
from tests.doubles import now
from tests.providers.world import ALICE, BOB, ISSUER, KEYS, METADATA, NOW, claims, jwt, says
from tests.tokens import mint
from tests.tokens.mint import NOT_THERE

GOOD = "token_valid"
KEYCLOAK = {"head": "JWT"}
"""Of headers, as Keycloak and authentik have them."""


def reason(one, token, jid=ALICE):
    return one.login(token, jid).reason.value


def test_who_has_issued_it_is_read_before_it_is_believed():
    assert issuer_of(jwt("eve").encode()) == ISSUER
    for odd in (jwt(iss=NOT_THERE), jwt(iss=7), "a.b.c", jwt() + ".x"):
        assert issuer_of(odd.encode()) is None


def test_a_good_token_is_accepted_again_and_again_and_nobody_is_asked(world):
    one = world("jwt")
    asked = len(one.sso.asked)
    for _ in range(3):
        assert reason(one, jwt()) == GOOD
    assert len(one.sso.asked) == asked
    assert one.explain(jwt()) == [
        ("token", f"is taken for one of {ISSUER}"),
        ("key", f"'sso' is key 1 of the keys of {ISSUER}, for RS256"),
        ("signature", "is right"),
        ("provider's user", "'alice'"),
    ]


def test_every_claim_has_its_rule(world):
    one = world("jwt")
    cases = {
        "token_expired": [{"exp": NOW - 30}],
        "token_not_yet_valid": [{"nbf": NOW + 31}, {"iat": NOW + 31}],
        "token_lifetime_too_long": [{"exp": NOW + 86400, "iat": NOW - 1}],
        "token_audience_wrong": [{"aud": "account"}, {"aud": NOT_THERE}, {"aud": []}],
        "token_scope_missing": [
            {"scope": "openid"}, {"scope": NOT_THERE}, {"scope": []}, {"scope": "chatty"},
        ],
        "token_claim_missing": [
            {"exp": NOT_THERE}, {"preferred_username": NOT_THERE}, {"preferred_username": ""},
            {"preferred_username": ["alice"]},
        ],
        "token_user_wrong": [
            {"preferred_username": "bob"}, {"preferred_username": "Alice"},
            {"preferred_username": "alice@example.org"}, {"preferred_username": "alice\u200b"},
            {"preferred_username": " alice"},
        ],
        "token_type_wrong": [
            {"typ": "ID"}, {"typ": "Refresh"}, {"typ": 1}, {"token_use": "id"},
            {"token_type": "DPoP"}, {"token_type": "N_A"}, {"cnf": {"jkt": "x"}},
        ],
        "token_malformed": [{"exp": "soon"}, {"aud": 1}, {"scope": 1}, {"azp": 1}, {"nbf": -1}],
        GOOD: [
            {"scope": ["chat"]}, {"scope": NOT_THERE, "scp": "chat"}, {"typ": "Bearer"},
            {"aud": "xmpp"}, {"iat": NOT_THERE}, {"nbf": 0}, {"token_use": "access"},
        ],
    }  # fmt: skip
    for expected, changes in cases.items():
        for change in changes:
            assert reason(one, jwt(**change)) == expected, change


def test_its_issuer_is_required_whosever_the_keys_are(world):
    one = world("jwt")
    for odd, expected in (
        (NOT_THERE, "token_claim_missing"),
        (None, "token_malformed"),
        ([ISSUER], "token_malformed"),
    ):
        assert one.refused(jwt(iss=odd)) == expected


def test_a_client_may_be_required_beside_an_audience_or_in_its_place(world):
    one = world("jwt", audience=None, clients=["web", "phone"])
    assert reason(one, jwt(aud=NOT_THERE)) == GOOD
    assert reason(one, jwt(azp=NOT_THERE, client_id="phone")) == GOOD
    for odd in ({"azp": "mail"}, {"azp": NOT_THERE}, {"client_id": "mail"}):
        assert reason(one, jwt(**odd)) == "token_audience_wrong"
    both = world("jwt", clients=["web"])
    assert reason(both, jwt()) == GOOD
    assert reason(both, jwt(aud="account")) == "token_audience_wrong"
    assert reason(both, jwt(azp="mail")) == "token_audience_wrong"
    assert both.explain(jwt(azp="mail"))[-1] == (
        "refused", "it was issued to 'mail', and `clients` are 'web'",
    )  # fmt: skip


def test_a_token_that_does_not_say_that_it_is_one_is_refused(world):
    one = world("jwt")
    for typ in ("JWT", NOT_THERE, "id+jwt", "logout+jwt"):
        assert reason(one, jwt(head=typ)) == "token_type_wrong"
    assert reason(one, jwt(head="application/AT+JWT")) == GOOD
    assert reason(one, jwt(head=7)) == "token_malformed"


def test_an_id_token_is_no_access_token(world):
    """Of older providers, whose headers say "JWT" for all."""
    one = world("jwt", typ="JWT", audience="web")
    for typ in ("JWT", NOT_THERE, "at+jwt"):
        assert reason(one, jwt(head=typ, aud="web")) == GOOD
    for sign in ("nonce", "at_hash", "c_hash", "s_hash", "events"):
        assert reason(one, jwt(head="JWT", aud="web", **{sign: "x"})) == "token_type_wrong"
    assert reason(one, jwt(head="secevent+jwt", aud="web")) == "token_type_wrong"


def test_keycloaks_tokens_say_their_kind_in_a_claim(world):
    one = world("jwt", preset="keycloak")
    for head in ("JWT", NOT_THERE):
        assert reason(one, jwt(head=head, typ="Bearer", nonce="n")) == GOOD
        for kind in ("ID", "Refresh", "Offline", "DPoP", NOT_THERE):
            assert reason(one, jwt(head=head, typ=kind)) == "token_type_wrong", kind
    assert reason(one, jwt(typ="Bearer")) == GOOD  # where the client is set to at+jwt


def test_authentiks_access_tokens_have_two_claims_more_than_its_id_tokens(world):
    one = world("jwt", preset="authentik", audience="web")
    shared = {"aud": "web", "nonce": "n", "acr": "x"}
    assert reason(one, jwt(**KEYCLOAK, uid="u", **shared)) == GOOD
    assert reason(one, jwt(**KEYCLOAK, **shared)) == "token_type_wrong"
    assert reason(one, jwt(**KEYCLOAK, uid="u", azp=NOT_THERE, **shared)) == "token_type_wrong"


def test_another_key_or_algorithm_is_none_of_the_providers(world):
    one = world("jwt")
    assert reason(one, jwt("eve", kid="sso")) == "token_algorithm_refused"
    forged = mint.jwt(claims(), mint.key("RS256", "another's"), kid="sso", typ="at+jwt")
    assert reason(one, forged) == "token_signature_wrong"
    plain = mint.jwt(claims(), mint.key("RS256", "sso"), header={"alg": "none", "kid": "sso"})
    assert reason(one, plain) == "token_algorithm_refused"
    assert one.login(forged).signer == ""
    assert one.login(jwt(aud="x")).signer == f"{ISSUER}#sso"


def test_a_new_key_is_fetched_and_cannot_be_told_meanwhile(world):
    one = world("jwt", algorithms=["RS256", "ES256"])
    new = jwt("new")
    one.network.settle(10)
    one.sso.jwks = mint.jwks(mint.key("ES256", "new").jwk(kid="new"))
    asked = one.begin(new)
    assert now(asked).reason.value == "keys_unavailable"
    assert reason(one, new) == GOOD
    assert reason(one, jwt()) == "token_key_unknown"  # and it is not fetched again so soon


def test_who_wants_the_reasons_waits_for_the_keys(world):
    one = world("jwt", algorithms=["RS256", "ES256"])
    one.network.settle(10)
    one.sso.jwks = mint.jwks(mint.key("ES256", "new").jwk(kid="new"))
    trace = Trace()
    assert one.login(jwt("new"), trace=trace).reason.value == GOOD
    assert trace.steps[1] == ("keys", "the key is not among those fetched last")


def test_without_keys_it_cannot_be_told(world, events):
    one = world("jwt", issuer="https://nobody.example")
    token = jwt(iss="https://nobody.example")
    assert one.unavailable(token) == "keys_unavailable"
    steps = one.explain(token)
    assert [name for name, _ in steps] == ["token", "keys", "fault"]
    assert "the name nobody.example is not known" in steps[-1][1] or "nobody" in steps[-1][1]


def test_keys_that_come_late_are_waited_for_by_the_probe_alone(world):
    one = world("jwt")
    one.sso.says[METADATA] = None
    one.network.settle(900)
    probing = Deferred.fromCoroutine(one.checker.probe(Trace()))
    one.network.settle()
    assert not probing.called
    assert one.login(jwt()).reason.value == GOOD
    one.sso.says[METADATA] = says(one.sso.metadata)
    one.network.settle(10)
    assert now(probing).reason.value == GOOD
    assert KEYS in dict(one.sso.asked)


def test_the_token_of_another_user_is_refused_with_its_signer(world):
    outcome = world("jwt").login(jwt(), BOB)
    assert (outcome.reason.value, outcome.signer) == ("token_user_wrong", f"{ISSUER}#sso")
